// The socket between frontend and backend: messages with file descriptors beside them.
#pragma once

#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "hostsim/servers/vhost_user/protocol.hpp"
#include "kernel/async/cancel.hpp"
#include "kernel/async/task.hpp"

namespace undercroft::vhost_user {

/// A file descriptor that is closed at the end.
class Descriptor {
public:
    Descriptor() = default;
    explicit Descriptor(int value) : value_(value) {}
    Descriptor(Descriptor&& other) noexcept : value_(std::exchange(other.value_, -1)) {}
    Descriptor& operator=(Descriptor&& other) noexcept;
    ~Descriptor();
    int get() const { return value_; }
    bool is_valid() const { return value_ >= 0; }

private:
    int value_ = -1;
};

struct Received {
    Header header{};
    alignas(8) std::byte payload[payload_bytes_max]{};
    std::vector<Descriptor> descriptors;

    /// The payload as `T`; nothing where it is shorter.
    template <typename T>
    std::optional<T> as() const {
        if (header.size < sizeof(T)) {
            return std::nullopt;
        }
        T value{};
        __builtin_memcpy(&value, payload, sizeof(value));
        return value;
    }
};

class Channel {
public:
    explicit Channel(Descriptor socket) : socket_(std::move(socket)) {}

    /// The next message. False at the end, on an error, when cancelled, and where it is larger than any that is known.
    Task<bool> receive(Received& message, CancelToken cancel);
    /// Ends the connection: `receive` says so.
    void shut_down() const;
    /// Sends a message, with a descriptor where `descriptor` is one. False where the socket does not take it at once.
    bool send(u32 request, u32 flags, std::span<const std::byte> payload, int descriptor = -1) const;

private:
    Task<bool> receive_bytes(std::span<std::byte> into, Received& message, CancelToken cancel);
    Descriptor socket_;
};

}  // namespace undercroft::vhost_user
