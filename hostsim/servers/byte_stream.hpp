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
    /// To be called before the next requests are received, with how many were received since the last call: how long to
    /// leave the peer alone first. See `ReceivePacing`.
    virtual u64 pause_ns(u64 requests) {
        (void)requests;
        return 0;
    }
};

}  // namespace undercroft
