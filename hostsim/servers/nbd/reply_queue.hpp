// Replies on their way out: whoever has one waits until it was sent, and one sender sends all that are ready with one
// call, header and data gathered from where they are.
#pragma once

#include "hostsim/servers/byte_stream.hpp"
#include "hostsim/servers/nbd/protocol.hpp"
#include <cstring>

#include "kernel/async/cancel.hpp"
#include "kernel/async/wait_queue.hpp"
#include "kernel/base/memory_segment.hpp"

namespace undercroft::nbd {

/// One message. Header and data stay where they are until it was sent.
struct Reply {  // NOLINT(cppcoreguidelines-pro-type-member-init): see header
    static constexpr usize header_bytes_max = 64;
    // Not initialised: only the first `header_bytes` are ever looked at, and this is on the path of every request.
    alignas(8) std::byte header[header_bytes_max];
    usize header_bytes = 0;
    SegmentList data;
    /// Another reply of the same owner continues the message: nothing else is sent until one without this. The owner
    /// calls `ReplyQueue::send` for it, or `ReplyQueue::fail`.
    bool continues = false;
    const void* owner = nullptr;  ///< set on every part of such a message

    template <typename T>
    void append(const T& field) {
        static_assert(alignof(T) == 1);
        std::memcpy(header + header_bytes, &field, sizeof(field));
        header_bytes += sizeof(field);
    }
};

class ReplyQueue {
public:
    explicit ReplyQueue(ByteStream& stream) : stream_(stream) {}
    ReplyQueue(const ReplyQueue&) = delete;
    ReplyQueue& operator=(const ReplyQueue&) = delete;
    ~ReplyQueue() { ASSERT(first_ == nullptr); }

    /// `bool sent = co_await queue.send(reply)`: false where the stream has failed.
    class [[nodiscard]] Sending : private Work {
    public:
        Sending(ReplyQueue& queue, const Reply& reply) : Work(&Sending::resume), queue_(queue), reply_(reply) {}
        bool await_ready() const { return queue_.failed_; }
        void await_suspend(std::coroutine_handle<> waiter);
        bool await_resume() const { return !queue_.failed_; }

    private:
        friend class ReplyQueue;
        static void resume(Work& self) { static_cast<Sending&>(self).waiter_.resume(); }
        ReplyQueue& queue_;
        const Reply& reply_;
        std::coroutine_handle<> waiter_;
        Sending* next_ = nullptr;
    };
    Sending send(const Reply& reply) { return Sending(*this, reply); }

    /// Sends what is queued until `stop`, or until the stream fails: then `on_failure` is cancelled.
    Task<void> run(CancelSource& on_failure);
    /// Ends `run` once everything is sent.
    void stop();
    /// Gives the stream up: a message that has begun cannot be ended.
    void fail();

    bool has_failed() const { return failed_; }
    u64 send_count() const { return send_count_; }

private:
    static constexpr usize pieces_max = 256;
    static constexpr usize batch_bytes_max = 512 * kib;

    bool can_send() const {
        return first_ != nullptr && (stream_owner_ == nullptr || first_->reply_.owner == stream_owner_);
    }
    usize gather(usize& replies);
    void finish(usize replies);

    ByteStream& stream_;
    WaitQueue pending_;
    Sending* first_ = nullptr;
    Sending* last_ = nullptr;
    const void* stream_owner_ = nullptr;  // whose message has begun and not ended
    bool stopping_ = false;
    bool failed_ = false;
    u64 send_count_ = 0;
    iovec pieces_[pieces_max] = {};
};

}  // namespace undercroft::nbd
