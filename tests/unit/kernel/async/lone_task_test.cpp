// LoneTask: one job at a time, cancellation that no job loses, deadlines, and an end behind which nothing runs; and all of
// it from several threads, which says most under ThreadSanitizer.
#include "kernel/async/lone_task.hpp"

#include <catch2/catch.hpp>

#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include "hostsim/platform/executor_threads.hpp"
#include "hostsim/platform/virtual_platform.hpp"

namespace undercroft {
namespace {

constexpr u64 job_ns = 1000;
constexpr u64 deadline_ns = 10'000;

/// Jobs that each take a while, or end when they are asked to.
class Worker final : public LoneTask::Owner {
public:
    explicit Worker(Executor& executor) : task(*this, executor, lock) {}
    ~Worker() = default;

    void add(u64 takes_ns = job_ns) {
        SpinlockGuard guard(lock);
        waiting.push_back(takes_ns);
        task.wake();
    }
    void wake() {
        SpinlockGuard guard(lock);
        task.wake();
    }
    void cancel() {
        SpinlockGuard guard(lock);
        task.cancel();
    }
    bool is_busy() {
        SpinlockGuard guard(lock);
        return task.is_busy();
    }

    bool take_job() override {
        if (waiting.empty()) {
            return false;
        }
        takes_ns_ = waiting.front();
        waiting.pop_front();
        return true;
    }
    Task<void> do_job() override {
        most_at_once = std::max(most_at_once, ++at_once_);
        bool was_asked = false;
        bool is_late = false;
        {
            LoneTask::Step step(task, deadline_ns);
            Result<void> slept = co_await sleep_for(takes_ns_, step.token());
            was_asked = slept.error() == Error::cancelled;
            is_late = step.is_late();
        }
        --at_once_;
        SpinlockGuard guard(lock);
        ++(!was_asked ? done : is_late ? late : cancelled);
        task.settle();
        if (add_at_end > 0) {
            --add_at_end;
            waiting.push_back(job_ns);
        }
    }
    void rest() override { ++rests; }

    Spinlock lock;
    LoneTask task;
    std::deque<u64> waiting;
    int done = 0;
    int cancelled = 0;
    int late = 0;
    int rests = 0;
    int most_at_once = 0;
    int add_at_end = 0;

private:
    u64 takes_ns_ = 0;
    int at_once_ = 0;
};

struct Fixture {
    VirtualTimePlatform platform;
    Executor executor{platform};
    CurrentExecutorScope scope{executor};
    Worker worker{executor};

