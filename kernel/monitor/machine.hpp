// The one machine: what was found at power-on and what was made of it. Filled by the boot steps on the first CPU,
// constant afterwards except where it says so.
#pragma once

#include "arch/x86_64/physical_apic.hpp"
#include "kernel/base/spinlock.hpp"
#include "kernel/monitor/assigned_devices.hpp"
#include "kernel/monitor/firmware_tables.hpp"
#include "kernel/monitor/guest_hypervisor.hpp"
#include "kernel/monitor/memory_plan.hpp"
#include "kernel/monitor/page_tables.hpp"
#include "kernel/monitor/virtual_processor.hpp"

namespace undercroft::monitor {

/// Physical vectors that the monitor keeps; the rest from `first_device_vector` on is for devices.
inline constexpr u8 first_device_vector = 0x30;
inline constexpr u8 last_device_vector = 0xEF;
inline constexpr u8 timer_vector = 0xF0;
inline constexpr u8 kick_vector = 0xF1;
inline constexpr u8 spurious_vector = 0xFF;

inline constexpr u64 heartbeat_ms = 20;

struct Machine {
    u64 entry_tsc;
    u64 tsc_frequency_hz;
    u64 timer_frequency_hz;   ///< of the physical APIC timer
    u64 timer_ticks_per_tsc;  ///< fixed point, 32 fractional bits
    /// The machine is QEMU's TCG. It updates a CPU's pending interrupts without a lock when it enters and leaves a guest:
    /// one that arrives just then is forgotten until the next, so there the timer ticks at least every `heartbeat_ms`,
    /// and repeats. For its other faults see docs/architecture.md.
    bool is_tcg;
    bool has_tsc_deadline;
    bool has_next_rip;
    bool tsc_invariant;
    u64 xcr0;  ///< every component that a level may use

    MemoryPlan memory;
    FirmwareTables firmware;
    arch::PhysicalApic apic;
    arch::PhysicalIoApic io_apic;

    PagePool pool;
    PageTables own;    ///< the monitor's
    PageTables guest;  ///< VTL0's view; changes under `view_lock`
    PageTables image;  ///< VTL2's view; changes under `view_lock`
    Spinlock view_lock;
    /// Counts changes of VTL0's view that take something away.
    std::atomic<u64> flush_generation{1};

    AssignedDevices devices;
    GuestHypervisor guest_hypervisor;  ///< partition-wide synthetic MSRs of VTL0

    u32 vp_count;
    VirtualProcessor vps[vtl2::vps_max];
};

extern constinit Machine machine;

/// After a change of VTL0's view: returns when no CPU uses what was there before.
void flush_guest_view();

/// Where VTL2 finds `size_bytes` at its guest physical `address`: within one page of its own memory or of guest RAM.
/// `out_of_range`, `invalid_argument` when it crosses a page or is not aligned to 8 bytes.
Result<void*> image_memory(u64 address, u64 size_bytes);

/// Delivers an interrupt to VTL0's local APICs, as if `sender` had sent it (null: a device).
void deliver_to_guest(const Interrupt& interrupt, VirtualProcessor* sender);

/// ACPI power off for status 0, the debug exit otherwise.
[[noreturn]] void end_machine(u8 status);

}  // namespace undercroft::monitor
