// Guest memory as VTL2 sees it: a few large ranges of guest physical addresses, each mapped linearly. Everything a
// guest says about an address is checked here, once. The bytes may change at any moment under our hands: copy in,
// check, use; never read twice.
#pragma once

#include <span>
#include <type_traits>

#include "kernel/base/result.hpp"

namespace undercroft {

/// One contiguous piece of guest RAM.
struct GuestMemoryRange {
    u64 guest_address;  ///< first guest physical address, page-aligned
    u64 size_bytes;     ///< multiple of the page size
    std::byte* data;    ///< where it is mapped here
};

inline constexpr usize guest_memory_ranges_max = 8;

class GuestMemory {
public:
    GuestMemory() = default;
    /// Ranges must be sorted, page-aligned and disjoint; at most `guest_memory_ranges_max`.
    static Result<GuestMemory> create(std::span<const GuestMemoryRange> ranges);

    std::span<const GuestMemoryRange> ranges() const { return {ranges_, count_}; }
    u64 total_bytes() const;

    /// The memory at [`guest_address`, + `size_bytes`), which must lie in one range. `out_of_range` otherwise. An empty
    /// piece is fine anywhere in a range.
    Result<std::span<std::byte>> resolve(u64 guest_address, u64 size_bytes) const;

    /// Copies out of guest memory.
    Result<void> read(u64 guest_address, std::span<std::byte> into) const;
    /// Copies into guest memory.
    Result<void> write(u64 guest_address, std::span<const std::byte> from) const;

    /// A snapshot of one wire structure.
    template <typename T>
    Result<T> read_value(u64 guest_address) const {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        TRY(read(guest_address, std::as_writable_bytes(std::span(&value, 1))));
        return value;
    }
    /// As `write`, of one wire structure.
    template <typename T>
    Result<void> write_value(u64 guest_address, const T& value) const {
        static_assert(std::is_trivially_copyable_v<T>);
        return write(guest_address, std::as_bytes(std::span(&value, 1)));
    }

private:
    GuestMemoryRange ranges_[guest_memory_ranges_max] = {};
    usize count_ = 0;
};

}  // namespace undercroft
