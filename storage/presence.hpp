// What a layer says of sectors: the vocabulary of storage/layers/layer.hpp that what stores sectors needs as well.
#pragma once

#include <algorithm>
#include <bit>

#include "kernel/base/types.hpp"

namespace undercroft {

enum class Presence : u8 {
    absent,   ///< not mine
    data,     ///< here
    zero,     ///< here, and all zero
    unknown,  ///< here, and who knows whether all zero: from `presence`, never from `read`
};

/// A set of bits, one a sector, which are looked at and set in runs.
template <usize Bits>
class BitRuns {
public:
    bool test(usize bit) const { return (words_[bit / 64] >> (bit % 64) & 1) != 0; }
    void set(usize first, usize count, bool value) {
        for (usize bit = first; bit < first + count;) {
            usize shift = bit % 64;
            usize bits = std::min(64 - shift, first + count - bit);
            u64 mask = low_bits(bits) << shift;
            u64& word = words_[bit / 64];
            word = value ? word | mask : word & ~mask;
            bit += bits;
        }
    }
    /// How many bits from `first`, at most `max` (at least 1), are as `first` is.
    u32 run_length(usize first, usize max) const {
        u64 flip = test(first) ? ~u64{0} : 0;
        for (usize bit = first; bit < first + max; bit = align_down(bit, 64) + 64) {
            if (u64 others = (words_[bit / 64] ^ flip) >> (bit % 64); others != 0) {
                return static_cast<u32>(std::min(bit + static_cast<usize>(std::countr_zero(others)) - first, max));
            }
        }
        return static_cast<u32>(max);
    }
    /// Whether the first `count` are all `value`.
    bool all(usize count, bool value) const { return test(0) == value && run_length(0, count) == count; }

private:
    static_assert(Bits % 64 == 0);
    static constexpr u64 low_bits(usize bits) { return bits == 64 ? ~u64{0} : (u64{1} << bits) - 1; }
    u64 words_[Bits / 64] = {};
};

/// What `read` found, sector by sector from the start of the call. Lives in coroutine frames; all absent at first.
class PresenceMap {
public:
    static constexpr usize sectors_max = 256;

    /// `unknown` counts as data: it has to be read.
    void set(usize first, usize count, Presence presence) {
        data_.set(first, count, presence == Presence::data || presence == Presence::unknown);
        zero_.set(first, count, presence == Presence::zero);
    }
    Presence at(usize sector) const {
        return data_.test(sector) ? Presence::data : zero_.test(sector) ? Presence::zero : Presence::absent;
    }
    /// How many sectors from `first`, at most up to `end`, are as `first` is.
    usize run_length(usize first, usize end) const {
        return std::min(data_.run_length(first, end - first), zero_.run_length(first, end - first));
    }

private:
    BitRuns<sectors_max> data_;
    BitRuns<sectors_max> zero_;
};

/// `sectors` (at least one) from the asked-for start share `presence`.
struct PresenceRun {
    u64 sectors;
    Presence presence;
};

enum class Overwrite : u8 {
    everything,
    only_absent,  ///< leave what is there
};

}  // namespace undercroft
