// What a request's data are, without the headers around them, as a list of its own.
#pragma once

#include "storage/frontends/virtio/queue.hpp"
#include "storage/segments.hpp"

namespace undercroft::virtio {

/// Parts of one chain. They share one array, for a request's frame has to be small enough to be pooled.
struct ChainPart {          // NOLINT(cppcoreguidelines-pro-type-member-init): see pieces
    ChainPart() = default;  // NOLINT(cppcoreguidelines-pro-type-member-init): see pieces
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): see pieces
    ChainPart(SegmentList all, u64 skip, u64 drop) { (void)add(all, skip, drop); }

    /// `all` without its first `skip` bytes and the last `drop`; behind what was added before. `all` is the readable or
    /// the writable half of the chain, each at most once. Valid while this lives.
    SegmentList add(SegmentList all, u64 skip, u64 drop) {
        usize first = count;
        u64 keep = total_bytes(all) - skip - drop;
        for (const MemorySegment& segment : all) {
            u64 skipped = std::min<u64>(skip, segment.size);
            skip -= skipped;
            usize size = static_cast<usize>(std::min<u64>(segment.size - skipped, keep));
            keep -= size;
            if (size > 0) {
                pieces[count++] = {.data = segment.data + skipped, .size = size};
            }
        }
        return {pieces + first, count - first};
    }
    SegmentList segments() const { return {pieces, count}; }
    usize count = 0;
    // Not initialised: only the first `count` are ever looked at, and this is on the path of every request.
    MemorySegment pieces[Chain::segments_max];  // NOLINT(cppcoreguidelines-pro-type-member-init)
};

}  // namespace undercroft::virtio
