// Reading key files: the only copy is the one that is wiped.
#include "hostsim/pipeline/key_files.hpp"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/config/identifiers.hpp"
#include "kernel/crypto/wipe.hpp"

namespace undercroft {

namespace {

constexpr int writer_timeout_ms = 2000;  // of a pipe

std::unexpected<std::string> cannot_read(std::string_view path, int error) {
    char text[256];
    return std::unexpected("key file " + quoted(path) + " cannot be read: " + strerror_r(error, text, sizeof(text)));
}

// Reads to the end, or until `bytes` is full; 0, or the error.
int fill(int file, std::span<std::byte> bytes, usize& filled) {
    while (filled < bytes.size()) {
        ssize_t taken = ::read(file, bytes.data() + filled, bytes.size() - filled);
        if (taken == 0) {
            return 0;
        }
        if (taken > 0) {
            filled += static_cast<usize>(taken);
            continue;
        }
        pollfd writer{.fd = file, .events = POLLIN, .revents = 0};
        bool waited = errno == EAGAIN && ::poll(&writer, 1, writer_timeout_ms) > 0;
        if (!waited && errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

}  // namespace

Result<std::span<const std::byte>, std::string> KeyFiles::read(std::string_view path) {
    for (const Key& key : keys_) {
        if (key.path == path) {
            return std::span<const std::byte>(key.bytes);
        }
    }
    Key key{.path = std::string(path), .bytes = std::vector<std::byte>(bytes_max)};
    // Not blocking: a pipe that nobody writes to is an error, not a wait.
    int file = ::open(key.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (file < 0) {
        return cannot_read(path, errno);
    }
    usize filled = 0;
    int error = fill(file, key.bytes, filled);
    (void)::close(file);
    if (error != 0) {
        secure_wipe(key.bytes);
        return cannot_read(path, error);
    }
    key.bytes.resize(filled);  // in place: smaller than before, so that nothing is copied
    keys_.push_back(std::move(key));
    return std::span<const std::byte>(keys_.back().bytes);
}

void KeyFiles::wipe() {
    for (Key& key : keys_) {
        secure_wipe(key.bytes);
    }
    keys_.clear();
}

}  // namespace undercroft
