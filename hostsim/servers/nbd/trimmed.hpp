// Borrowed memory cut to the length of a request: leases are whole pages, requests whole sectors.
#pragma once

#include <algorithm>

#include "storage/bounce_pool.hpp"

namespace undercroft::nbd {

class Trimmed {  // NOLINT(cppcoreguidelines-pro-type-member-init): see pieces_
public:
    /// The first `bytes_max` bytes of `segments` (at most `BounceLease::segments_max`), rounded down to whole sectors
    /// of 2^`sector_shift` bytes where there are fewer.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): see pieces_
    Trimmed(SegmentList segments, u64 bytes_max, u32 sector_shift) {
        u64 there = 0;
        for (const MemorySegment& segment : segments) {
            there += segment.size;
        }
        u64 rest = std::min(there >> sector_shift << sector_shift, bytes_max);
        bytes_ = rest;
        for (const MemorySegment& segment : segments) {
            if (rest == 0) {
                break;
            }
            usize size = static_cast<usize>(std::min<u64>(rest, segment.size));
            pieces_[count_++] = {.data = segment.data, .size = size};
            rest -= size;
        }
    }
    SegmentList segments() const { return {pieces_, count_}; }
    u64 bytes() const { return bytes_; }

private:
    usize count_ = 0;
    u64 bytes_ = 0;
    // Not initialised: only the first `count_` are ever looked at, and this is on the path of every request.
    MemorySegment pieces_[BounceLease::segments_max];  // NOLINT(cppcoreguidelines-pro-type-member-init)
};

}  // namespace undercroft::nbd
