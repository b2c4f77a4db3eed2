// A budget that can be waited for: frames, bounce pages, queue slots. First come, first served, so that a large request
// is not starved.
#pragma once

#include "kernel/async/task.hpp"
#include "kernel/async/wait_queue.hpp"

namespace undercroft {

class Semaphore {
public:
    explicit Semaphore(u64 units) : available_(units) {}

    u64 available() const { return available_; }
    /// Takes `units` without waiting; false where that is not possible, or somebody waits already.
    bool try_acquire(u64 units = 1) {
        if (!waiters_.is_empty() || available_ < units) {
            return false;
        }
        available_ -= units;
        return true;
    }
    /// Takes `units`, waiting for them within `limits`. They are taken in the waiter's name when it is its turn, before
    /// it runs again: nobody can step in between. More units than the semaphore ever has wait for ever, or until
    /// `limits`.
    Task<Result<void>> acquire(u64 units = 1, WaitLimits limits = {}) {
        if (try_acquire(units)) {
            co_return Result<void>{};
        }
        Result<void> outcome = co_await waiters_.wait(limits, units);
        if (!outcome) {
            grant();  // whoever stood behind us may fit
        }
        co_return outcome;
    }
    void release(u64 units = 1) {
        available_ += units;
        grant();
    }

private:
    /// Serves waiters in order, and stops at the first that does not fit yet.
    void grant() {
        while (!waiters_.is_empty() && waiters_.first_tag() <= available_) {
            available_ -= waiters_.first_tag();
            waiters_.notify_one();
        }
    }
    u64 available_;
    WaitQueue waiters_;
};

}  // namespace undercroft
