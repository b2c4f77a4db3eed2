// QEMU's firmware configuration device on x86: ports, selectors, the DMA request. Source: QEMU's specification of
// fw_cfg.
#pragma once

#include <cstddef>

#include "kernel/base/endian.hpp"

namespace undercroft::fw_cfg {

inline constexpr u16 selector_port = 0x510;
inline constexpr u16 data_port = 0x511;
inline constexpr u16 dma_port_high = 0x514;  ///< big-endian, upper half of the request's address
inline constexpr u16 dma_port_low = 0x518;   ///< lower half; starts it

inline constexpr u16 selector_signature = 0x00;  ///< "QEMU"
inline constexpr u16 selector_features = 0x01;   ///< bit 1: DMA
inline constexpr u16 selector_directory = 0x19;
inline constexpr u16 selector_first_file = 0x20;
inline constexpr u32 feature_dma = 1u << 1;

struct DmaRequest {
    Be<u32> control;  ///< see dma_control; the device clears it when done
    Be<u32> length;
    Be<u64> address;
};
static_assert(sizeof(DmaRequest) == 16);

namespace dma_control {
inline constexpr u32 error = 1u << 0;
inline constexpr u32 read = 1u << 1;
inline constexpr u32 skip = 1u << 2;
inline constexpr u32 select = 1u << 3;  ///< selector in bits 31:16
}  // namespace dma_control

/// The directory: a big-endian count, then entries.
struct DirectoryEntry {
    Be<u32> size_bytes;
    Be<u16> selector;
    Be<u16> reserved;
    char name[56] = {};
};
static_assert(sizeof(DirectoryEntry) == 64);

/// One command of the file "etc/table-loader", by which firmware places tables. Only "allocate" is used here: copy
/// `file` to memory of the zone.
struct LoaderAllocate {
    Le<u32> command;
    char file[56] = {};
    Le<u32> alignment;
    u8 zone = 0;
    u8 reserved[63] = {};
};
static_assert(sizeof(LoaderAllocate) == 128 && offsetof(LoaderAllocate, zone) == 64);
inline constexpr u32 loader_command_allocate = 1;
inline constexpr u8 loader_zone_below_1mib = 2;  ///< where root pointers are looked for

}  // namespace undercroft::fw_cfg
