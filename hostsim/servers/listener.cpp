// Listener.
#include "hostsim/servers/listener.hpp"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>

#include "hostsim/platform/ring_platform.hpp"

namespace undercroft {

namespace {

constexpr int backlog = 128;
using Failure = std::unexpected<std::string>;

Failure failure(std::string_view where, const std::string& why) {
    return std::unexpected(std::string(where) + ": " + why);
}
Failure system_failure(std::string_view where, const char* what, int error) {
    return failure(where, std::string(what) + ": " + strerrordesc_np(error));
}

/// Whether somebody accepts connections at `address`.
bool is_served(const sockaddr_un& address) {
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (probe < 0) {
        return false;  // bind says what is wrong
    }
    bool served = connect(probe, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0 || errno == EAGAIN;
    close(probe);
    return served;
}

Result<int, std::string> listen_unix(std::string_view where, const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return failure(where, "a socket's path has 1 to " + std::to_string(sizeof(address.sun_path) - 1) + " bytes");
    }
    memcpy(address.sun_path, path.c_str(), path.size() + 1);
    struct stat found{};
    if (lstat(path.c_str(), &found) == 0) {
        if (!S_ISSOCK(found.st_mode)) {
            return failure(where, "this exists and is no socket; name another path, or remove it");
        }
        if (is_served(address)) {
            return failure(where, "another program listens there; stop it, or name another path");
        }
        (void)unlink(path.c_str());  // if it stays, bind says so
    }
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return system_failure(where, "no socket", errno);
    }
    // The mask holds for the whole program, but nothing else makes files while it starts.
    mode_t mask = umask(S_IRWXG | S_IRWXO);
    // SAFETY: the sockets API takes every kind of address through this pointer type.
    int status = bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    int error = errno;
    (void)umask(mask);
    if (status < 0) {
        close(descriptor);
        return system_failure(where, "cannot be made", error);
    }
    return descriptor;
}

Result<int, std::string> listen_tcp(std::string_view where, std::string_view address_text, std::string_view port_text) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    u16 port = 0;
    auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
    if (error != std::errc() || end != port_text.data() + port_text.size()) {
        return failure(where, "the port has to be a number from 0 to 65535");
    }
    address.sin_port = htons(port);
    if (inet_pton(AF_INET, std::string(address_text).c_str(), &address.sin_addr) != 1 ||
        (ntohl(address.sin_addr.s_addr) >> 24) != 127) {
        return failure(where,
                       "only loopback addresses (127.0.0.1) are served: the protocol has no authentication here");
    }
    int descriptor = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) {
        return system_failure(where, "no socket", errno);
    }
    int one = 1;
    (void)setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));  // without it only restarts are slower
    if (bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
        int why = errno;
        close(descriptor);
        return system_failure(where, "cannot be bound", why);
    }
    return descriptor;
}

std::string tcp_name(int descriptor) {
    sockaddr_in address{};
    socklen_t size = sizeof(address);
    (void)getsockname(descriptor, reinterpret_cast<sockaddr*>(&address), &size);
    char text[INET_ADDRSTRLEN] = {};
    (void)inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
    return std::string("tcp:") + text + ":" + std::to_string(ntohs(address.sin_port));
}

}  // namespace

Result<Listener, std::string> Listener::open(std::string_view where) {
    Listener listener;
    if (where.starts_with("unix:")) {
        std::string path(where.substr(5));
        listener.descriptor_ = TRY(listen_unix(where, path));
        listener.path_ = path;
        listener.where_ = where;
    } else if (where.starts_with("tcp:") && where.rfind(':') > 3) {
        usize colon = where.rfind(':');
        listener.descriptor_ = TRY(listen_tcp(where, where.substr(4, colon - 4), where.substr(colon + 1)));
        listener.is_tcp_ = true;
        listener.where_ = tcp_name(listener.descriptor_);
    } else {
        return failure(where, "say where to listen as unix:PATH or tcp:127.0.0.1:PORT");
    }
    if (listen(listener.descriptor_, backlog) < 0) {
        return system_failure(where, "cannot be listened on", errno);
    }
    return listener;
}

Listener::Listener(Listener&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), is_tcp_(other.is_tcp_), path_(std::exchange(other.path_, {})),
      where_(std::move(other.where_)) {}

Listener::~Listener() {
    if (descriptor_ >= 0) {
        close(descriptor_);
    }
    if (!path_.empty()) {
        (void)unlink(path_.c_str());  // somebody may have removed it
    }
}

Task<i32> Listener::accept(CancelToken cancel) {
    i32 accepted = co_await ring_operation(
        [this](io_uring_sqe* entry) { io_uring_prep_accept(entry, descriptor_, nullptr, nullptr, SOCK_CLOEXEC); },
        cancel);
    if (accepted >= 0 && is_tcp_) {
        int one = 1;
        (void)setsockopt(accepted, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));  // without it only slower
    }
    co_return accepted;
}

}  // namespace undercroft
