// What the stand-ins for VTL2 share.
#include "tests/boot/vtl2/support.hpp"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/interrupts.hpp"
#include "boot/exit_status.hpp"
#include "boot/runtime/runtime.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/spinlock.hpp"
#include "kernel/spec/fw_cfg.hpp"

namespace undercroft::stand_in {

namespace {

const vtl2::BootInfo* info;
Spinlock page_lock;
alignas(page_size) u8 input_page[page_size];
alignas(page_size) u8 output_page[page_size];
u32 failed;

tlfs::Status status_of(u64 rax) { return static_cast<tlfs::Status>(rax & 0xFFFF); }

}  // namespace

void set_boot_info(const vtl2::BootInfo* given) { info = given; }
const vtl2::BootInfo& boot_info() { return *info; }

u64 physical(const void* object) { return reinterpret_cast<u64>(object) - vtl2::image_virtual + vtl2::memory_base; }

tlfs::Status call(u16 code, const void* input, void* output, u16 reps) {
    u64 value = reps == 0 ? tlfs::HypercallInput::simple(code).value : tlfs::HypercallInput::rep(code, reps).value;
    u64 out = output == nullptr ? 0 : physical(output);
    return status_of(arch::hypercall(value, physical(input), out).rax);
}
tlfs::Status call(tlfs::CallCode code, const void* input, void* output, u16 reps) {
    return call(static_cast<u16>(code), input, output, reps);
}
tlfs::Status call_fast(vtl2::CallCode code, u64 rdx, u64& r8) {
    auto result = arch::hypercall(tlfs::HypercallInput::fast(static_cast<u16>(code)).value, rdx, r8);
    r8 = result.r8;
    return status_of(result.rax);
}

void say(const char* format, ...) {
    SpinlockGuard guard(page_lock);
    auto* input = reinterpret_cast<vtl2::DebugLogInput*>(input_page);
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(input->text, sizeof(input->text), format, arguments);
    va_end(arguments);
    input->level = 2;
    input->size_bytes = static_cast<u32>(length < 0 ? 0 : length);
    call(static_cast<u16>(vtl2::CallCode::debug_log), input);
}

void check(bool good, const char* what) {
    failed += good ? 0 : 1;
    say("%s %s", good ? "ok" : "FAIL", what);
}
u32 failures() { return failed; }

void finish(u8 status) {
    for (;;) {
        u64 unused = 0;
        call_fast(vtl2::CallCode::platform_exit, status, unused);
    }
}

void set_register(tlfs::RegisterName name, tlfs::RegisterValue value) {
    SpinlockGuard guard(page_lock);
    struct Input {
        tlfs::VpRegistersInput header;
        tlfs::RegisterAssignment assignment;
    };
    auto* input = reinterpret_cast<Input*>(input_page);
    input->header = {tlfs::partition_self, tlfs::vp_self, tlfs::input_vtl0, {}};
    input->assignment = {static_cast<u32>(name), {}, value};
    if (call(tlfs::CallCode::set_vp_registers, input, nullptr, 1) != tlfs::Status::success) {
        ++failed;
    }
}

u64 get_register(tlfs::RegisterName name) {
    SpinlockGuard guard(page_lock);
    struct Input {
        tlfs::VpRegistersInput header;
        u32 name;
    };
    auto* input = reinterpret_cast<Input*>(input_page);
    input->header = {tlfs::partition_self, tlfs::vp_self, tlfs::input_vtl0, {}};
    input->name = static_cast<u32>(name);
    if (call(tlfs::CallCode::get_vp_registers, input, output_page, 1) != tlfs::Status::success) {
        ++failed;
    }
    tlfs::RegisterValue value;
    memcpy(&value, output_page, sizeof(value));
    return value.low;
}

bool read_file(const char* name, char* text, usize size_bytes) {
    alignas(page_size) static u8 buffer[page_size];
    auto read = [](u16 selector, u64 offset, u64 size) {
        alignas(64) static vtl2::FirmwareConfigInput input;
        input = {selector, {}, offset, size, physical(buffer)};
        return call(static_cast<u16>(vtl2::CallCode::firmware_config_read), &input) == tlfs::Status::success;
    };
    Be<u32> count;
    if (!read(fw_cfg::selector_directory, 0, sizeof(count))) {
        return false;
    }
    memcpy(&count, buffer, sizeof(count));
    for (u32 i = 0; i < count; ++i) {
        fw_cfg::DirectoryEntry entry;
        if (!read(fw_cfg::selector_directory, sizeof(count) + u64{i} * sizeof(entry), sizeof(entry))) {
            return false;
        }
        memcpy(&entry, buffer, sizeof(entry));
        if (strncmp(entry.name, name, sizeof(entry.name)) == 0) {
            usize size = entry.size_bytes < size_bytes - 1 ? usize{entry.size_bytes} : size_bytes - 1;
            if (!read(entry.selector, 0, size)) {
                return false;
            }
            memcpy(text, buffer, size);
            text[size] = 0;
            return true;
        }
    }
    return false;
}

}  // namespace undercroft::stand_in

namespace undercroft {

void panic(const char* file, int line, const char*, ...) {
    stand_in::say("panic at %s:%d", file, line);
    stand_in::finish(static_cast<u8>(ExitStatus::image_panic));
}

}  // namespace undercroft

extern "C" void paravisor_main(const undercroft::vtl2::BootInfo* given) {
    using namespace undercroft;
    stand_in::set_boot_info(given);
    runtime_initialise();
    arch::initialise_idt(false);
    static arch::DescriptorTables tables;
    arch::load_descriptor_tables(tables, 0, 0, 0);
    arch::load_idt();
    stand_in_run();
    stand_in::finish(static_cast<u8>(ExitStatus::image_panic));
}

extern "C" void paravisor_secondary_main() {
    using namespace undercroft;
    static arch::DescriptorTables tables;
    arch::load_descriptor_tables(tables, 0, 0, 0);
    arch::load_idt();
    stand_in_run_secondary();
}
