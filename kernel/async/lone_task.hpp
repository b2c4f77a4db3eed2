// A device's worker: jobs that come from any processor are done by one coroutine, one after the other, on one executor.
// What there is to do is the owner's knowledge, under a lock of the owner's; this is the machine around it: waking,
// asking the job under way to end, its deadline, and an end after which nothing runs any more.
//
//     any processor, lock held:   wake()  cancel()
//     the executor:               take_job() -> do_job() -> take_job() -> ... -> rest()
//
// A cancellation lasts until the owner has answered it (`settle`), so one that is asked for between two jobs reaches
// the next. Leaves out several jobs at a time.
#pragma once

#include "kernel/async/task_group.hpp"
#include "kernel/base/spinlock.hpp"

namespace undercroft {

class LoneTask final : private Work {
public:
    class Owner {
    public:
        /// Takes what is to be done next; false where there is nothing. With the lock held; not once `close` has begun.
        virtual bool take_job() = 0;
        /// Does it. On the executor, without the lock.
        virtual Task<void> do_job() = 0;
        /// Nothing is under way any more. With the lock held; with `close` too.
        virtual void rest() {}

    protected:
        ~Owner() = default;
    };
    class Step;

    /// What is referred to outlives this; `lock` guards the owner's state and this.
    LoneTask(Owner& owner, Executor& executor, Spinlock& lock)
        : Work(&LoneTask::on_work), owner_(owner), executor_(executor), lock_(lock) {}
    LoneTask(const LoneTask&) = delete;
    LoneTask& operator=(const LoneTask&) = delete;
    /// After `close` has ended, or where nobody ever woke it.
    ~LoneTask() { ASSERT(!is_posted_ && !is_busy_); }

    // With the lock held.
    /// There may be a job. Once `close` has begun, nothing happens.
    void wake();
    /// Asks the job under way, or the next one, to end early.
    void cancel();
    /// The cancellation has been answered.
    void settle() { is_cancelled_ = is_closed_; }
    bool is_cancelled() const { return is_cancelled_; }
    /// Whether a job is under way, or about to be taken.
    bool is_busy() const { return is_busy_; }
    bool is_closed() const { return is_closed_; }

    /// Asks the job under way to end, and waits until it has; no other is taken, and nothing runs afterwards. What was
    /// woken for and has not begun is dropped, and `rest` comes at once. On the executor, once.
    Task<void> close();

private:
    static void on_work(Work& self);
    bool is_active();
    bool next();
    Task<void> run();

    Owner& owner_;
    Executor& executor_;
    Spinlock& lock_;
    bool is_posted_ = false;
    bool is_busy_ = false;
    bool is_cancelled_ = false;
    bool is_closed_ = false;

    // The executor alone.
    Step* step_ = nullptr;
    TaskGroup tasks_;
};

/// One access of a job to what may take long. Its token asks when the task was cancelled, before or during it, and when
/// its time is over. On the executor; one at a time.
class LoneTask::Step : private Timer {
public:
    /// Begins now; `time_ns` from now it is late. Takes the lock.
    Step(LoneTask& task, u64 time_ns);
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;
    ~Step();

    CancelToken token() { return cancel_.token(); }
    /// Whether the clock has asked for its end.
    bool is_late() const { return is_late_; }

private:
    friend class LoneTask;
    static void on_deadline(Timer& self);

    LoneTask& task_;
    CancelSource cancel_;
    bool is_late_ = false;
};

}  // namespace undercroft
