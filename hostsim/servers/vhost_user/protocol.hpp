// Messages of vhost-user (QEMU project, docs/interop/vhost-user.rst). Both sides run on one machine: fields are in its
// own byte order, which is little-endian here. Left out: migration (dirty log), IOTLB, postcopy, crypto and network.
#pragma once

#include <cstddef>

#include "kernel/base/types.hpp"

namespace undercroft::vhost_user {

enum class Message : u32 {
    get_features = 1,
    set_features = 2,
    set_owner = 3,
    reset_owner = 4,
    set_memory_table = 5,
    set_ring_size = 8,
    set_ring_addresses = 9,
    set_ring_base = 10,
    get_ring_base = 11,
    set_ring_kick = 12,
    set_ring_call = 13,
    set_ring_error = 14,
    get_protocol_features = 15,
    set_protocol_features = 16,
    get_queue_count = 17,
    set_ring_enable = 18,
    set_backend_channel = 21,
    get_config = 24,
    set_config = 25,
    get_inflight = 31,
    set_inflight = 32,
};
inline constexpr u32 backend_config_changed = 2;

inline constexpr u32 flag_version = 1;
inline constexpr u32 flag_version_mask = 3;
inline constexpr u32 flag_reply = 1U << 2;
inline constexpr u32 flag_need_reply = 1U << 3;

struct Header {
    u32 request;
    u32 flags;
    u32 size;
};
static_assert(sizeof(Header) == 12 && offsetof(Header, size) == 8);

inline constexpr u64 feature_protocol = 1ULL << 30;

inline constexpr u64 protocol_queues = 1ULL << 0;
inline constexpr u64 protocol_reply_ack = 1ULL << 3;
inline constexpr u64 protocol_backend_channel = 1ULL << 5;
inline constexpr u64 protocol_config = 1ULL << 9;
inline constexpr u64 protocol_inflight = 1ULL << 12;

struct RingState {
    u32 index;
    u32 value;
};
static_assert(sizeof(RingState) == 8);

struct RingAddresses {
    u32 index;
    u32 flags;
    u64 descriptors;  ///< these are addresses in the frontend's own memory
    u64 used;
    u64 available;
    u64 log;
};
static_assert(sizeof(RingAddresses) == 40 && offsetof(RingAddresses, log) == 32);

inline constexpr u64 ring_index_mask = 0xff;
inline constexpr u64 ring_no_descriptor = 1ULL << 8;

struct MemoryRegion {
    u64 guest_address;
    u64 size_bytes;
    u64 user_address;
    u64 map_offset;
};
static_assert(sizeof(MemoryRegion) == 32);

inline constexpr usize memory_regions_max = 8;

struct MemoryTableHeader {
    u32 count;
    u32 padding;
};
static_assert(sizeof(MemoryTableHeader) == 8);

struct ConfigHeader {
    u32 offset;
    u32 size;
    u32 flags;
};
static_assert(sizeof(ConfigHeader) == 12);
inline constexpr u32 config_bytes_max = 256;

struct Inflight {
    u64 map_bytes;
    u64 map_offset;
    u16 queues;
    u16 queue_size;
};
static_assert(sizeof(Inflight) == 24 && offsetof(Inflight, queue_size) == 18);
inline constexpr u32 inflight_wire_bytes = 20;

/// The largest payload that is taken, and the most descriptors with it.
inline constexpr u32 payload_bytes_max = 512;
inline constexpr usize descriptors_max = memory_regions_max;

}  // namespace undercroft::vhost_user
