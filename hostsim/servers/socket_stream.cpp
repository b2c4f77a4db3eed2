// SocketStream.
#include "hostsim/servers/socket_stream.hpp"

#include <errno.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostsim/platform/ring_platform.hpp"

namespace undercroft {

namespace {

/// What may be on its way to a client: a batch of replies goes out with one call.
constexpr int send_buffer_bytes = 1 << 20;

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

SocketStream::SocketStream(int descriptor) : descriptor_(descriptor) {
    int domain = 0;
    socklen_t size = sizeof(domain);
    // Over TCP, what was sent and not acknowledged says nothing of what the peer has read.
    tells_unread_ = getsockopt(descriptor, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX;
    int wanted = send_buffer_bytes;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_SNDBUF, &wanted, sizeof(wanted));  // the system's limit holds
}

SocketStream::~SocketStream() { close(descriptor_); }

u64 SocketStream::pause_ns(u64 requests) {
    std::optional<u64> unread;
    int bytes = 0;
    if (tells_unread_ && ioctl(descriptor_, SIOCOUTQ, &bytes) == 0) {
        unread = static_cast<u64>(bytes);
    }
    u64 pause = pacing_.next_pause_ns({.requests = requests, .received_bytes = received_bytes_}, unread);
    received_bytes_ = 0;
    RingPlatform::current().set_spin_allowed(pacing_.peer_waits());
    return pause;
}

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
    received_bytes_ += got > 0 ? static_cast<u64>(got) : 0;
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