    ~Fixture() {
        if (!worker.task.is_closed()) {
            run_blocking(executor, worker.task.close());
        }
    }
    void pass(u64 ns) {
        u64 end = platform.now_ns() + ns;
        executor.run_ready();
        while (executor.next_deadline_ns() <= end) {
            platform.clock().advance_to(executor.next_deadline_ns());
            executor.run_ready();
        }
        platform.clock().advance_to(end);
    }
};

TEST_CASE("LoneTask: one job after the other, and rest") {
    Fixture test;
    test.worker.wake();
    test.pass(0);
    CHECK(test.worker.rests == 1);
    CHECK_FALSE(test.worker.is_busy());
    for (int count = 0; count < 3; ++count) {
        test.worker.add();
    }
    test.pass(job_ns / 2);
    CHECK(test.worker.is_busy());
    test.worker.add();  // while one is under way
    test.pass(10 * job_ns);
    CHECK(test.worker.done == 4);
    CHECK(test.worker.most_at_once == 1);
    CHECK(test.worker.rests == 2);
    CHECK_FALSE(test.worker.is_busy());
    // What a job's own end makes is taken without another wake.
    test.worker.add_at_end = 2;
    test.worker.add();
    test.pass(10 * job_ns);
    CHECK(test.worker.done == 7);
}

TEST_CASE("LoneTask: a cancellation ends the job under way, and that one alone") {
    Fixture test;
    test.worker.add();
    test.worker.add();
    test.pass(job_ns / 2);
    test.worker.cancel();
    test.pass(10 * job_ns);
    CHECK(test.worker.cancelled == 1);
    CHECK(test.worker.done == 1);
}

TEST_CASE("LoneTask: a cancellation between two jobs reaches the next") {
    Fixture test;
    test.worker.cancel();
    test.pass(job_ns);
    CHECK(test.worker.rests == 1);
    test.worker.add();
    test.worker.add();
    test.pass(10 * job_ns);
    CHECK(test.worker.cancelled == 1);
    CHECK(test.worker.done == 1);
}

TEST_CASE("LoneTask: a cancellation at the moment of completion is answered by that job") {
    Fixture test;
    test.worker.add();
    test.pass(0);
    // The job's timer has fired, and its coroutine is ready but has not run.
    test.platform.clock().advance_to(test.platform.now_ns() + job_ns);
    test.worker.cancel();
    test.pass(0);
    CHECK(test.worker.done + test.worker.cancelled == 1);
    test.worker.add();
    test.pass(10 * job_ns);
    CHECK(test.worker.done + test.worker.cancelled == 2);
    CHECK(test.worker.done >= 1);
}

TEST_CASE("LoneTask: what takes too long is late, not cancelled") {
    Fixture test;
    test.worker.add(100 * deadline_ns);
    test.pass(deadline_ns - 1);
    CHECK(test.worker.is_busy());
    test.pass(2);
    CHECK(test.worker.late == 1);
    CHECK_FALSE(test.worker.is_busy());
    test.worker.add();
    test.pass(2 * job_ns);
    CHECK(test.worker.done == 1);
}

TEST_CASE("LoneTask: close ends the job under way, takes no other, and is deaf afterwards") {
    Fixture test;
    SECTION("at rest") {
        run_blocking(test.executor, test.worker.task.close());
        CHECK(test.worker.rests == 0);
    }
    SECTION("with a job that nobody has looked at") {
        test.worker.add();
        run_blocking(test.executor, test.worker.task.close());
        CHECK(test.worker.done + test.worker.cancelled == 0);
        CHECK(test.worker.rests == 1);
    }
    SECTION("in the middle of one") {
        test.worker.add(100 * deadline_ns);
        test.worker.add();
        test.pass(1);
        u64 before = test.platform.now_ns();
        run_blocking(test.executor, test.worker.task.close());
        CHECK(test.platform.now_ns() == before);
        CHECK(test.worker.cancelled == 1);
        CHECK(test.worker.done == 0);
        CHECK(test.worker.rests == 1);
    }
    int before = test.worker.done + test.worker.cancelled;
    u64 worked = test.executor.work_count();
    test.worker.add();
    test.worker.cancel();
    test.pass(10 * job_ns);
    CHECK(test.executor.work_count() == worked);
    CHECK(test.worker.done + test.worker.cancelled == before);
    CHECK_FALSE(test.worker.is_busy());
}

Task<void> nap(u64 ns) { (void)co_await sleep_for(ns, {}); }

TEST_CASE("LoneTask: wakes, cancellations and the end from several threads") {
    constexpr int callers = 3;
    constexpr int each = 300;
    for (int round = 0; round < 5; ++round) {
        auto threads = std::move(*ExecutorThreads::create(1));
        auto worker = std::make_unique<Worker>(threads->executor(0));
        std::atomic<bool> is_open{true};
        std::vector<std::thread> others;
        for (int caller = 0; caller < callers; ++caller) {
            others.emplace_back([&, caller] {
                for (int count = 0; count < each || is_open.load(); ++count) {
                    (count + caller) % 7 == 0 ? worker->cancel() : worker->add(1);
                    if (count % 16 == 0) {
                        std::this_thread::yield();
                    }
                }
            });
        }
        threads->run(nap(nanoseconds_per_millisecond * (2 + 3 * static_cast<u64>(round))));
        threads->run(worker->task.close());
        int ended = worker->done + worker->cancelled + worker->late;
        is_open = false;
        for (std::thread& other : others) {
            other.join();
        }
        CHECK(worker->most_at_once <= 1);
        CHECK(worker->done + worker->cancelled + worker->late == ended);
        CHECK_FALSE(worker->is_busy());
        worker.reset();
    }
}

}  // namespace
}  // namespace undercroft
