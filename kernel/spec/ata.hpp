// The ATA task file and command set, and the PIIX bus master's registers and tables, as far as a controller in front of
// disks answers them. Left out: queued and streaming commands, security, device configuration overlay.
// Sources: ATA/ATAPI-7 volume 1 (T13/1532D); ACS-2 (T13/2015-D), "ACS" below; Intel 82371AB (PIIX4) data sheet section 6;
// SFF-8038i (bus master IDE).
#pragma once

#include "kernel/base/endian.hpp"
#include "kernel/base/types.hpp"

namespace undercroft::ata {

/// Ports of the two channels: eight from the first, and one for device control.
inline constexpr u16 primary_command_ports = 0x1F0;
inline constexpr u16 primary_control_port = 0x3F6;
inline constexpr u16 secondary_command_ports = 0x170;
inline constexpr u16 secondary_control_port = 0x376;
inline constexpr unsigned primary_irq = 14;
inline constexpr unsigned secondary_irq = 15;

/// Registers by their offset from the first command port.
namespace register_offset {
inline constexpr u16 data = 0;
inline constexpr u16 error_features = 1;
inline constexpr u16 count = 2;
inline constexpr u16 lba_low = 3;
inline constexpr u16 lba_mid = 4;
inline constexpr u16 lba_high = 5;
inline constexpr u16 device = 6;
inline constexpr u16 status_command = 7;
}  // namespace register_offset

namespace status_bit {
inline constexpr u8 error = 1u << 0;          ///< ERR; CHK of packet devices
inline constexpr u8 data_request = 1u << 3;   ///< DRQ
inline constexpr u8 seek_complete = 1u << 4;  ///< DSC; SERV of packet devices
inline constexpr u8 device_fault = 1u << 5;   ///< DF; DMRD of packet devices
inline constexpr u8 ready = 1u << 6;          ///< DRDY
inline constexpr u8 busy = 1u << 7;           ///< BSY
}  // namespace status_bit

namespace error_bit {
inline constexpr u8 aborted = 1u << 2;          ///< ABRT
inline constexpr u8 id_not_found = 1u << 4;     ///< IDNF
inline constexpr u8 uncorrectable = 1u << 6;    ///< UNC
inline constexpr unsigned sense_key_shift = 4;  ///< packet devices
}  // namespace error_bit

/// After a reset or EXECUTE DEVICE DIAGNOSTIC.
inline constexpr u8 diagnostic_passed = 0x01;

namespace control_bit {
inline constexpr u8 interrupts_off = 1u << 1;   ///< nIEN
inline constexpr u8 software_reset = 1u << 2;   ///< SRST
inline constexpr u8 high_order_byte = 1u << 7;  ///< HOB
}  // namespace control_bit

namespace device_bit {
inline constexpr u8 head_mask = 0x0F;
inline constexpr u8 second = 1u << 4;  ///< DEV
inline constexpr u8 lba = 1u << 6;
inline constexpr u8 obsolete = 0xA0;  ///< read as ones by what is older than ATA-6
}  // namespace device_bit

/// Interrupt reason of packet commands, in the count register.
namespace reason_bit {
inline constexpr u8 command = 1u << 0;  ///< C/D
inline constexpr u8 to_host = 1u << 1;  ///< I/O
}  // namespace reason_bit

/// Signatures after reset, in LBA mid and high.
inline constexpr u8 packet_signature_mid = 0x14;
inline constexpr u8 packet_signature_high = 0xEB;

enum class Command : u8 {
    nop = 0x00,
    data_set_management = 0x06,
    device_reset = 0x08,
    recalibrate = 0x10,  ///< to 1Fh
    read_sectors = 0x20,
    read_sectors_no_retry = 0x21,
    read_sectors_ext = 0x24,
    read_dma_ext = 0x25,
    read_native_max_ext = 0x27,
    read_multiple_ext = 0x29,
    write_sectors = 0x30,
    write_sectors_no_retry = 0x31,
    write_sectors_ext = 0x34,
    write_dma_ext = 0x35,
    write_multiple_ext = 0x39,
    write_dma_fua_ext = 0x3D,
    read_verify = 0x40,
    read_verify_no_retry = 0x41,
    read_verify_ext = 0x42,
    seek = 0x70,
    execute_diagnostic = 0x90,
    initialize_parameters = 0x91,
    standby_immediate_old = 0x94,
    idle_immediate_old = 0x95,
    standby_old = 0x96,
    idle_old = 0x97,
    check_power_old = 0x98,
    sleep_old = 0x99,
    packet = 0xA0,
    identify_packet_device = 0xA1,
    smart = 0xB0,
    read_multiple = 0xC4,
    write_multiple = 0xC5,
    set_multiple = 0xC6,
    read_dma = 0xC8,
    read_dma_no_retry = 0xC9,
    write_dma = 0xCA,
    write_dma_no_retry = 0xCB,
    write_multiple_fua_ext = 0xCE,
    standby_immediate = 0xE0,
    idle_immediate = 0xE1,
    standby = 0xE2,
    idle = 0xE3,
    check_power = 0xE5,
    sleep = 0xE6,
    flush_cache = 0xE7,
    flush_cache_ext = 0xEA,
    identify_device = 0xEC,
    set_features = 0xEF,
    read_native_max = 0xF8,
};

/// Subcommands of SET FEATURES, in the features register.
enum class Feature : u8 {
    enable_write_cache = 0x02,
    set_transfer_mode = 0x03,  ///< mode in the count register
    disable_look_ahead = 0x55,
    disable_revert_to_defaults = 0x66,
    disable_write_cache = 0x82,
    enable_look_ahead = 0xAA,
    enable_revert_to_defaults = 0xCC,
};

/// Transfer mode: kind in bits 7:3 of the count register, number in 2:0.
namespace transfer_mode {
inline constexpr u8 pio_default = 0x00;       ///< 00h, and 01h without IORDY
inline constexpr u8 pio_flow_control = 0x08;  ///< | mode
inline constexpr u8 multiword_dma = 0x20;     ///< | mode
inline constexpr u8 ultra_dma = 0x40;         ///< | mode
inline constexpr u8 kind_mask = 0xF8;
}  // namespace transfer_mode

/// Subcommands of SMART, in the features register.
enum class Smart : u8 {
    read_data = 0xD0,
    read_thresholds = 0xD1,
    autosave = 0xD2,
    enable = 0xD8,
    disable = 0xD9,
    return_status = 0xDA,
};
inline constexpr u8 smart_key_mid = 0x4F;  ///< LBA mid and high of each SMART command, and of a healthy answer
inline constexpr u8 smart_key_high = 0xC2;

/// DATA SET MANAGEMENT: the features bit, and one entry of its ranges: LBA 47:0, sectors 63:48; none where that is 0.
inline constexpr u8 trim_bit = 1u << 0;
using TrimRange = Le<u64>;
inline constexpr usize trim_block_bytes = 512;

/// Where things are in IDENTIFY (PACKET) DEVICE data, in 16-bit words (ACS 7.12.7, ATA/ATAPI-7 6.17).
namespace identify_word {
inline constexpr usize general = 0;
inline constexpr usize cylinders = 1;
inline constexpr usize heads = 3;
inline constexpr usize sectors_per_track = 6;
inline constexpr usize serial = 10;    ///< 10 words
inline constexpr usize firmware = 23;  ///< 4 words
inline constexpr usize model = 27;     ///< 20 words
inline constexpr usize multiple_max = 47;
inline constexpr usize capabilities = 49;
inline constexpr usize capabilities_2 = 50;
inline constexpr usize pio_timing = 51;
inline constexpr usize validity = 53;
inline constexpr usize current_cylinders = 54;
inline constexpr usize current_heads = 55;
inline constexpr usize current_sectors_per_track = 56;
inline constexpr usize current_capacity = 57;  ///< 2 words
inline constexpr usize multiple_now = 59;
inline constexpr usize sectors_28 = 60;  ///< 2 words
inline constexpr usize multiword_dma = 63;
inline constexpr usize pio_modes = 64;
inline constexpr usize cycle_times = 65;  ///< 4 words
inline constexpr usize additional = 69;
inline constexpr usize major_version = 80;
inline constexpr usize commands_supported = 82;  ///< 3 words
inline constexpr usize commands_enabled = 85;    ///< 3 words
inline constexpr usize ultra_dma = 88;
inline constexpr usize reset_result = 93;
inline constexpr usize sectors_48 = 100;  ///< 4 words
inline constexpr usize trim_blocks_max = 105;
inline constexpr usize sector_sizes = 106;
inline constexpr usize world_wide_name = 108;      ///< 4 words
inline constexpr usize logical_sector_size = 117;  ///< in words; 2 words
inline constexpr usize trim_support = 169;
inline constexpr usize rotation_rate = 217;
inline constexpr usize integrity = 255;
}  // namespace identify_word

inline constexpr usize identify_bytes = 512;

/// Bus master registers, from a channel's first (BAR4 + 0 or 8).
namespace bus_master_offset {
inline constexpr u16 command = 0;
inline constexpr u16 status = 2;
inline constexpr u16 table = 4;  ///< 4 bytes
inline constexpr u16 channel_stride = 8;
}  // namespace bus_master_offset

namespace bus_master_command_bit {
inline constexpr u8 start = 1u << 0;
inline constexpr u8 to_memory = 1u << 3;
}  // namespace bus_master_command_bit

namespace bus_master_status_bit {
inline constexpr u8 active = 1u << 0;
inline constexpr u8 error = 1u << 1;          ///< write 1 to clear
inline constexpr u8 interrupt = 1u << 2;      ///< write 1 to clear
inline constexpr u8 drive_capable = 3u << 5;  ///< scratch bits for drivers
}  // namespace bus_master_status_bit

/// One region of a physical region descriptor table.
struct RegionDescriptor {
    Le<u32> address;  ///< bit 0 is ignored
    Le<u16> bytes;    ///< 0: 64 KiB; bit 0 is ignored
    Le<u16> flags;
    static constexpr u16 end_of_table = 1u << 15;
};
static_assert(sizeof(RegionDescriptor) == 8 && offsetof(RegionDescriptor, flags) == 6);
/// A table is within one such piece of memory.
inline constexpr u64 region_table_bytes_max = 64 * kib;

/// Packet of the enlightened INT 13h, whose address is written to port 1E0h or 160h as a dword.
struct Int13Packet {
    u8 command = 0;      ///< an ATA command
    u8 device_head = 0;  ///< as the device register
    u8 flags = 0;
    u8 result_status = 0;  ///< out: the status register
    Le<u32> lba_low;
    Le<u16> lba_high;
    Le<u16> block_count;
    Le<u32> byte_count;
    Le<u32> data_buffer;  ///< a disk: the region descriptor table; an optical drive: the data
    Le<u16> skip_head_bytes;
    Le<u16> skip_tail_bytes;
};
static_assert(sizeof(Int13Packet) == 24 && offsetof(Int13Packet, skip_tail_bytes) == 22);
inline constexpr u16 primary_int13_port = 0x1E0;
inline constexpr u16 secondary_int13_port = 0x160;

/// Configuration registers of the PIIX4's IDE function.
namespace piix_offset {
inline constexpr u16 timing = 0x40;             ///< IDETIM: a word a channel
inline constexpr u16 slave_timing = 0x44;       ///< SIDETIM
inline constexpr u16 ultra_dma_control = 0x48;  ///< UDMACTL, and UDMATIM in its upper half
}  // namespace piix_offset
inline constexpr u16 piix_decode_enable = 1u << 15;  ///< of a channel's IDETIM

}  // namespace undercroft::ata
