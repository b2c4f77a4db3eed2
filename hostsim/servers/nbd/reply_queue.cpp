// ReplyQueue.
#include "hostsim/servers/nbd/reply_queue.hpp"

namespace undercroft::nbd {

void ReplyQueue::Sending::await_suspend(std::coroutine_handle<> waiter) {
    waiter_ = waiter;
    bool goes_on = queue_.stream_owner_ != nullptr && reply_.owner == queue_.stream_owner_;
    if (goes_on) {
        next_ = queue_.first_;
        queue_.first_ = this;
        queue_.last_ = queue_.last_ != nullptr ? queue_.last_ : this;
    } else {
        (queue_.last_ != nullptr ? queue_.last_->next_ : queue_.first_) = this;
        queue_.last_ = this;
    }
    queue_.pending_.notify_one();
}

// Takes whole replies; returns the number of pieces, and of replies in `replies`: more may be queued while these are
// sent. At least one always fits. A message that goes on is the last of its batch, and alone afterwards.
usize ReplyQueue::gather(usize& replies) {
    usize count = 0;
    usize bytes = 0;
    replies = 0;
    for (Sending* at = first_; at != nullptr; at = at->next_) {
        const Reply& reply = at->reply_;
        bool full = count + 1 + reply.data.size() > pieces_max || (count > 0 && bytes >= batch_bytes_max);
        if (full || (count > 0 && stream_owner_ != nullptr)) {
            break;
        }
        // SAFETY: the header is only read; iovec has no other pointer type.
        pieces_[count++] = {.iov_base = const_cast<std::byte*>(reply.header),  // NOLINT
                            .iov_len = reply.header_bytes};
        bytes += reply.header_bytes;
        for (const MemorySegment& segment : reply.data) {
            pieces_[count++] = {.iov_base = segment.data, .iov_len = segment.size};
            bytes += segment.size;
        }
        ++replies;
        stream_owner_ = reply.continues ? reply.owner : nullptr;
    }
    return count;
}

void ReplyQueue::finish(usize replies) {
    for (; replies > 0 && first_ != nullptr; --replies) {
        Sending* sent = first_;
        first_ = sent->next_;
        Executor::current().post(*sent);
    }
    if (first_ == nullptr) {
        last_ = nullptr;
    }
}

Task<void> ReplyQueue::run(CancelSource& on_failure) {
    while (true) {
        while (!can_send() && !stopping_ && !failed_) {
            (void)co_await pending_.wait();  // `stop` or `fail` cannot fail to come
        }
        if (!can_send() || failed_) {
            break;
        }
        usize replies = 0;
        usize count = gather(replies);
        ++send_count_;
        if (co_await stream_.send({pieces_, count}, on_failure.token()) < 0) {
            failed_ = true;
            break;
        }
        finish(replies);
    }
    finish(~usize{0});
    if (failed_) {
        on_failure.cancel();
    }
}

void ReplyQueue::fail() {
    failed_ = true;
    pending_.notify_all();
}

void ReplyQueue::stop() {
    stopping_ = true;
    pending_.notify_all();
}

}  // namespace undercroft::nbd
