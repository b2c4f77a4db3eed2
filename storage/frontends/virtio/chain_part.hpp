// What a request's data are, without the headers around them, as a list of its own.
#pragma once

#include "storage/frontends/virtio/queue.hpp"
#include "storage/segments.hpp"

namespace undercroft::virtio {

/// `all` without its first `skip` bytes and the last `drop`.
struct ChainPart {
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): see count
    ChainPart(SegmentList all, u64 skip, u64 drop) {
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
    }
    SegmentList segments() const { return {pieces, count}; }
    usize count = 0;
    MemorySegment pieces[Chain::segments_max];  // NOLINT(cppcoreguidelines-pro-type-member-init): see count
};

}  // namespace undercroft::virtio
