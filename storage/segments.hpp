// Walking a scatter-gather list: what layers and backends share. No checks of what a guest said: lists are the
// frontends' work.
#pragma once

#include <algorithm>
#include <cstring>

#include "kernel/base/assert.hpp"
#include "storage/disk.hpp"

namespace undercroft {

/// A position in a list of segments. Walking past the end is our own bug, and asserted.
class SegmentCursor {
public:
    explicit SegmentCursor(SegmentList segments) : next_(segments.data()), end_(segments.data() + segments.size()) {
        settle();
    }

    bool at_end() const { return current_.size == 0; }
    /// The memory from here to the end of the segment; empty only at the end of the list.
    std::span<std::byte> contiguous() const { return {current_.data, current_.size}; }
    /// Moves on within what `contiguous` gave.
    void advance(usize bytes) {
        ASSERT(bytes <= current_.size);
        current_.data += bytes;
        current_.size -= bytes;
        settle();
    }
    /// Moves on by any number of bytes.
    void skip(u64 bytes) {
        while (bytes > 0) {
            usize piece = take(bytes);
            bytes -= piece;
        }
    }
    /// Copies the next `into.size()` bytes out of the list, each once.
    void copy_out(std::span<std::byte> into) {
        while (!into.empty()) {
            usize piece = std::min(into.size(), current_.size);
            ASSERT(piece > 0);
            std::memcpy(into.data(), current_.data, piece);
            into = into.subspan(piece);
            advance(piece);
        }
    }
    /// Copies `from` into the list.
    void copy_in(std::span<const std::byte> from) {
        while (!from.empty()) {
            usize piece = std::min(from.size(), current_.size);
            ASSERT(piece > 0);
            std::memcpy(current_.data, from.data(), piece);
            from = from.subspan(piece);
            advance(piece);
        }
    }
    /// Fills the next `bytes` bytes with zeros.
    void fill_zero(u64 bytes) {
        while (bytes > 0) {
            usize piece = static_cast<usize>(std::min<u64>(bytes, current_.size));
            ASSERT(piece > 0);
            std::memset(current_.data, 0, piece);
            bytes -= piece;
            advance(piece);
        }
    }

private:
    usize take(u64 bytes_max) {
        usize piece = static_cast<usize>(std::min<u64>(bytes_max, current_.size));
        ASSERT(piece > 0);
        advance(piece);
        return piece;
    }
    void settle() {
        while (current_.size == 0 && next_ != end_) {
            current_ = *next_++;
        }
    }
    MemorySegment current_{nullptr, 0};
    const MemorySegment* next_;
    const MemorySegment* end_;
};

}  // namespace undercroft
