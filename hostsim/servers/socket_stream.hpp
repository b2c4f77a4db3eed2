// A connected socket over the ring of the executor that uses it.
#pragma once

#include "hostsim/servers/byte_stream.hpp"

namespace undercroft {

class SocketStream final : public ByteStream {
public:
    /// Takes over the descriptor and closes it at the end.
    explicit SocketStream(int descriptor) : descriptor_(descriptor) {}
    SocketStream(const SocketStream&) = delete;
    SocketStream& operator=(const SocketStream&) = delete;
    ~SocketStream() override;

    Task<i32> receive(std::span<const iovec> into, CancelToken cancel) override;
    Task<i32> send(std::span<const iovec> from, CancelToken cancel) override;
    void peer_waits(bool waits) override;

private:
    int descriptor_;
    bool likely_empty_ = false;  // the last receive took all there was
};

}  // namespace undercroft
