// The integer names that the whole tree uses, and the few units that appear everywhere.
#pragma once

#include <cstddef>
#include <cstdint>

namespace undercroft {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i8 = std::int8_t;
using i16 = std::int16_t;
using i32 = std::int32_t;
using i64 = std::int64_t;
using usize = std::size_t;

inline constexpr u64 kib = 1024;
inline constexpr u64 mib = 1024 * kib;
inline constexpr u64 gib = 1024 * mib;

/// The unit of every page table, PRP list and overlay in this tree: 4 KiB.
inline constexpr usize page_size = 4096;
/// A large page of x86-64 long mode and of nested paging: 2 MiB.
inline constexpr usize large_page_size = 2 * mib;

inline constexpr u64 nanoseconds_per_microsecond = 1'000;
inline constexpr u64 nanoseconds_per_millisecond = 1'000'000;
inline constexpr u64 nanoseconds_per_second = 1'000'000'000;

/// Rounds `value` up to a multiple of `alignment`, which must be a power of two.
constexpr u64 align_up(u64 value, u64 alignment) { return (value + alignment - 1) & ~(alignment - 1); }

/// Rounds `value` down to a multiple of `alignment`, which must be a power of two.
constexpr u64 align_down(u64 value, u64 alignment) { return value & ~(alignment - 1); }

/// Whether `value` is a multiple of `alignment`, which must be a power of two.
constexpr bool is_aligned(u64 value, u64 alignment) { return (value & (alignment - 1)) == 0; }

}  // namespace undercroft
