// What the monitor needs of the machine's ACPI tables: processors, I/O APIC, where COM1's line goes, how to power off,
// the PM timer.
// Every length and pointer is checked against the memory that may be read. Left out: AML, but for a search for \_S5.
#pragma once

#include <span>

#include "kernel/base/result.hpp"
#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft::monitor {

/// Memory that may be read: physical address a is at `base` + a, for a below `size`.
struct PhysicalWindow {
    u64 base;
    u64 size;
    /// The bytes at physical `address`; `out_of_range`.
    Result<const u8*> at(u64 address, u64 size_bytes) const;
};

struct FirmwareTables {
    u32 apic_ids[vtl2::vps_max];  ///< enabled processors, in table order
    u32 cpu_count;
    u32 cpus_beyond_limit;  ///< enabled processors that were left out
    u64 local_apic_address;
    u64 io_apic_address;  ///< of the I/O APIC that serves interrupt 0; 0: none
    u32 isa_line_interrupt[16];
    u16 isa_line_flags[16];  ///< MADT: polarity 1:0, trigger mode 3:2; 0: edge, active high
    u16 pm1a_control_port;
    u16 pm1b_control_port;  ///< 0: none
    u16 pm_timer_port;      ///< 0: none
    u8 sleep_type_a;        ///< for S5
    u8 sleep_type_b;
    bool can_power_off;
};

/// Reads the tables behind the root pointer at `root_pointer`. `not_found` without one, `malformed` where a table
/// contradicts itself.
Result<FirmwareTables> read_firmware_tables(const PhysicalWindow& window, u64 root_pointer);

}  // namespace undercroft::monitor
