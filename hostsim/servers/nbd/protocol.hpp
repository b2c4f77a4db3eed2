// Layouts and numbers of the NBD protocol (NetworkBlockDevice project, doc/proto.md), fixed newstyle handshake. Left
// out: TLS, the oldstyle handshake, extended headers, the experimental RESIZE command.
#pragma once

#include <cstddef>

#include "kernel/base/endian.hpp"

namespace undercroft::nbd {

// --- Handshake -------------------------------------------------------------------------------------------------------

inline constexpr u64 init_magic = 0x4e42'444d'4147'4943;    // "NBDMAGIC"
inline constexpr u64 option_magic = 0x4948'4156'454f'5054;  // "IHAVEOPT"
inline constexpr u64 option_reply_magic = 0x0003'e889'0455'65a9;

struct Greeting {
    Be<u64> init_magic;
    Be<u64> option_magic;
    Be<u16> flags;
};
static_assert(sizeof(Greeting) == 18 && offsetof(Greeting, flags) == 16);

inline constexpr u16 handshake_fixed_newstyle = 1U << 0;
inline constexpr u16 handshake_no_zeroes = 1U << 1;

struct OptionHeader {
    Be<u64> magic;
    Be<u32> option;
    Be<u32> length;
};
static_assert(sizeof(OptionHeader) == 16 && offsetof(OptionHeader, length) == 12);

enum class Option : u32 {
    export_name = 1,
    abort = 2,
    list = 3,
    info = 6,
    go = 7,
    structured_reply = 8,
    list_meta_context = 9,
    set_meta_context = 10,
};

struct OptionReplyHeader {
    Be<u64> magic;
    Be<u32> option;
    Be<u32> type;
    Be<u32> length;
};
static_assert(sizeof(OptionReplyHeader) == 20 && offsetof(OptionReplyHeader, length) == 16);

enum class OptionReply : u32 {
    acknowledged = 1,
    server = 2,
    info = 3,
    meta_context = 4,
    error_unsupported = 0x8000'0001,
    error_invalid = 0x8000'0003,
    error_unknown_export = 0x8000'0006,
    error_block_size_required = 0x8000'0008,
};

enum class Info : u16 { export_facts = 0, name = 1, description = 2, block_size = 3 };

struct InfoExport {
    Be<u16> type;
    Be<u64> size_bytes;
    Be<u16> flags;
};
static_assert(sizeof(InfoExport) == 12 && offsetof(InfoExport, flags) == 10);

struct InfoBlockSize {
    Be<u16> type;
    Be<u32> minimum;
    Be<u32> preferred;
    Be<u32> maximum;
};
static_assert(sizeof(InfoBlockSize) == 14 && offsetof(InfoBlockSize, maximum) == 10);

inline constexpr usize export_name_zeroes = 124;
/// Strings (names, descriptions, queries) are no longer than this.
inline constexpr u32 string_bytes_max = 4096;

// --- Transmission ----------------------------------------------------------------------------------------------------

inline constexpr u16 flag_has_flags = 1U << 0;
inline constexpr u16 flag_read_only = 1U << 1;
inline constexpr u16 flag_send_flush = 1U << 2;
inline constexpr u16 flag_send_fua = 1U << 3;
inline constexpr u16 flag_send_trim = 1U << 5;
inline constexpr u16 flag_send_write_zeroes = 1U << 6;
inline constexpr u16 flag_send_df = 1U << 7;
inline constexpr u16 flag_can_multi_conn = 1U << 8;
inline constexpr u16 flag_send_fast_zero = 1U << 11;

inline constexpr u32 request_magic = 0x2560'9513;

struct RequestHeader {
    Be<u32> magic;
    Be<u16> flags;
    Be<u16> type;
    Be<u64> cookie;
    Be<u64> offset;
    Be<u32> length;
};
static_assert(sizeof(RequestHeader) == 28 && offsetof(RequestHeader, length) == 24);

enum class Command : u16 {
    read = 0,
    write = 1,
    disconnect = 2,
    flush = 3,
    trim = 4,
    write_zeroes = 6,
    block_status = 7
};

inline constexpr u16 command_fua = 1U << 0;
inline constexpr u16 command_no_hole = 1U << 1;
inline constexpr u16 command_df = 1U << 2;
inline constexpr u16 command_request_one = 1U << 3;
inline constexpr u16 command_fast_zero = 1U << 4;

inline constexpr u32 simple_reply_magic = 0x6744'6698;

struct SimpleReply {
    Be<u32> magic;
    Be<u32> error;
    Be<u64> cookie;
};
static_assert(sizeof(SimpleReply) == 16 && offsetof(SimpleReply, cookie) == 8);

inline constexpr u32 chunk_magic = 0x668e'33ef;

struct ChunkHeader {
    Be<u32> magic;
    Be<u16> flags;
    Be<u16> type;
    Be<u64> cookie;
    Be<u32> length;
};
static_assert(sizeof(ChunkHeader) == 20 && offsetof(ChunkHeader, length) == 16);

inline constexpr u16 chunk_done = 1U << 0;

enum class Chunk : u16 { none = 0, offset_data = 1, offset_hole = 2, block_status = 5, error = 0x8001 };

struct OffsetHole {
    Be<u64> offset;
    Be<u32> length;
};
static_assert(sizeof(OffsetHole) == 12 && offsetof(OffsetHole, length) == 8);

/// What an error chunk starts with; `message_bytes` of text follow.
struct ErrorChunk {
    Be<u32> error;
    Be<u16> message_bytes;
};
static_assert(sizeof(ErrorChunk) == 6 && offsetof(ErrorChunk, message_bytes) == 4);

struct Extent {
    Be<u32> length;
    Be<u32> flags;
};
static_assert(sizeof(Extent) == 8 && offsetof(Extent, flags) == 4);

inline constexpr u32 extent_hole = 1U << 0;
inline constexpr u32 extent_zero = 1U << 1;

/// The one metadata context there is, and its number on the wire.
inline constexpr char allocation_context[] = "base:allocation";
inline constexpr u32 allocation_context_id = 1;

/// Error numbers of the protocol: Linux's, whatever the host.
enum class WireError : u32 {
    none = 0,
    not_permitted = 1,
    io = 5,
    no_memory = 12,
    invalid = 22,
    no_space = 28,
    overflow = 75,
    not_supported = 95,
    shutting_down = 108,
};

/// The largest request that is served, and what is advertised as such.
inline constexpr u32 request_bytes_max = 32 * mib;
/// A write whose payload would be longer is no request of a client that follows the protocol: the connection ends.
inline constexpr u32 payload_bytes_max = 64 * mib;

}  // namespace undercroft::nbd
