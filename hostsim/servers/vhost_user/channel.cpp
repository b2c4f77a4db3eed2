// Channel.
#include "hostsim/servers/vhost_user/channel.hpp"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "hostsim/platform/ring_platform.hpp"

namespace undercroft::vhost_user {

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
    if (this != &other) {
        if (value_ >= 0) {
            close(value_);
        }
        value_ = std::exchange(other.value_, -1);
    }
    return *this;
}

Descriptor::~Descriptor() {
    if (value_ >= 0) {
        close(value_);
    }
}

Task<bool> Channel::receive_bytes(std::span<std::byte> into, Received& message, CancelToken cancel) {
    while (!into.empty()) {
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * descriptors_max)];
        iovec piece{.iov_base = into.data(), .iov_len = into.size()};
        msghdr wanted{};
        wanted.msg_iov = &piece;
        wanted.msg_iovlen = 1;
        wanted.msg_control = control;
        wanted.msg_controllen = sizeof(control);
        i32 got = co_await ring_operation(
            [&](io_uring_sqe* entry) { io_uring_prep_recvmsg(entry, socket_.get(), &wanted, MSG_CMSG_CLOEXEC); },
            cancel);
        if (got <= 0) {
            co_return false;
        }
        for (cmsghdr* part = CMSG_FIRSTHDR(&wanted); part != nullptr; part = CMSG_NXTHDR(&wanted, part)) {
            if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
                continue;
            }
            usize count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
            for (usize index = 0; index < count; ++index) {
                int value = -1;
                memcpy(&value, CMSG_DATA(part) + index * sizeof(int), sizeof(value));
                message.descriptors.emplace_back(value);
            }
        }
        into = into.subspan(static_cast<usize>(got));
    }
    co_return message.descriptors.size() <= descriptors_max;
}

Task<bool> Channel::receive(Received& message, CancelToken cancel) {
    message.descriptors.clear();
    auto header = std::as_writable_bytes(std::span(&message.header, 1));
    if (!co_await receive_bytes(header, message, cancel) || message.header.size > payload_bytes_max ||
        (message.header.flags & flag_version_mask) != flag_version) {
        co_return false;
    }
    co_return co_await receive_bytes({message.payload, message.header.size}, message, cancel);
}

void Channel::shut_down() const { shutdown(socket_.get(), SHUT_RDWR); }

bool Channel::send(u32 request, u32 flags, std::span<const std::byte> payload, int descriptor) const {
    Header header{.request = request, .flags = flags | flag_version, .size = static_cast<u32>(payload.size())};
    iovec pieces[] = {{.iov_base = &header, .iov_len = sizeof(header)},
                      {.iov_base = const_cast<std::byte*>(payload.data()),  // NOLINT: sendmsg only reads
                       .iov_len = payload.size()}};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = 2;
    if (descriptor >= 0) {
        message.msg_control = control;
        message.msg_controllen = sizeof(control);
        cmsghdr* part = CMSG_FIRSTHDR(&message);
        part->cmsg_level = SOL_SOCKET;
        part->cmsg_type = SCM_RIGHTS;
        part->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(part), &descriptor, sizeof(descriptor));
    }
    return sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) ==
           static_cast<ssize_t>(sizeof(header) + payload.size());
}

}  // namespace undercroft::vhost_user
