// Scatter-gather lists: what disks, drivers and frontends hand each other. Only the vocabulary; walking one is
// storage/segments.hpp.
#pragma once

#include <span>

#include "kernel/base/types.hpp"

namespace undercroft {

/// One piece of memory. Never empty inside a list that has bytes.
struct MemorySegment {
    std::byte* data;
    usize size;
};

/// A scatter-gather list: a view, the caller owns segments and memory.
using SegmentList = std::span<const MemorySegment>;

}  // namespace undercroft
