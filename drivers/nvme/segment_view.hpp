// Part of a scatter-gather list: the bytes of one command out of a request's list, without copying the list.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernel/base/assert.hpp"
#include "kernel/base/memory_segment.hpp"

namespace undercroft::nvme::host {

class SegmentView {
public:
    /// `bytes` bytes of `segments` from byte `skip` on, which must exist.
    SegmentView(SegmentList segments, u64 skip, u64 bytes) : segments_(segments), bytes_(bytes) {
        while (skip > 0 && skip >= segments_[first_].size) {
            skip -= segments_[first_].size;
            ++first_;
        }
        skip_ = static_cast<usize>(skip);
    }

    u64 size_bytes() const { return bytes_; }

    /// Calls `visit(data, size)` for each piece in turn, until it returns false. Returns whether it never did.
    template <typename Visit>
    bool for_each(Visit&& visit) const {
        u64 left = bytes_;
        usize skip = skip_;
        for (usize index = first_; left > 0; ++index) {
            const MemorySegment& segment = segments_[index];
            usize size = static_cast<usize>(std::min<u64>(left, segment.size - skip));
            if (size > 0 && !visit(segment.data + skip, size)) {
                return false;
            }
            left -= size;
            skip = 0;
        }
        return true;
    }

    /// The bytes [`offset`, + `bytes`) of this view.
    SegmentView part(u64 offset, u64 bytes) const {
        ASSERT(offset + bytes <= bytes_);
        return SegmentView(segments_.subspan(first_), skip_ + offset, bytes);
    }

private:
    SegmentList segments_;
    usize first_ = 0;
    usize skip_ = 0;
    u64 bytes_;
};

}  // namespace undercroft::nvme::host
