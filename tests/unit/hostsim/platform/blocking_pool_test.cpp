// Blocking functions on threads of their own, and their way back to the executor.
#include "hostsim/platform/blocking_pool.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <semaphore>

#include "hostsim/platform/executor_threads.hpp"
#include "kernel/async/task_group.hpp"

using namespace undercroft;

TEST_CASE("a blocking function runs on another thread and its coroutine goes on where it was") {
    BlockingPool pool(2);
    auto threads = std::move(*ExecutorThreads::create(1));
    auto scenario = [](BlockingPool& pool) -> Task<Result<int>> {
        std::thread::id here = std::this_thread::get_id();
        std::thread::id there = CO_TRY(co_await pool.run([] { return std::this_thread::get_id(); }));
        CHECK(there != here);
        CHECK(std::this_thread::get_id() == here);
        CO_TRY(co_await pool.run([] {}));
        co_return 7;
    };
    CHECK(*threads->run(scenario(pool)) == 7);
}

TEST_CASE("many calls from several executors all end") {
    BlockingPool pool(3);
    auto threads = std::move(*ExecutorThreads::create(2));
    std::atomic<int> ran = 0;
    auto scenario = [](BlockingPool& pool, ExecutorThreads& threads, std::atomic<int>& ran) -> Task<void> {
        TaskGroup group;
        auto one = [](BlockingPool& pool, Executor& executor, std::atomic<int>& ran) -> Task<void> {
            Executor& home = Executor::current();
            co_await resume_on(executor);
            CHECK(co_await pool.run([&ran] { ++ran; }));
            CHECK(&Executor::current() == &executor);
            co_await resume_on(home);
        };
        for (usize index = 0; index < 200; ++index) {
            group.spawn(one(pool, threads.executor(index % 2), ran));
        }
        CHECK(co_await group.join());
    };
    auto run = [&] { threads->run(scenario(pool, *threads, ran)); };
    run();
    CHECK(ran == 200);
}

TEST_CASE("a call that has not begun can be cancelled, one that runs cannot") {
    BlockingPool pool(1);
    auto threads = std::move(*ExecutorThreads::create(1));
    std::binary_semaphore release(0);
    std::binary_semaphore started(0);
    auto scenario = [](BlockingPool& pool, std::binary_semaphore& started,
                       std::binary_semaphore& release) -> Task<void> {
        TaskGroup group;
        int cancelled = 0;
        auto running = [](BlockingPool& pool, std::binary_semaphore& started, std::binary_semaphore& release,
                          CancelToken cancel) -> Task<void> {
            auto body = [&] {
                started.release();
                release.acquire();
            };
            CHECK(co_await pool.run(body, cancel));
        };
        auto waiting = [](BlockingPool& pool, CancelToken cancel, int& cancelled) -> Task<void> {
            Result<int> result = co_await pool.run([] { return 1; }, cancel);
            cancelled += !result && result.error() == Error::cancelled ? 1 : 0;
        };
        group.spawn(running(pool, started, release, group.token()));
        started.acquire();
        group.spawn(waiting(pool, group.token(), cancelled));
        group.stop();
        release.release();
        CHECK(co_await group.join());
        CHECK(cancelled == 1);
    };
    threads->run(scenario(pool, started, release));
}
