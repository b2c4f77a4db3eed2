// Timers of an executor: an intrusive pairing heap, so that arming and disarming allocate nothing. Times are
// nanoseconds of the executor's monotonic clock.
#pragma once

#include "kernel/base/assert.hpp"
#include "kernel/base/types.hpp"

namespace undercroft {

/// A deadline that never comes.
inline constexpr u64 no_deadline = ~u64{0};

/// One timer, embedded in whatever waits. Not armed until given to an executor; must be disarmed before it is
/// destroyed.
class Timer {
public:
    using Callback = void (*)(Timer& self);

    explicit Timer(Callback callback) : callback_(callback) {}
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { ASSERT(!armed_); }

    bool is_armed() const { return armed_; }
    u64 deadline_ns() const { return deadline_ns_; }

private:
    friend class TimerQueue;
    Callback callback_;
    u64 deadline_ns_ = no_deadline;
    bool armed_ = false;
    Timer* child_ = nullptr;
    Timer* sibling_ = nullptr;
    Timer* previous_ = nullptr;  // parent if first child, else left sibling
};

/// The set of armed timers, earliest first; equal deadlines fire in no stated order.
class TimerQueue {
public:
    bool is_empty() const { return root_ == nullptr; }
    /// The earliest deadline, or `no_deadline`.
    u64 next_deadline_ns() const { return root_ == nullptr ? no_deadline : root_->deadline_ns_; }
    /// Arms `timer`, which must not be armed.
    void arm(Timer& timer, u64 deadline_ns);
    /// Disarms; harmless when not armed.
    void disarm(Timer& timer);
    /// Disarms and runs every timer whose deadline is at or before `now_ns`. Returns how many ran.
    usize fire(u64 now_ns);

private:
    static Timer* meld(Timer* left, Timer* right);
    static Timer* merge_pairs(Timer* first);
    Timer* root_ = nullptr;
};

}  // namespace undercroft
