// SocketStream.
#include "hostsim/servers/socket_stream.hpp"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostsim/platform/ring_platform.hpp"

namespace undercroft {

namespace {

usize total_of(std::span<const iovec> pieces) {
    usize total = 0;
    for (const iovec& piece : pieces) {
        total += piece.iov_len;
    }
    return total;
}

msghdr message_of(std::span<const iovec> pieces) {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());  // NOLINT(cppcoreguidelines-pro-type-const-cast): not changed
    message.msg_iovlen = pieces.size();
    return message;
}

}  // namespace

SocketStream::~SocketStream() { close(descriptor_); }

void SocketStream::peer_waits(bool waits) { RingPlatform::current().set_spin_allowed(waits); }

Task<i32> SocketStream::receive(std::span<const iovec> into, CancelToken cancel) {
    msghdr message = message_of(into);
    // A socket that was emptied is not tried before it has something: one attempt less.
    unsigned short hint = likely_empty_ ? IORING_RECVSEND_POLL_FIRST : 0;
    i32 got = co_await ring_operation(
        [&](io_uring_sqe* entry) {
            io_uring_prep_recvmsg(entry, descriptor_, &message, 0);
            entry->ioprio = hint;
        },
        cancel);
    likely_empty_ = got > 0 && static_cast<usize>(got) < total_of(into);
    co_return got;
}

Task<i32> SocketStream::send(std::span<const iovec> from, CancelToken cancel) {
    msghdr message = message_of(from);
    i32 sent = co_await ring_operation(
        [&](io_uring_sqe* entry) { io_uring_prep_sendmsg(entry, descriptor_, &message, MSG_NOSIGNAL | MSG_WAITALL); },
        cancel);
    if (sent >= 0 && static_cast<usize>(sent) != total_of(from)) {
        co_return -EPIPE;
    }
    co_return sent;
}

}  // namespace undercroft
