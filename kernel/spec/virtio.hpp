// Layouts and numbers of virtio 1.2 (OASIS, "Virtual I/O Device"): virtqueues (sections 2.7 and 2.8) and the block
// device (section 5.2). The PCI transport is in virtio_pci.hpp. Left out: legacy devices, zoned block devices.
#pragma once

#include <cstddef>

#include "kernel/base/endian.hpp"

namespace undercroft::virtio {

/// Section 5.
enum class DeviceType : u16 { block = 2, scsi = 8 };

// --- Feature bits ----------------------------------------------------------------------------------------------------

inline constexpr u64 feature_block_segments_max = 1ULL << 2;
inline constexpr u64 feature_block_read_only = 1ULL << 5;
inline constexpr u64 feature_block_size = 1ULL << 6;
inline constexpr u64 feature_block_flush = 1ULL << 9;
inline constexpr u64 feature_block_topology = 1ULL << 10;
inline constexpr u64 feature_block_queues = 1ULL << 12;
inline constexpr u64 feature_block_discard = 1ULL << 13;
inline constexpr u64 feature_block_write_zeroes = 1ULL << 14;
inline constexpr u64 feature_block_lifetime = 1ULL << 15;
inline constexpr u64 feature_indirect = 1ULL << 28;
inline constexpr u64 feature_event_index = 1ULL << 29;
inline constexpr u64 feature_version_1 = 1ULL << 32;
inline constexpr u64 feature_packed = 1ULL << 34;

// --- Virtqueues ------------------------------------------------------------------------------------------------------

inline constexpr u16 descriptor_next = 1U << 0;
inline constexpr u16 descriptor_write = 1U << 1;
inline constexpr u16 descriptor_indirect = 1U << 2;
inline constexpr u16 descriptor_available = 1U << 7;  ///< packed ring
inline constexpr u16 descriptor_used = 1U << 15;      ///< packed ring

inline constexpr u32 queue_size_max = 32768;

struct SplitDescriptor {
    Le<u64> address;
    Le<u32> length;
    Le<u16> flags;
    Le<u16> next;
};
static_assert(sizeof(SplitDescriptor) == 16 && offsetof(SplitDescriptor, next) == 14);

struct PackedDescriptor {
    Le<u64> address;
    Le<u32> length;
    Le<u16> id;
    Le<u16> flags;
};
static_assert(sizeof(PackedDescriptor) == 16 && offsetof(PackedDescriptor, flags) == 14);

struct UsedElement {
    Le<u32> id;
    Le<u32> length;
};
static_assert(sizeof(UsedElement) == 8 && offsetof(UsedElement, length) == 4);

// Both split rings start with flags and index; behind the last entry stands the other side's event index.
inline constexpr u64 ring_flags_offset = 0;
inline constexpr u64 ring_index_offset = 2;
inline constexpr u64 ring_entries_offset = 4;
inline constexpr u16 available_no_interrupt = 1;
inline constexpr u16 used_no_notify = 1;

// Event suppression of the packed ring: offset and wrap, then flags.
inline constexpr u64 event_offset_offset = 0;
inline constexpr u64 event_flags_offset = 2;
inline constexpr u16 event_enable = 0;
inline constexpr u16 event_disable = 1;
inline constexpr u16 event_descriptor = 2;
inline constexpr u16 event_wrap = 1U << 15;

// --- Block device ----------------------------------------------------------------------------------------------------

inline constexpr u32 block_sector_bytes = 512;  ///< the unit of every sector number, whatever the disk's own

enum class BlockRequestType : u32 {
    in = 0,
    out = 1,
    flush = 4,
    get_id = 8,
    get_lifetime = 10,
    discard = 11,
    write_zeroes = 13
};
enum class BlockStatusCode : u8 { ok = 0, io_error = 1, unsupported = 2 };

struct BlockRequestHeader {
    Le<u32> type;
    Le<u32> reserved;
    Le<u64> sector;
};
static_assert(sizeof(BlockRequestHeader) == 16 && offsetof(BlockRequestHeader, sector) == 8);

struct BlockRange {
    Le<u64> sector;
    Le<u32> sectors;
    Le<u32> flags;
};
static_assert(sizeof(BlockRange) == 16 && offsetof(BlockRange, flags) == 12);
inline constexpr u32 block_range_unmap = 1U << 0;
inline constexpr usize block_id_bytes = 20;

/// Wear, as eMMC counts it; 0 everywhere: not known.
struct BlockLifetime {
    Le<u16> reserved_blocks_used;
    Le<u16> estimate_a;
    Le<u16> estimate_b;
};
static_assert(sizeof(BlockLifetime) == 6 && offsetof(BlockLifetime, estimate_b) == 4);

struct BlockConfig {
    Le<u64> capacity;
    Le<u32> segment_bytes_max;
    Le<u32> segments_max;
    u8 geometry[4]{};
    Le<u32> block_size;
    u8 physical_block_exponent = 0;
    u8 alignment_offset = 0;
    Le<u16> io_blocks_min;
    Le<u32> io_blocks_optimal;
    u8 writeback = 0;
    u8 unused0 = 0;
    Le<u16> queues;
    Le<u32> discard_sectors_max;
    Le<u32> discard_segments_max;
    Le<u32> discard_sector_alignment;
    Le<u32> write_zeroes_sectors_max;
    Le<u32> write_zeroes_segments_max;
    u8 write_zeroes_may_unmap = 0;
    u8 unused1[3]{};
};
static_assert(sizeof(BlockConfig) == 60 && offsetof(BlockConfig, write_zeroes_may_unmap) == 56);

}  // namespace undercroft::virtio
