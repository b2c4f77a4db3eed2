// A ByteStream without a peer: what is received is a script, cut into pieces; what is sent is kept. For the tests and
// fuzz targets of servers.
#pragma once

#include <errno.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "hostsim/servers/byte_stream.hpp"
#include "kernel/async/wait_queue.hpp"

namespace undercroft {

class ScriptedStream final : public ByteStream {
public:
    /// Each receive gets at most `piece_bytes` of `script`; the end of the script is the end of the stream.
    explicit ScriptedStream(std::vector<std::byte> script, usize piece_bytes = ~usize{0})
        : script_(std::move(script)), piece_bytes_(piece_bytes) {}

    /// Everything that was sent.
    const std::vector<std::byte>& sent() const { return sent_; }
    /// From the given number of sends on, sending fails.
    void fail_sends_from(usize first) { sends_until_failure_ = first; }
    /// Sends take their bytes at once and end only later, as those of a busy socket do.
    void set_slow_sends(usize turns) { slow_turns_ = turns; }
    /// The end of the script is no end: the peer is silent and stays.
    void stay_silent() { silent_ = true; }

    Task<i32> receive(std::span<const iovec> into, CancelToken cancel) override {
        if (cancel.is_cancelled()) {
            co_return -ECANCELED;
        }
        if (position_ == script_.size() && silent_) {
            (void)co_await sleep_until(no_deadline - 1, cancel);
            co_return -ECANCELED;
        }
        usize got = 0;
        for (const iovec& piece : into) {
            usize rest = std::min(piece_bytes_ - got, script_.size() - position_);
            usize count = std::min(piece.iov_len, rest);
            if (count > 0) {
                std::memcpy(piece.iov_base, script_.data() + position_, count);
            }
            position_ += count;
            got += count;
        }
        co_return static_cast<i32>(got);
    }
    Task<i32> send(std::span<const iovec> from, CancelToken) override {
        if (sends_until_failure_ == 0) {
            co_return -EPIPE;
        }
        --sends_until_failure_;
        usize total = 0;
        for (const iovec& piece : from) {
            const auto* data = static_cast<const std::byte*>(piece.iov_base);
            sent_.insert(sent_.end(), data, data + piece.iov_len);
            total += piece.iov_len;
        }
        for (usize turn = 0; turn < slow_turns_; ++turn) {
            co_await yield();
        }
        co_return static_cast<i32>(total);
    }

private:
    std::vector<std::byte> script_;
    std::vector<std::byte> sent_;
    usize position_ = 0;
    usize piece_bytes_;
    usize sends_until_failure_ = ~usize{0};
    usize slow_turns_ = 0;
    bool silent_ = false;
};

}  // namespace undercroft
