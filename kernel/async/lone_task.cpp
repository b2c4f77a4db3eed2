// LoneTask. Everything that decides whether a job begins or ends is decided with the lock held; the step is the
// executor's own, so it is asked there.
#include "kernel/async/lone_task.hpp"

namespace undercroft {

void LoneTask::wake() {
    if (is_posted_ || is_closed_) {
        return;
    }
    is_posted_ = true;
    executor_.post_from_anywhere(*this);
}

void LoneTask::cancel() {
    is_cancelled_ = true;
    wake();
}

void LoneTask::on_work(Work& self) {
    auto& task = static_cast<LoneTask&>(self);
    bool cancels = false;
    bool starts = false;
    {
        SpinlockGuard guard(task.lock_);
        task.is_posted_ = false;
        cancels = task.is_cancelled_;
        starts = !task.is_busy_ && !task.is_closed_;
        task.is_busy_ = task.is_busy_ || starts;
    }
    if (cancels && task.step_ != nullptr) {
        task.step_->cancel_.cancel();
    }
    if (starts) {
        task.tasks_.spawn(task.run());
    }
}

bool LoneTask::next() {
    SpinlockGuard guard(lock_);
    is_busy_ = !is_closed_ && owner_.take_job();
    if (!is_busy_) {
        owner_.rest();
    }
    return is_busy_;
}

Task<void> LoneTask::run() {
    while (next()) {
        co_await owner_.do_job();
    }
}

bool LoneTask::is_active() {
    SpinlockGuard guard(lock_);
    return is_posted_ || tasks_.running() > 0;
}

Task<void> LoneTask::close() {
    {
        SpinlockGuard guard(lock_);
        ASSERT(!is_closed_);
        bool drops_job = is_posted_ && !is_busy_;
        cancel();
        is_closed_ = true;
        if (drops_job) {
            owner_.rest();  // whoever asked for it waits for that; a job under way comes to `next`
        }
    }
    while (is_active()) {
        co_await yield();
        Result<void> ended = co_await tasks_.join();
        ASSERT(ended.has_value());
    }
}

LoneTask::Step::Step(LoneTask& task, u64 time_ns) : Timer(&Step::on_deadline), task_(task) {
    ASSERT(task_.step_ == nullptr);
    task_.step_ = this;
    Executor& executor = Executor::current();
    executor.arm(*this, executor.now_ns() + time_ns);
    SpinlockGuard guard(task_.lock_);
    if (task_.is_cancelled_) {
        cancel_.cancel();
    }
}

LoneTask::Step::~Step() {
    Executor::current().disarm(*this);
    task_.step_ = nullptr;
}

void LoneTask::Step::on_deadline(Timer& self) {
    auto& step = static_cast<Step&>(self);
    step.is_late_ = true;
    step.cancel_.cancel();
}

}  // namespace undercroft
