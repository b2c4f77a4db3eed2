// Where things are in the guest's physical address space. The DSDT (acpi/dsdt.asl) repeats some of these numbers.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::address_map {

/// RAM below 1 MiB that the guest may use ends here; an extended BIOS data area would follow.
inline constexpr u64 low_ram_end = 0x9'FC00;
/// Video memory and adapter ROMs: reserved.
inline constexpr u64 legacy_hole_begin = 0xA'0000;
/// ACPI tables; the root pointer comes first, where a scan finds it.
inline constexpr u64 acpi_tables_begin = 0xE'0000;
inline constexpr u64 acpi_tables_end = 0x10'0000;
inline constexpr u64 high_ram_begin = 0x10'0000;
/// Firmware of a PC ends at 1 MiB; the monitor shows the last 256 KiB once more at the end of 4 GiB, where a processor
/// begins after reset.
inline constexpr u64 firmware_end = 0x10'0000;
inline constexpr u64 firmware_bytes_max = 256 * kib;
/// What a guest with firmware finds at the end of its RAM below 4 GiB: ACPI tables, reserved.
inline constexpr u64 firmware_reserve_bytes = 128 * kib;

/// PCI windows with 32-bit addresses; RAM below 4 GiB must end at or before the first.
inline constexpr u64 device_hole_begin = 0xC000'0000;
inline constexpr u64 device_hole_end = 0xFEC0'0000;  ///< the I/O APIC, then the local APICs
inline constexpr u64 above_4gib = u64{1} << 32;

/// Where the firmware's part puts its own windows, leaving the lower part of the hole to the guest.
inline constexpr u64 assigned_windows_begin = 0xE000'0000;
inline constexpr u32 io_windows_begin = 0xC000;
inline constexpr u32 io_windows_end = 0x1'0000;

/// The window above RAM begins at a multiple of this, and is that large where addresses reach.
inline constexpr u64 high_window_alignment = u64{1} << 36;

inline constexpr u64 local_apic_address = 0xFEE0'0000;

}  // namespace undercroft::address_map
