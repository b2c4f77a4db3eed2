// When to look for a client's next requests. A client that keeps many requests under way is served best in batches: one
// wake-up, one receive and one send for several of them, and in the meantime it is left alone with the replies it has
// yet to read. A client that waits for us is served at once. Which of the two it is, the socket says: bytes that we sent
// and that the client has not read yet are work that it still has. Leaves out the waiting itself, and how the socket is
// asked.
#pragma once

#include <algorithm>
#include <optional>

#include "kernel/base/types.hpp"

namespace undercroft {

class ReceivePacing {
public:
    /// The longest that a client is left alone. It is far below what a client takes to read a deep queue of replies, and
    /// far above what a wake-up costs.
    static constexpr u64 pause_max_ns = 48 * nanoseconds_per_microsecond;
    static constexpr u64 pause_step_ns = 4 * nanoseconds_per_microsecond;
    static constexpr u64 pause_min_ns = 8 * nanoseconds_per_microsecond;
    /// A batch of so many requests is large enough: a longer pause would win little.
    static constexpr u64 batch_requests = 16;
    /// And one of so many bytes received: a client that fills the socket sleeps until most of it was taken out.
    static constexpr u64 batch_bytes = 40 * kib;

    /// What was received since the last call.
    struct Batch {
        u64 requests = 0;
        u64 received_bytes = 0;
    };
    /// To be called with every request that was received consumed. `unread`: bytes of what was sent before that the
    /// client has not read, or nothing where that is not known. How long to leave the client alone before its next
    /// requests are received.
    u64 next_pause_ns(const Batch& batch, std::optional<u64> unread) {
        bool has_work = unread.value_or(0) > 0;
        peer_waits_ = batch.requests <= 1 && !has_work;
        u64 fill_percent = std::max(batch.requests * 100 / batch_requests, batch.received_bytes * 100 / batch_bytes);
        if (!has_work || fill_percent > 150) {
            pause_ns_ /= 2;  // it may have waited for us
        } else if (fill_percent < 100) {
            pause_ns_ = std::min(pause_ns_ + pause_step_ns, pause_max_ns);
        }
        return pause_ns_ < pause_min_ns ? 0 : pause_ns_;
    }
    /// Whether the client is likely waiting for us, so that looking out for its next request instead of sleeping pays.
    bool peer_waits() const { return peer_waits_; }

private:
    u64 pause_ns_ = 0;
    bool peer_waits_ = true;
};

}  // namespace undercroft
