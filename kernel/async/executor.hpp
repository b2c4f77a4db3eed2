// One executor per virtual processor (or host thread): a queue of ready work, a set of timers, and an idle action. No
// shared run queue and no locks; the one thing that other processors may do is `post_remote`. What the idle action is
// (return to VTL0, wait for the kernel, advance virtual time) is the only difference between the environments, and is
// behind `ExecutorPlatform`.
#pragma once

#include <atomic>
#include <coroutine>

#include "kernel/async/timer.hpp"
#include "kernel/base/types.hpp"

namespace undercroft {

/// Something that is ready to run, embedded in its owner; in at most one queue at a time.
class Work {
public:
    using Run = void (*)(Work& self);
    explicit Work(Run run) : run_(run) {}
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;

private:
    friend class Executor;
    Run run_;
    Work* next_ = nullptr;
};

/// What an executor needs of its environment.
class ExecutorPlatform {
public:
    virtual ~ExecutorPlatform() = default;
    /// The monotonic clock, in nanoseconds since some fixed point.
    virtual u64 now_ns() = 0;
    /// Called with nothing ready: may give the processor away until `deadline_ns`, an interrupt, or `wake`. May return
    /// early, for no reason.
    virtual void idle(u64 deadline_ns) = 0;
    /// Called from any processor: makes a present or the next `idle` return soon.
    virtual void wake() = 0;
    /// Called between two batches of ready work, so that a loop that is never idle still serves its environment: looks
    /// for what has happened, and never waits.
    virtual void poll() {}
    /// Which environment this is: the address of something that only that environment has. Null where nobody asks.
    virtual const void* kind() const { return nullptr; }
};

class Executor {
public:
    explicit Executor(ExecutorPlatform& platform) : platform_(platform) {}
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;
    ~Executor();

    /// The executor of the processor that asks; asserts that there is one.
    static Executor& current();
    static bool has_current();
    /// Whether the caller runs on this one.
    bool is_current() const { return has_current() && &current() == this; }

    u64 now_ns() { return platform_.now_ns(); }
    ExecutorPlatform& platform() const { return platform_; }

    /// Queues `work` at the end. Own processor only.
    void post(Work& work);
    /// Queues `work` from any processor and wakes this one.
    void post_remote(Work& work);
    /// Queues `work` from wherever the caller runs: the shorter way where that is here.
    void post_from_anywhere(Work& work) { is_current() ? post(work) : post_remote(work); }

    void arm(Timer& timer, u64 deadline_ns) { timers_.arm(timer, deadline_ns); }
    void disarm(Timer& timer) { timers_.disarm(timer); }
    u64 next_deadline_ns() const { return timers_.next_deadline_ns(); }

    /// Runs what is ready, and due timers, without idling; returns whether anything ran.
    bool run_ready();
    /// Runs and idles until `done()` says true; it is asked after every round.
    template <typename Done>
    void run_until(Done&& done) {
        while (!done()) {
            run_once();
        }
    }
    /// One round: a batch of what is ready, or else one idle. Returns after the batch even if more became ready
    /// meanwhile, so that a task that yields for ever cannot keep `run_until` from asking.
    void run_once();

    /// From now on ready work is taken in an order drawn from `seed` (simulation); 0 restores first in, first out.
    void set_scheduling_seed(u64 seed) { scheduling_state_ = seed; }

    /// Memory for coroutine frames, kept in per-size lists: after warm-up no frame touches the heap.
    void* allocate_frame(usize size);
    void free_frame(void* frame, usize size);
    /// What to ask the heap for where there is no executor yet: a frame of `size` may be freed into an executor's lists
    /// later, which hold whole granules.
    static constexpr usize frame_bytes(usize size) { return align_up(size, frame_granule); }

    /// How often this executor found nothing ready, and how many work items it ran: for `inspect` and tests.
    u64 idle_count() const { return idle_count_; }
    u64 work_count() const { return work_count_; }

private:
    Work* take_ready();
    void take_remote();
    bool run_batch();

    static constexpr usize frame_granule = 64;
    static constexpr usize frame_classes = 64;  // frames up to 4 KiB are pooled
    struct FreeFrame {
        FreeFrame* next;
    };

    ExecutorPlatform& platform_;
    TimerQueue timers_;
    Work* head_ = nullptr;
    Work* tail_ = nullptr;
    usize ready_count_ = 0;
    std::atomic<Work*> remote_{nullptr};
    u64 scheduling_state_ = 0;
    u64 idle_count_ = 0;
    u64 work_count_ = 0;
    FreeFrame* free_frames_[frame_classes] = {};
};

/// The slot that holds the calling processor's executor. Each environment defines it (per virtual processor, or per
/// thread).
Executor*& current_executor_slot();

/// Makes `executor` current for as long as it lives.
class CurrentExecutorScope {
public:
    explicit CurrentExecutorScope(Executor& executor) : previous_(current_executor_slot()) {
        current_executor_slot() = &executor;
    }
    CurrentExecutorScope(const CurrentExecutorScope&) = delete;
    CurrentExecutorScope& operator=(const CurrentExecutorScope&) = delete;
    ~CurrentExecutorScope() { current_executor_slot() = previous_; }

private:
    Executor* previous_;
};

/// `co_await resume_on(executor)`: the coroutine goes on there. The only way a coroutine changes processor.
class ResumeOn : private Work {
public:
    explicit ResumeOn(Executor& target) : Work(&ResumeOn::resume), target_(target) {}
    bool await_ready() const { return &Executor::current() == &target_; }
    void await_suspend(std::coroutine_handle<> waiter) {
        waiter_ = waiter;
        target_.post_remote(*this);
    }
    void await_resume() const {}

private:
    static void resume(Work& self) { static_cast<ResumeOn&>(self).waiter_.resume(); }
    Executor& target_;
    std::coroutine_handle<> waiter_;
};

inline ResumeOn resume_on(Executor& executor) { return ResumeOn(executor); }

/// `co_await yield()`: lets everything that is ready run first.
class Yield : private Work {
public:
    Yield() : Work(&Yield::resume) {}
    bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
        waiter_ = waiter;
        Executor::current().post(*this);
    }
    void await_resume() const {}

private:
    static void resume(Work& self) { static_cast<Yield&>(self).waiter_.resume(); }
    std::coroutine_handle<> waiter_;
};

inline Yield yield() { return Yield(); }

}  // namespace undercroft
