// The parts of one disk operation, side by side: each starts when it is added, and the operation ends when all have.
// Allocates nothing but coroutine frames, and not even those for parts that are done at once.
#pragma once

#include "kernel/async/wait_queue.hpp"
#include "storage/disk.hpp"

namespace undercroft {

class FanOut {
public:
    FanOut() = default;
    FanOut(const FanOut&) = delete;
    FanOut& operator=(const FanOut&) = delete;
    ~FanOut() { ASSERT(running_ == 0); }

    /// Starts `part` on the current executor.
    void add(Task<DiskResult<void>> part) {
        usize index = added_++;
        if (part.await_ready()) {
            note(index, part.await_resume());
        } else {
            run(*this, index, std::move(part));
        }
    }
    usize running() const { return running_; }
    bool has_failed() const { return failed_index_ != none_failed; }

    /// Ends when all parts have, with the error of the first that failed, in the order of adding. Must be awaited: the
    /// parts use what the operation owns.
    Task<DiskResult<void>> finish() {
        while (running_ > 0) {
            (void)co_await finished_.wait();  // each part ends within a bound: the contract of `Disk`
        }
        if (has_failed()) {
            co_return fail(error_);
        }
        co_return DiskResult<void>{};
    }

private:
    static constexpr usize none_failed = ~usize{0};

    static detail::Root run(FanOut& all, usize index, Task<DiskResult<void>> part) {
        ++all.running_;
        {
            Task<DiskResult<void>> owned = std::move(part);
            all.note(index, co_await owned);
        }
        if (--all.running_ == 0) {
            all.finished_.notify_all();
        }
    }
    void note(usize index, const DiskResult<void>& result) {
        if (!result && index < failed_index_) {
            failed_index_ = index;
            error_ = result.error();
        }
    }

    usize added_ = 0;
    usize running_ = 0;
    usize failed_index_ = none_failed;
    DiskError error_ = DiskError::io;
    WaitQueue finished_;
};

}  // namespace undercroft
