// The hypercalls that VTL2 makes, each with its types. Input and output structures go through the calling processor's
// hypercall pages; nothing here waits, and every status other than success comes back as an Error.
#pragma once

#include <span>
#include <string_view>

#include "boot/exit_status.hpp"
#include "kernel/base/log.hpp"
#include "kernel/base/result.hpp"
#include "kernel/spec/tlfs.hpp"
#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft {

/// A register and its value, for get and set.
struct RegisterPair {
    tlfs::RegisterName name;
    tlfs::RegisterValue value;
};

/// Which VTL's registers: the caller's own, or the guest's.
enum class TargetVtl : u8 { own = 0, guest = tlfs::input_vtl0 };

/// One message-signalled interrupt into VTL0.
struct AssertedInterrupt {
    tlfs::InterruptType type = tlfs::InterruptType::fixed;
    bool level_triggered = false;
    bool logical_destination = false;
    u32 destination = 0;
    u8 vector = 0;
};

namespace hypercalls {

/// The pages that carry inputs and outputs of one processor's calls, and where the monitor finds them. Both in VTL2's
/// memory.
struct Pages {
    std::byte* input = nullptr;
    u64 input_address = 0;
    std::byte* output = nullptr;
    u64 output_address = 0;
};

/// HvCallGetVpRegisters of `vp_index` (or tlfs::vp_self): fills the values. At most 64 at a time.
Result<void> get_registers(u32 vp_index, TargetVtl target, std::span<RegisterPair> registers);
/// HvCallSetVpRegisters.
Result<void> set_registers(u32 vp_index, TargetVtl target, std::span<const RegisterPair> registers);
/// HvCallStartVirtualProcessor in VTL2.
Result<void> start_processor(u32 vp_index, const tlfs::InitialVpContext& context);
/// Puts VTL0 of VP 0 into the state `context` with `initial_rsi`, by HvCallSetVpRegisters: it runs from there.
Result<void> start_guest(const tlfs::InitialVpContext& context, u64 initial_rsi);
/// HvCallAssertVirtualInterrupt.
Result<void> assert_interrupt(const AssertedInterrupt& interrupt);

/// One line for the machine's log.
void debug_log(LogLevel level, std::string_view line);
/// Ends the machine.
[[noreturn]] void platform_exit(ExitStatus status);
/// The guest switched itself off: the machine ends with status 0.
[[noreturn]] void platform_power_off();
/// Reads from fw_cfg item `selector` into guest physical `address`.
Result<void> read_firmware_config(u16 selector, u64 offset_bytes, u64 size_bytes, u64 address);
Result<u32> read_pci_config(u16 device, u16 offset_bytes, u8 size_bytes);
Result<void> write_pci_config(u16 device, u16 offset_bytes, u8 size_bytes, u32 value);
/// Where BAR `bar` of `device` begins, as an offset from vtl2::device_virtual.
Result<u64> map_device_memory(u16 device, u8 bar);
Result<void> map_device_interrupt(const vtl2::MapInterruptInput& input);
Result<void> map_line_interrupt(const vtl2::MapInterruptInput& input);
/// Exit counters of `vp_index`.
Result<vtl2::Statistics> get_statistics(u32 vp_index);

}  // namespace hypercalls

}  // namespace undercroft
