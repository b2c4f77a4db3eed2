// A connected socket over the ring of the executor that uses it.
#pragma once

#include "hostsim/servers/byte_stream.hpp"
#include "hostsim/servers/receive_pacing.hpp"

namespace undercroft {

class SocketStream final : public ByteStream {
public:
    /// Takes over the descriptor and closes it at the end.
    explicit SocketStream(int descriptor);
    SocketStream(const SocketStream&) = delete;
    SocketStream& operator=(const SocketStream&) = delete;
    ~SocketStream() override;

    Task<i32> receive(std::span<const iovec> into, CancelToken cancel) override;
    Task<i32> send(std::span<const iovec> from, CancelToken cancel) override;
    u64 pause_ns(u64 requests) override;

private:
    int descriptor_;
    bool tells_unread_;          // whether the socket knows what the peer has not read yet
    bool likely_empty_ = false;  // the last receive took all there was
    u64 received_bytes_ = 0;     // since the last pause
    ReceivePacing pacing_;
};

}  // namespace undercroft
