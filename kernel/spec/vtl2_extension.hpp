// What monitor and VTL2 need of each other and the TLFS has no call for: the boot information, and one small range of hypercalls that hand VTL2 a plain PCI
// function, its interrupts, firmware configuration, a log, and the machine's end. Ours; nothing else may be added elsewhere.
//
// Address space of VTL2 (guest physical): guest RAM where VTL0 has it; VTL2's own memory from `vtl2_memory_base`; device registers from `vtl2_device_base`.
// The monitor enters VTL2 on VP 0 in 64-bit mode, interrupts off, with these mappings (virtual), its page tables at the end of VTL2's memory:
//   vtl2_image_virtual  + x -> vtl2_memory_base + x   (VTL2's memory, read/write/execute, the image loaded at its linked addresses)
//   vtl2_guest_virtual  + x -> x                      (guest RAM, no execute)
//   vtl2_device_virtual + x -> vtl2_device_base + x   (device registers, uncached, no execute)
// RDI holds the virtual address of Vtl2BootInfo. The stack is VTL2's to set up. The other VPs are started with HvCallStartVirtualProcessor.
#pragma once

#include <cstddef>

#include "kernel/spec/tlfs.hpp"

namespace undercroft::vtl2 {

inline constexpr u64 memory_base = u64{1} << 38;     ///< guest physical
inline constexpr u64 device_base = u64{3} << 37;     ///< guest physical
inline constexpr u64 device_window_bytes = 1 * gib;  ///< of guest physical and virtual space
inline constexpr u64 image_virtual = 0x4000'0000;    ///< the image is linked here
inline constexpr u64 guest_virtual = u64{1} << 40;
inline constexpr u64 device_virtual = u64{2} << 40;

inline constexpr u64 boot_info_magic = 0x544F'4F42'5632'4355;  ///< "UC2VBOOT", little-endian
inline constexpr u32 boot_info_version = 1;
inline constexpr usize vps_max = 16;
inline constexpr usize guest_ranges_max = 8;
inline constexpr usize devices_max = 16;
inline constexpr usize device_bars_max = 6;

/// A piece of guest RAM. A device reaches guest address g at g - guest_address + device_address (without an IOMMU that is the machine address).
struct GuestRange {
    u64 guest_address;
    u64 size_bytes;
    u64 device_address;
};

/// A PCI function that is VTL2's.
struct AssignedDevice {
    u16 bus_device_function;  ///< bus 15:8, device 7:3, function 2:0
    u16 vendor_id;
    u16 device_id;
    u16 interrupt_count;  ///< MSI-X table size
    u32 class_code;       ///< class, subclass, interface in bits 23:0
    u32 reserved;
    u64 bar_bytes[device_bars_max];  ///< 0: none
};

struct BootInfo {
    u64 magic;
    u32 version;
    u32 vp_count;
    u64 memory_bytes;           ///< size of VTL2's own memory from memory_base, page tables included
    u64 memory_device_address;  ///< where a device finds memory_base
    u64 free_begin;             ///< first byte behind image and boot information, offset from memory_base
    u64 free_end;               ///< first byte of the page tables, offset from memory_base
    u64 tsc_frequency_hz;
    u64 apic_frequency_hz;  ///< of VTL0's local APIC timer, before its divider
    u64 entry_tsc;          ///< TSC at the machine's first instruction of ours
    u32 guest_range_count;
    u32 device_count;
    u32 apic_ids[vps_max];
    GuestRange guest_ranges[guest_ranges_max];
    AssignedDevice devices[devices_max];
};
static_assert(sizeof(BootInfo) <= page_size);

/// Call codes, from a range the TLFS leaves to extensions. Only VTL2 may call; every structure lies within one page.
enum class CallCode : u16 {
    debug_log = 0x8F00,             ///< DebugLogInput; never fails
    platform_exit = 0x8F01,         ///< fast; RDX: ExitStatus; does not return
    firmware_config_read = 0x8F02,  ///< FirmwareConfigInput
    pci_config_read = 0x8F03,       ///< fast; RDX: PciConfigAddress; value in the output register R8
    pci_config_write = 0x8F04,      ///< fast; RDX: PciConfigAddress, R8: value
    map_device_memory =
        0x8F05,  ///< fast; RDX: device index 15:0, BAR 23:16; R8 out: offset of the BAR from device_base. MSI-X table pages stay unmapped.
    map_device_interrupt = 0x8F06,  ///< MapInterruptInput
    map_line_interrupt = 0x8F07,    ///< MapInterruptInput; `device` is the ISA line
    get_statistics = 0x8F08,        ///< fast; RDX: VP index, R8: GPA of a Statistics to fill
};

/// One line of the log. Longer text is cut at the monitor's `log_line_bytes_max`.
struct DebugLogInput {
    u32 level;  ///< LogLevel
    u32 size_bytes;
    char text[1024];
};

/// Reads `size_bytes` of fw_cfg item `selector` from its start plus `offset_bytes` into guest physical `address`, which must be VTL2's memory or guest RAM.
struct FirmwareConfigInput {
    u16 selector;
    u16 reserved[3];
    u64 offset_bytes;
    u64 size_bytes;
    u64 address;
};

/// Packed into one register: device index 15:0, offset 27:16 (bytes), size 31:28 (1, 2, 4). Writes are limited to command (bus master, memory decode) and what the
/// monitor does not keep; a refused write answers `access_denied`.
struct PciConfigAddress {
    u64 value;
    static constexpr PciConfigAddress make(u16 device, u16 offset, u8 size) {
        return {device | (u64{offset} << 16) | (u64{size} << 28)};
    }
    constexpr u16 device() const { return static_cast<u16>(value); }
    constexpr u16 offset() const { return (value >> 16) & 0xFFF; }
    constexpr u8 size() const { return (value >> 28) & 0xF; }
};

/// Routes interrupt `entry` of `device` to `vector` (32..255) of VTL2 on `vp_index`. Edge, acknowledged by delivery (no EOI is written). `enable` 0 masks it.
struct MapInterruptInput {
    u16 device;
    u16 entry;
    u32 vp_index;
    u8 vector;
    u8 enable;
    u8 reserved[6];
};
static_assert(sizeof(MapInterruptInput) == 16);

/// Exits of one VP since its start, by kind.
struct Statistics {
    u64 vtl0_exits;    ///< all exits out of VTL0
    u64 vtl2_exits;    ///< all exits out of VTL2
    u64 vtl_switches;  ///< entries into VTL2
    u64 io_port;       ///< of vtl0_exits: port accesses
    u64 memory;        ///< nested page faults
    u64 msr;
    u64 cpuid;
    u64 halt;
    u64 interrupt;  ///< physical interrupts
    u64 interrupt_window;
    u64 other;
};

}  // namespace undercroft::vtl2
