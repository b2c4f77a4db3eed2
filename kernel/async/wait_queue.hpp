// Waiting: the one awaitable under everything that waits. Every wait ends exactly once, by a notification, its
// deadline, or its cancel token, whichever is first; the coroutine goes on from its executor's ready queue, never from
// inside the notifier. One executor only.
#pragma once

#include <coroutine>

#include "kernel/async/cancel.hpp"
#include "kernel/async/executor.hpp"
#include "kernel/base/result.hpp"

namespace undercroft {

/// How long and until when a wait may last. The default waits until notified: give one of the two unless the notifier
/// cannot fail to come.
struct WaitLimits {
    u64 deadline_ns = no_deadline;
    CancelToken cancel = {};
};

class WaitQueue;

/// The awaitable of `WaitQueue::wait`. Result: nothing, or `timed_out`, or `cancelled`.
class [[nodiscard]] Waiter : private Work, private Timer, private CancelRegistration {
public:
    Waiter(WaitQueue* queue, WaitLimits limits, u64 tag = 0)
        : Work(&Waiter::run), Timer(&Waiter::on_deadline), queue_(queue), limits_(limits), tag_(tag) {}
    ~Waiter() { ASSERT(!linked_); }

    bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> waiter);
    Result<void> await_resume() const { return outcome_; }

private:
    friend class WaitQueue;
    static void run(Work& self) { static_cast<Waiter&>(self).coroutine_.resume(); }
    static void on_deadline(Timer& self) { static_cast<Waiter&>(self).finish(fail(Error::timed_out)); }
    static void on_cancel(CancelRegistration& self) { static_cast<Waiter&>(self).finish(fail(Error::cancelled)); }
    void finish(Result<void> outcome);

    WaitQueue* queue_;  // null: a plain sleep
    WaitLimits limits_;
    u64 tag_;
    Executor* executor_ = nullptr;
    std::coroutine_handle<> coroutine_;
    Result<void> outcome_;
    bool linked_ = false;
    Waiter* previous_ = nullptr;
    Waiter* next_ = nullptr;
};

/// First come, first notified.
class WaitQueue {
public:
    WaitQueue() = default;
    WaitQueue(const WaitQueue&) = delete;
    WaitQueue& operator=(const WaitQueue&) = delete;
    ~WaitQueue() { ASSERT(first_ == nullptr); }

    bool is_empty() const { return first_ == nullptr; }
    /// `tag` is the notifier's to read: what this wait is for.
    Waiter wait(WaitLimits limits = {}, u64 tag = 0) { return Waiter(this, limits, tag); }
    /// The tag of the oldest wait, of which there must be one.
    u64 first_tag() const { return first_->tag_; }
    /// Ends the oldest wait; returns whether there was one.
    bool notify_one();
    void notify_all();

private:
    friend class Waiter;
    void link(Waiter& waiter);
    void unlink(Waiter& waiter);
    Waiter* first_ = nullptr;
    Waiter* last_ = nullptr;
};

/// `co_await sleep_until(deadline)`: always ends; with `timed_out` when the time has come (the normal case), or
/// `cancelled`.
inline Waiter sleep_until(u64 deadline_ns, CancelToken cancel = {}) {
    return Waiter(nullptr, WaitLimits{.deadline_ns = deadline_ns, .cancel = cancel});
}
inline Waiter sleep_for(u64 duration_ns, CancelToken cancel = {}) {
    return sleep_until(Executor::current().now_ns() + duration_ns, cancel);
}

}  // namespace undercroft
