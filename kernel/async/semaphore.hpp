// A budget that can be waited for: frames, bounce pages, queue slots. First come, first served, so that a large request is not starved.
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
    /// Takes `units`, waiting for them within `limits`.
    Task<Result<void>> acquire(u64 units = 1, WaitLimits limits = {}) {
        bool behind_others = !waiters_.is_empty();
        while (behind_others || available_ < units) {
            Result<void> outcome = co_await waiters_.wait(limits);
            if (!outcome) {
                wake_next();  // whoever stood behind us may fit
                co_return outcome;
            }
            behind_others = false;
        }
        available_ -= units;
        wake_next();
        co_return Result<void>{};
    }
    void release(u64 units = 1) {
        available_ += units;
        wake_next();
    }

private:
    void wake_next() {
        if (available_ > 0) {
            waiters_.notify_one();
        }
    }
    u64 available_;
    WaitQueue waiters_;
};

}  // namespace undercroft
