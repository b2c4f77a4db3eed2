// A flag that can be waited for. Set stays set until reset.
#pragma once

#include "kernel/async/task.hpp"
#include "kernel/async/wait_queue.hpp"

namespace undercroft {

class Event {
public:
    bool is_set() const { return set_; }
    void set() {
        set_ = true;
        waiters_.notify_all();
    }
    void reset() { set_ = false; }
    /// Ends at once when set; else when it is set, or with `timed_out` or `cancelled`.
    Task<Result<void>> wait(WaitLimits limits = {}) {
        while (!set_) {
            CO_TRY(co_await waiters_.wait(limits));
        }
        co_return Result<void>{};
    }

private:
    bool set_ = false;
    WaitQueue waiters_;
};

}  // namespace undercroft
