// InspectClient. A serial line keeps what somebody else asked for and did not wait for: answers with another number are
// dropped.
#include "hostsim/inspect/client.hpp"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include <algorithm>

namespace undercroft {

namespace {

u64 now_ns() {
    timespec now{};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);  // cannot fail with this clock
    return static_cast<u64>(now.tv_sec) * nanoseconds_per_second + static_cast<u64>(now.tv_nsec);
}

}  // namespace

Result<InspectClient, std::string> InspectClient::open(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof(address.sun_path)) {
        return std::unexpected("a socket's path has 1 to " + std::to_string(sizeof(address.sun_path) - 1) + " bytes");
    }
    std::ranges::copy(path, address.sun_path);
    FileDescriptor descriptor(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!descriptor) {
        return std::unexpected("no socket: " + system_error_text(errno));
    }
    // SAFETY: the sockets API takes every kind of address through this pointer type.
    if (connect(descriptor.get(), reinterpret_cast<const sockaddr*>(&address), sizeof(address)) < 0) {
        int error = errno;
        if (error == ENOENT || error == ECONNREFUSED) {
            return std::unexpected("nobody serves at " + path + "; start `undercroft serve`, or name its --control");
        }
        return std::unexpected(path + ": " + system_error_text(error));
    }
    return InspectClient(std::move(descriptor), path);
}

Result<void, std::string> InspectClient::wait(short events, u64 deadline_ns,
                                              const std::atomic<bool>& interrupted) const {
    while (!interrupted.load()) {
        u64 now = now_ns();
        if (now >= deadline_ns) {
            return std::unexpected(path_ + " does not answer; it may be busy with another client");
        }
        pollfd waited{.fd = socket_.get(), .events = events, .revents = 0};
        // In short pieces, for a signal may come just before the call.
        u64 piece_ms = std::min<u64>((deadline_ns - now) / nanoseconds_per_millisecond + 1, 100);
        if (poll(&waited, 1, static_cast<int>(piece_ms)) > 0) {
            return {};
        }
    }
    return std::unexpected(std::string("interrupted"));
}

Result<void, std::string> InspectClient::send_line(std::string_view line, u64 deadline_ns,
                                                   const std::atomic<bool>& interrupted) {
    while (!line.empty()) {
        TRY(wait(POLLOUT, deadline_ns, interrupted));
        ssize_t sent = send(socket_.get(), line.data(), line.size(), MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN && errno != EINTR) {
            return std::unexpected(path_ + ": " + system_error_text(errno));
        }
        line.remove_prefix(static_cast<usize>(std::max<ssize_t>(sent, 0)));
    }
    return {};
}

Result<std::string, std::string> InspectClient::receive_line(u64 deadline_ns, const std::atomic<bool>& interrupted) {
    constexpr usize piece_bytes = 64 * kib;
    usize searched = 0;
    while (true) {
        if (usize end = received_.find('\n', searched); end != std::string::npos) {
            std::string line = received_.substr(0, end);
            received_.erase(0, end + 1);
            return line;
        }
        searched = received_.size();
        if (searched > answer_bytes_max) {
            return std::unexpected(path_ + ": the answer does not end; what serves there is no running Undercroft");
        }
        TRY(wait(POLLIN, deadline_ns, interrupted));
        received_.resize(searched + piece_bytes);
        ssize_t got = recv(socket_.get(), received_.data() + searched, piece_bytes, 0);
        int error = errno;
        received_.resize(searched + static_cast<usize>(std::max<ssize_t>(got, 0)));
        if (got == 0) {
            return std::unexpected(path_ + ": the program has ended");
        }
        if (got < 0 && error != EAGAIN && error != EINTR) {
            return std::unexpected(path_ + ": " + system_error_text(error));
        }
    }
}

Result<std::string, std::string> InspectClient::ask(std::string_view request, const std::atomic<bool>& interrupted) {
    u64 deadline_ns = now_ns() + answer_ns;
    std::string tag = "#" + std::to_string(++number_ + static_cast<u64>(getpid()) * 100'000) + " ";
    // The line break in front ends what somebody else may have begun.
    TRY(send_line("\n" + tag + std::string(request) + "\n", deadline_ns, interrupted));
    while (true) {
        std::string line = TRY(receive_line(deadline_ns, interrupted));
        if (line.starts_with(tag)) {
            return line.substr(tag.size());
        }
        if (line.starts_with("{\"error\"")) {  // refused before it was read
            return line;
        }
    }
}

}  // namespace undercroft
