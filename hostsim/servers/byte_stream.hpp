// The stream under a protocol: a socket in the program, a script in tests and fuzz targets.
#pragma once

#include <sys/uio.h>

#include <span>

#include "kernel/async/cancel.hpp"
#include "kernel/async/task.hpp"

namespace undercroft {

class ByteStream {
public:
    virtual ~ByteStream() = default;
    /// Receives at least one byte into `into` (not empty). The number of bytes; 0 at the end of the stream; or the
    /// negative of an errno value. Nothing is written into the memory after the task has ended.
    virtual Task<i32> receive(std::span<const iovec> into, CancelToken cancel) = 0;
    /// Sends all of `from` (at most IOV_MAX pieces). The number of bytes, or the negative of an errno value: then what
    /// was sent is not known, and the stream is of no further use.
    virtual Task<i32> send(std::span<const iovec> from, CancelToken cancel) = 0;
    /// Whether the peer is likely waiting for us, so that looking out for its next message instead of sleeping pays. One
    /// that keeps many requests under way is served better in batches.
    virtual void peer_waits(bool) {}
};

}  // namespace undercroft
