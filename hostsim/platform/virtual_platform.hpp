// Environments in which time is virtual: nothing sleeps, idling advances the clock to the next deadline, and a run with
// no ready work and no timer is a deadlock, reported instead of hung. `VirtualTimePlatform` is one executor;
// `SimulatedProcessors` is several on one thread, in an order drawn from a seed.
#pragma once

#include <memory>
#include <vector>

#include "kernel/async/executor.hpp"
#include "kernel/async/task.hpp"

namespace undercroft {

/// The clock of a simulation, in nanoseconds. Starts at one second, so that "zero" is recognisable as never.
class VirtualClock {
public:
    u64 now_ns() const { return now_ns_; }
    /// Moves forward to `deadline_ns`; never back.
    void advance_to(u64 deadline_ns) { now_ns_ = deadline_ns > now_ns_ ? deadline_ns : now_ns_; }

private:
    u64 now_ns_ = nanoseconds_per_second;
};

/// For one executor: `idle` advances virtual time to the deadline. Panics where there is none and nobody woke it: a
/// real deadlock.
class VirtualTimePlatform final : public ExecutorPlatform {
public:
    u64 now_ns() override { return clock_.now_ns(); }
    void idle(u64 deadline_ns) override;
    void wake() override { woken_ = true; }
    VirtualClock& clock() { return clock_; }

private:
    VirtualClock clock_;
    bool woken_ = false;
};

/// Several executors on one thread and one virtual clock. One seed, one interleaving.
class SimulatedProcessors {
public:
    /// `count` executors; `seed` 0 runs them in turn, each first in, first out.
    explicit SimulatedProcessors(usize count, u64 seed = 0);
    SimulatedProcessors(const SimulatedProcessors&) = delete;
    SimulatedProcessors& operator=(const SimulatedProcessors&) = delete;

    VirtualClock& clock() { return clock_; }
    u64 now_ns() const { return clock_.now_ns(); }
    usize count() const { return processors_.size(); }
    Executor& executor(usize index) { return processors_[index]->executor; }
    /// All executors, in order: what a driver's `open` takes.
    std::vector<Executor*> executors();

    /// Runs every executor until `done()`, which is asked after each round. Panics on a deadlock, and past virtual time
    /// `limit_ns`.
    template <typename Done>
    void run_until(Done&& done, u64 limit_ns = no_deadline) {
        while (!done()) {
            step(limit_ns);
        }
    }
    /// Starts `task` on executor `index` and runs all of them until it has ended.
    template <typename T>
    T run(Task<T> task, usize index = 0, u64 limit_ns = no_deadline) {
        std::optional<T> result;
        {
            CurrentExecutorScope scope(executor(index));
            detail::run_root(std::move(task), result);
        }
        run_until([&] { return result.has_value(); }, limit_ns);
        return std::move(*result);
    }
    /// One round: what is ready on each executor, or else the clock to the next deadline.
    void step(u64 limit_ns = no_deadline);

private:
    struct Processor final : ExecutorPlatform {
        explicit Processor(VirtualClock& shared) : clock(shared), executor(*this) {}
        u64 now_ns() override { return clock.now_ns(); }
        void idle(u64) override {}
        void wake() override {}
        VirtualClock& clock;
        Executor executor;
    };
    VirtualClock clock_;
    std::vector<std::unique_ptr<Processor>> processors_;
    u64 order_state_;
};

}  // namespace undercroft
