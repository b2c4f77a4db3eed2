// The frontend's side of a vhost-user socket, as QEMU has it: messages with descriptors beside them. Everything may be
// wrong on purpose.
#pragma once

#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cstring>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "hostsim/servers/vhost_user/channel.hpp"
#include "hostsim/servers/vhost_user/protocol.hpp"

namespace undercroft::vhost_user {

class Frontend {
public:
    Frontend() {
        int ends[2] = {-1, -1};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0) {
            ours_ = Descriptor(ends[0]);
            theirs_ = Descriptor(ends[1]);
            timeval limit{.tv_sec = 10, .tv_usec = 0};
            setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
        }
    }
    /// At the other end of `socket`.
    explicit Frontend(Descriptor socket) : ours_(std::move(socket)) {
        timeval limit{.tv_sec = 10, .tv_usec = 0};
        setsockopt(ours_.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    }
    /// The server's end; once.
    Descriptor take_server_end() { return std::move(theirs_); }
    void end() { ours_ = Descriptor(); }
    void end_writing() const { shutdown(ours_.get(), SHUT_WR); }

    /// Never waits: what does not fit into the socket is not sent. The descriptors stay the caller's.
    bool send(u32 request, std::span<const std::byte> payload, std::span<const int> descriptors = {},
              u32 flags = flag_version, std::optional<u32> claimed_size = {}) const {
        Header header{
            .request = request, .flags = flags, .size = claimed_size.value_or(static_cast<u32>(payload.size()))};
        iovec pieces[] = {{.iov_base = &header, .iov_len = sizeof(header)},
                          {.iov_base = const_cast<std::byte*>(payload.data()), .iov_len = payload.size()}};
        alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int) * 16)] = {};
        msghdr message{};
        message.msg_iov = pieces;
        message.msg_iovlen = 2;
        if (!descriptors.empty()) {
            usize bytes = descriptors.size() * sizeof(int);
            message.msg_control = control;
            message.msg_controllen = CMSG_SPACE(bytes);
            cmsghdr* part = CMSG_FIRSTHDR(&message);
            part->cmsg_level = SOL_SOCKET;
            part->cmsg_type = SCM_RIGHTS;
            part->cmsg_len = CMSG_LEN(bytes);
            memcpy(CMSG_DATA(part), descriptors.data(), bytes);
        }
        return sendmsg(ours_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
    }
    template <typename T>
    bool send(Message request, const T& payload, std::initializer_list<int> descriptors = {}) const {
        return send(static_cast<u32>(request), std::as_bytes(std::span(&payload, 1)),
                    std::span(descriptors.begin(), descriptors.size()));
    }
    /// The next answer's payload, with its descriptor in `descriptor`; nothing at the end, or after ten seconds.
    std::optional<std::vector<std::byte>> receive(Descriptor* descriptor = nullptr) const {
        Header header{};
        if (!receive_bytes(std::as_writable_bytes(std::span(&header, 1)), descriptor)) {
            return std::nullopt;
        }
        std::vector<std::byte> payload(header.size);
        return receive_bytes(payload, nullptr) ? std::optional(std::move(payload)) : std::nullopt;
    }
    template <typename T>
    std::optional<T> ask(Message request) const {
        send(static_cast<u32>(request), {});
        return received<T>();
    }
    template <typename T>
    std::optional<T> received() const {
        std::optional<std::vector<std::byte>> payload = receive();
        if (!payload || payload->size() < sizeof(T)) {
            return std::nullopt;
        }
        T value;
        memcpy(&value, payload->data(), sizeof(value));
        return value;
    }

private:
    bool receive_bytes(std::span<std::byte> into, Descriptor* descriptor) const {
        while (!into.empty()) {
            alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))];
            iovec piece{.iov_base = into.data(), .iov_len = into.size()};
            msghdr message{};
            message.msg_iov = &piece;
            message.msg_iovlen = 1;
            message.msg_control = control;
            message.msg_controllen = sizeof(control);
            ssize_t got = recvmsg(ours_.get(), &message, MSG_CMSG_CLOEXEC);
            if (got <= 0) {
                return false;
            }
            if (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr && descriptor != nullptr) {
                int value = -1;
                memcpy(&value, CMSG_DATA(part), sizeof(value));
                *descriptor = Descriptor(value);
            }
            into = into.subspan(static_cast<usize>(got));
        }
        return true;
    }
    Descriptor ours_;
    Descriptor theirs_;
};

/// A file in memory, mapped here too.
class SharedMemory {
public:
    explicit SharedMemory(usize bytes) : bytes_(bytes), file_(memfd_create("guest", MFD_CLOEXEC)) {
        if (ftruncate(file_.get(), static_cast<off_t>(bytes)) == 0) {
            base_ = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file_.get(), 0);
        }
    }
    SharedMemory(const SharedMemory&) = delete;
    SharedMemory& operator=(const SharedMemory&) = delete;
    ~SharedMemory() { munmap(base_, bytes_); }
    std::byte* data() const { return static_cast<std::byte*>(base_); }
    int file() const { return file_.get(); }

private:
    usize bytes_;
    Descriptor file_;
    void* base_ = MAP_FAILED;
};

struct MemoryTableMessage {
    MemoryTableHeader header{.count = 1, .padding = 0};
    MemoryRegion region{};
};

}  // namespace undercroft::vhost_user
