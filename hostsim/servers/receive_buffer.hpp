// What was received and not yet consumed: one receive for many small messages, and large payloads received straight to
// where they belong.
#pragma once

#include <memory>

#include "hostsim/servers/byte_stream.hpp"
#include "kernel/base/memory_segment.hpp"

namespace undercroft {

class ReceiveBuffer {
public:
    static constexpr usize size_bytes = 128 * kib;
    /// The largest payload that `payload` takes in one piece of segments.
    static constexpr usize segments_max = 32;

    explicit ReceiveBuffer(ByteStream& stream);

    /// Bytes that can be consumed now.
    usize available() const { return end_ - begin_; }
    /// Makes at least `bytes` (at most half the buffer) available. False: the stream ended, failed or was cancelled.
    Task<bool> fill(usize bytes, CancelToken cancel);
    /// The next `bytes` available bytes; valid until the next call that receives.
    std::span<const std::byte> take(usize bytes);
    /// The next bytes of the stream into `into` (at most `segments_max` segments), all of them. False as `fill`.
    Task<bool> payload(SegmentList into, CancelToken cancel);
    /// Drops the next `bytes` bytes of the stream. False as `fill`.
    Task<bool> skip(u64 bytes, CancelToken cancel);

private:
    struct Pieces {
        iovec piece[segments_max + 1];
        usize count;
    };
    Task<bool> receive(Pieces pieces, usize missing, CancelToken cancel);

    ByteStream& stream_;
    std::unique_ptr<std::byte[]> memory_;
    usize begin_ = 0;
    usize end_ = 0;
    bool large_payloads_ = false;
};

}  // namespace undercroft
