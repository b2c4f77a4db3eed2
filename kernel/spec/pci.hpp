// PCI configuration space of a type 0 function, and the capabilities that this tree uses. Left out: bridges, extended
// configuration space.
// Sources: PCI Local Bus 3.0 sections 6.1, 6.2 and 6.8; PCI Express Base 4.0 section 7.5 and 7.7.
#pragma once

#include "kernel/base/types.hpp"
#include "kernel/spec/bits.hpp"

namespace undercroft::pci {

/// Offsets in bytes into configuration space.
namespace config_offset {
inline constexpr u16 ids = 0x00;             ///< vendor 15:0, device 31:16
inline constexpr u16 command_status = 0x04;  ///< command 15:0, status 31:16
inline constexpr u16 revision_class = 0x08;  ///< revision 7:0, class code 31:8
inline constexpr u16 header = 0x0c;          ///< cache line, latency, header type 23:16, BIST
inline constexpr u16 bar0 = 0x10;
inline constexpr u16 subsystem_ids = 0x2c;
inline constexpr u16 expansion_rom = 0x30;
inline constexpr u16 capabilities = 0x34;
inline constexpr u16 interrupt = 0x3c;  ///< line 7:0, pin 15:8
}  // namespace config_offset

inline constexpr usize config_space_bytes = 256;

namespace command_bit {
inline constexpr u16 io_space = 1u << 0;
inline constexpr u16 memory_space = 1u << 1;
inline constexpr u16 bus_master = 1u << 2;
inline constexpr u16 parity_error_response = 1u << 6;
inline constexpr u16 serr_enable = 1u << 8;
inline constexpr u16 interrupt_disable = 1u << 10;
}  // namespace command_bit

namespace status_bit {
inline constexpr u16 interrupt = 1u << 3;
inline constexpr u16 capabilities_list = 1u << 4;
}  // namespace status_bit

/// Low bits of a base address register.
namespace bar_bit {
inline constexpr u32 io_space = 1u << 0;
inline constexpr u32 memory_64bit = 2u << 1;
inline constexpr u32 prefetchable = 1u << 3;
inline constexpr u32 memory_flags = 0xf;
inline constexpr u32 io_flags = 0x3;
}  // namespace bar_bit

namespace capability_id {
inline constexpr u8 power_management = 0x01;
inline constexpr u8 msi = 0x05;
inline constexpr u8 vendor_specific = 0x09;
inline constexpr u8 express = 0x10;
inline constexpr u8 msix = 0x11;
inline constexpr u8 advanced_features = 0x13;
}  // namespace capability_id

/// Class code of an NVMe I/O controller: mass storage, NVM, NVM Express.
inline constexpr u32 class_nvme = 0x010802;
inline constexpr u32 class_scsi = 0x010000;
inline constexpr u32 class_other_mass_storage = 0x018000;
inline constexpr u32 class_host_bridge = 0x060000;

/// Message control of the MSI-X capability: bytes 2 and 3 of it.
struct MsixControl {
    u16 raw = 0;
    constexpr u32 entries() const { return u32{get_bits(raw, 0, 11)} + 1; }  ///< table size, zero's based
    constexpr bool function_mask() const { return get_bits(raw, 14, 1) != 0; }
    constexpr bool enable() const { return get_bits(raw, 15, 1) != 0; }
    static constexpr u16 function_mask_bit = 1u << 14;
    static constexpr u16 enable_bit = 1u << 15;
};

/// One entry of the MSI-X table: 16 bytes; offsets of its dwords.
namespace msix_entry {
inline constexpr u64 size_bytes = 16;
inline constexpr u64 address_low = 0;
inline constexpr u64 address_high = 4;
inline constexpr u64 data = 8;
inline constexpr u64 vector_control = 12;
inline constexpr u32 vector_mask = 1u << 0;  ///< of `vector_control`
}  // namespace msix_entry

/// Advanced Features capability (PCI-SIG ECN "Advanced Capabilities for Conventional PCI"): offsets of its dwords, and
/// its bits within them. Its length is 6, the second dword's upper half is not its.
namespace advanced_features {
inline constexpr u16 abilities = 0;
inline constexpr u16 control = 4;
inline constexpr u16 size_bytes = 8;
inline constexpr u8 length = 6;
inline constexpr u32 transactions_pending_capable = 1u << 24;  ///< of `abilities`
inline constexpr u32 function_reset_capable = 1u << 25;
inline constexpr u32 initiate_function_reset = 1u << 0;  ///< of `control`
inline constexpr u32 transactions_pending = 1u << 8;
}  // namespace advanced_features

/// MSI-X capability: offsets of its dwords; BAR index is in bits 2:0 of table and pending words.
namespace msix_capability {
inline constexpr u16 control = 0;
inline constexpr u16 table = 4;
inline constexpr u16 pending = 8;
inline constexpr u16 size_bytes = 12;
inline constexpr u32 bar_index_mask = 7;
}  // namespace msix_capability

}  // namespace undercroft::pci
