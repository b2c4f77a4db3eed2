// What the stand-ins for VTL2 share: hypercalls, the log, checks, fw_cfg.
#pragma once

#include "arch/x86_64/hypercall.hpp"
#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft::stand_in {

/// Where the monitor found the boot information; set before `stand_in_run`.
const vtl2::BootInfo& boot_info();

/// Guest physical address of an object of the image.
u64 physical(const void* object);

/// Status of a call whose input lies in this image. Reps in the rest of RAX are checked against `reps`.
tlfs::Status call(u16 code, const void* input, void* output = nullptr, u16 reps = 0);
tlfs::Status call(tlfs::CallCode code, const void* input, void* output = nullptr, u16 reps = 0);
tlfs::Status call_fast(vtl2::CallCode code, u64 rdx, u64& r8);

void say(const char* format, ...) __attribute__((format(printf, 1, 2)));
void check(bool good, const char* what);
u32 failures();

[[noreturn]] void finish(u8 status);

void set_register(tlfs::RegisterName name, tlfs::RegisterValue value);
u64 get_register(tlfs::RegisterName name);

/// The contents of fw_cfg file `name`, cut to `size_bytes` - 1 and terminated; false where there is none.
bool read_file(const char* name, char* text, usize size_bytes);

/// Where guest RAM is mapped.
template <typename T>
T* guest(u64 address) {
    return reinterpret_cast<T*>(vtl2::guest_virtual + address);
}

}  // namespace undercroft::stand_in

/// The stand-in's own part.
void stand_in_run();
void stand_in_run_secondary();
