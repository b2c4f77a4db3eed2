// Walking a scatter-gather list: what layers and backends share. No checks of what a guest said: lists are the
// frontends' work.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

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

/// Part of a list as a list of its own. Lives in coroutine frames, and asks the heap only where the part is in more
/// pieces than a chunk of guest pages ever is.
class SegmentSlice {  // NOLINT(cppcoreguidelines-pro-type-member-init): see inline_
public:
    /// 128 KiB in pages that lie anywhere and start in the middle of one, and a split at the end.
    static constexpr usize inline_max = 34;

    SegmentSlice() = default;  // NOLINT(cppcoreguidelines-pro-type-member-init): see inline_
    SegmentSlice(const SegmentSlice&) = delete;
    SegmentSlice& operator=(const SegmentSlice&) = delete;

    /// The next `bytes` bytes of `from`, which moves on. False where there is no memory for so many pieces.
    bool assign(SegmentCursor& from, u64 bytes) {
        count_ = 0;
        MemorySegment* into = inline_;
        if (u64 first = from.contiguous().size(); first < bytes) {
            usize pieces = count_pieces(from, bytes);
            if (pieces > inline_max) {
                many_.reset(new (std::nothrow) MemorySegment[pieces]);
                into = many_.get();
                if (into == nullptr) {
                    return false;
                }
            }
        }
        list_ = into;
        while (bytes > 0) {
            std::span<std::byte> piece = from.contiguous();
            piece = piece.first(static_cast<usize>(std::min<u64>(piece.size(), bytes)));
            ASSERT(!piece.empty());
            into[count_++] = {.data = piece.data(), .size = piece.size()};
            from.advance(piece.size());
            bytes -= piece.size();
        }
        return true;
    }
    SegmentList list() const { return {list_, count_}; }

private:
    static usize count_pieces(SegmentCursor from, u64 bytes) {
        usize pieces = 0;
        for (; bytes > 0; ++pieces) {
            usize piece = static_cast<usize>(std::min<u64>(from.contiguous().size(), bytes));
            ASSERT(piece > 0);
            from.advance(piece);
            bytes -= piece;
        }
        return pieces;
    }
    // Not initialised: only the first `count_` are ever looked at, and this is on the path of every request.
    MemorySegment inline_[inline_max];  // NOLINT(cppcoreguidelines-pro-type-member-init)
    std::unique_ptr<MemorySegment[]> many_;
    const MemorySegment* list_ = nullptr;
    usize count_ = 0;
};

}  // namespace undercroft
