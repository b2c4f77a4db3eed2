// A set of tasks that live beside their owner: started with `spawn`, asked to stop through one cancel token, and waited
// for before the group may go.
#pragma once

#include "kernel/async/task.hpp"
#include "kernel/async/wait_queue.hpp"

namespace undercroft {

class TaskGroup {
public:
    TaskGroup() = default;
    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;
    ~TaskGroup() { ASSERT(running_ == 0); }

    /// Given to the tasks, so that `stop` reaches them.
    CancelToken token() { return cancel_.token(); }
    usize running() const { return running_; }

    /// Starts `task` at once, on the current executor.
    void spawn(Task<void> task) { run(*this, std::move(task)); }

    /// Asks every task that listens to `token` to end.
    void stop() { cancel_.cancel(); }
    /// Waits until every task has ended.
    Task<Result<void>> join(WaitLimits limits = {}) {
        while (running_ > 0) {
            CO_TRY(co_await idle_.wait(limits));
        }
        co_return Result<void>{};
    }

private:
    static detail::Root run(TaskGroup& group, Task<void> task) {
        ++group.running_;
        {
            Task<void> owned = std::move(task);
            co_await owned;
        }
        if (--group.running_ == 0) {
            group.idle_.notify_all();
        }
    }
    usize running_ = 0;
    CancelSource cancel_;
    WaitQueue idle_;
};

}  // namespace undercroft
