// Part of what an initiator offers, where a command wants less. On the heap: initiators that offer more than they ask for
// are rare, and the usual request must not carry the room for it.
#pragma once

#include "storage/segments.hpp"

namespace undercroft::scsi {

/// `bytes` of `all` from `skip` on, which are there; null where there is no memory.
inline std::unique_ptr<SegmentSlice> part_of(SegmentList all, u64 bytes, u64 skip = 0) {
    std::unique_ptr<SegmentSlice> part(new (std::nothrow) SegmentSlice);
    SegmentCursor cursor(all);
    cursor.skip(skip);
    if (part != nullptr && !part->assign(cursor, bytes)) {
        part = nullptr;
    }
    return part;
}

}  // namespace undercroft::scsi
