// The Linux/x86 boot protocol: the setup header of a bzImage and the zero page (boot_params), as far as a 64-bit boot
// loader fills them in.
// Source: Linux Documentation/arch/x86/boot.rst (protocol 2.15) and zero-page.rst.
#pragma once

#include <cstddef>

#include "kernel/base/endian.hpp"

namespace undercroft::linux_boot {

inline constexpr usize sector_bytes = 512;
inline constexpr u64 setup_header_offset = 0x1F1;  ///< in the image and in the zero page alike
inline constexpr u16 boot_flag = 0xAA55;
inline constexpr u32 header_magic = 0x5372'6448;  ///< "HdrS"
/// First version whose header says whether there is a 64-bit entry.
inline constexpr u16 version_min = 0x020C;
inline constexpr u64 entry64_offset = 0x200;  ///< from where the protected-mode part lies
inline constexpr u8 default_setup_sectors = 4;
inline constexpr u8 loader_undefined = 0xFF;

namespace load_flag {
inline constexpr u8 loaded_high = 1u << 0;
inline constexpr u8 can_use_heap = 1u << 7;
}  // namespace load_flag

namespace extended_load_flag {
inline constexpr u16 kernel_64 = 1u << 0;
inline constexpr u16 above_4gib = 1u << 1;
}  // namespace extended_load_flag

struct SetupHeader {
    u8 setup_sectors = 0;
    Le<u16> root_flags;
    Le<u32> system_size;  ///< of the protected-mode part, in 16-byte units
    Le<u16> ram_size;
    Le<u16> video_mode;
    Le<u16> root_device;
    Le<u16> boot_flag;
    u8 jump = 0;
    u8 header_bytes = 0;  ///< the header ends this many bytes behind `magic`'s place
    Le<u32> magic;
    Le<u16> version;
    Le<u32> real_mode_switch;
    Le<u16> start_segment;
    Le<u16> kernel_version;
    u8 loader_type = 0;
    u8 load_flags = 0;
    Le<u16> move_size;
    Le<u32> code32_start;
    Le<u32> ramdisk_address;
    Le<u32> ramdisk_bytes;
    Le<u32> bootsect_kludge;
    Le<u16> heap_end;
    u8 extended_loader_version = 0;
    u8 extended_loader_type = 0;
    Le<u32> command_line_address;
    Le<u32> initrd_address_max;  ///< highest address the initial RAM disk may occupy
    Le<u32> kernel_alignment;
    u8 is_relocatable = 0;
    u8 min_alignment_log2 = 0;
    Le<u16> extended_load_flags;
    Le<u32> command_line_bytes_max;  ///< without the terminating zero
    Le<u32> hardware_subarchitecture;
    Le<u64> hardware_subarchitecture_data;
    Le<u32> payload_offset;
    Le<u32> payload_bytes;
    Le<u64> setup_data;
    Le<u64> preferred_address;
    Le<u32> init_size;  ///< memory needed from where the kernel is loaded on, before it looks at the memory map
    Le<u32> handover_offset;
    Le<u32> kernel_info_offset;
};
static_assert(sizeof(SetupHeader) == 0x26C - setup_header_offset);
static_assert(setup_header_offset + offsetof(SetupHeader, magic) == 0x202);
static_assert(setup_header_offset + offsetof(SetupHeader, kernel_info_offset) == 0x268);

enum class E820Type : u32 { ram = 1, reserved = 2, acpi_reclaimable = 3, acpi_nvs = 4 };

struct E820Entry {
    Le<u64> address;
    Le<u64> size_bytes;
    Le<u32> type;  ///< E820Type
};
static_assert(sizeof(E820Entry) == 20 && offsetof(E820Entry, type) == 16);
inline constexpr usize e820_entries_max = 128;

/// The zero page.
struct BootParameters {
    u8 screen_info[0x40] = {};
    u8 unused1[0x70 - 0x40] = {};
    Le<u64> acpi_rsdp_address;
    u8 unused2[0xC0 - 0x78] = {};
    Le<u32> ramdisk_address_high;
    Le<u32> ramdisk_bytes_high;
    Le<u32> command_line_address_high;
    u8 unused3[0x1E8 - 0xCC] = {};
    u8 e820_count = 0;
    u8 unused4[0x1EF - 0x1E9] = {};
    u8 sentinel = 0;  ///< must be 0: says that the page was cleared
    u8 unused5 = 0;
    SetupHeader header = {};
    u8 unused6[0x2D0 - 0x26C] = {};
    E820Entry e820[e820_entries_max] = {};
    u8 unused7[0x1000 - 0x2D0 - e820_entries_max * sizeof(E820Entry)] = {};
};
static_assert(sizeof(BootParameters) == 4096 && offsetof(BootParameters, e820_count) == 0x1E8 &&
              offsetof(BootParameters, header) == setup_header_offset && offsetof(BootParameters, e820) == 0x2D0);

/// Selectors the 64-bit entry expects: __BOOT_CS and __BOOT_DS.
inline constexpr u16 code_selector = 0x10;
inline constexpr u16 data_selector = 0x18;

}  // namespace undercroft::linux_boot
