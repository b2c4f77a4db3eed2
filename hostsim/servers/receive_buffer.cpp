// ReceiveBuffer.
#include "hostsim/servers/receive_buffer.hpp"

#include <algorithm>
#include <cstring>

#include "kernel/base/assert.hpp"

namespace undercroft {

namespace {

/// A payload from here on is large: behind it only a little is received, since what follows is most likely the next
/// large one, and whatever of it lands in the buffer is copied.
constexpr usize large_payload_bytes = 32 * kib;
constexpr usize small_window_bytes = 256;

}  // namespace

ReceiveBuffer::ReceiveBuffer(ByteStream& stream)
    : stream_(stream), memory_(std::make_unique_for_overwrite<std::byte[]>(size_bytes)) {}

std::span<const std::byte> ReceiveBuffer::take(usize bytes) {
    ASSERT(bytes <= available());
    std::span<const std::byte> taken(memory_.get() + begin_, bytes);
    begin_ += bytes;
    return taken;
}

Task<bool> ReceiveBuffer::fill(usize bytes, CancelToken cancel) {
    ASSERT(bytes <= size_bytes / 2);
    if (begin_ == end_) {
        begin_ = end_ = 0;
    } else if (size_bytes - begin_ < bytes || begin_ >= size_bytes / 2) {
        std::memmove(memory_.get(), memory_.get() + begin_, available());
        end_ -= begin_;
        begin_ = 0;
    }
    while (available() < bytes) {
        usize missing = bytes - available();
        usize window = large_payloads_ ? std::max(missing, small_window_bytes) : size_bytes - end_;
        iovec piece{.iov_base = memory_.get() + end_, .iov_len = std::min(window, size_bytes - end_)};
        i32 got = co_await stream_.receive({&piece, 1}, cancel);
        if (got <= 0) {
            co_return false;
        }
        end_ += static_cast<usize>(got);
    }
    co_return true;
}

Task<bool> ReceiveBuffer::payload(SegmentList into, CancelToken cancel) {
    ASSERT(into.size() <= segments_max);
    Pieces pieces;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled as far as it is used
    pieces.count = 0;
    usize missing = 0;
    usize total = 0;
    for (const MemorySegment& segment : into) {
        usize buffered = std::min(segment.size, available());
        if (buffered > 0) {
            std::memcpy(segment.data, take(buffered).data(), buffered);
        }
        if (buffered < segment.size) {
            pieces.piece[pieces.count++] = {.iov_base = segment.data + buffered, .iov_len = segment.size - buffered};
            missing += segment.size - buffered;
        }
        total += segment.size;
    }
    large_payloads_ = total >= large_payload_bytes;
    if (missing == 0) {
        return Task<bool>::ready(true);
    }
    begin_ = end_ = 0;
    return receive(pieces, missing, cancel);
}

Task<bool> ReceiveBuffer::receive(Pieces pieces, usize missing, CancelToken cancel) {
    usize first = 0;
    usize window = large_payloads_ ? small_window_bytes : size_bytes;
    pieces.piece[pieces.count++] = {.iov_base = memory_.get(), .iov_len = window};
    while (missing > 0) {
        i32 result = co_await stream_.receive({&pieces.piece[first], pieces.count - first}, cancel);
        if (result <= 0) {
            co_return false;
        }
        usize got = static_cast<usize>(result);
        if (got > missing) {
            end_ = got - missing;
            co_return true;
        }
        missing -= got;
        while (got > 0) {
            iovec& piece = pieces.piece[first];
            usize step = std::min(got, piece.iov_len);
            piece.iov_base = static_cast<std::byte*>(piece.iov_base) + step;
            piece.iov_len -= step;
            got -= step;
            first += piece.iov_len == 0 ? 1 : 0;
        }
    }
    co_return true;
}

Task<bool> ReceiveBuffer::skip(u64 bytes, CancelToken cancel) {
    while (true) {
        usize piece = static_cast<usize>(std::min<u64>(bytes, available()));
        begin_ += piece;
        bytes -= piece;
        if (bytes == 0) {
            co_return true;
        }
        if (!co_await fill(1, cancel)) {
            co_return false;
        }
    }
}

}  // namespace undercroft
