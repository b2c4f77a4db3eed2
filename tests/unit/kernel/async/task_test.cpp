// Task: laziness, values, errors, ownership of the frame.
#include "kernel/async/task.hpp"

#include <catch2/catch.hpp>
#include <memory>

#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/async/wait_queue.hpp"
#include "kernel/base/result.hpp"

namespace undercroft {
namespace {

Task<int> add(int left, int right) { co_return left + right; }

Task<int> add_later(int left, int right) {
    co_await yield();
    co_return co_await add(left, right);
}

Task<Result<int>> checked(bool works) {
    if (!works) {
        co_return fail(Error::busy);
    }
    co_return 4;
}

Task<Result<int>> doubled(bool works) {
    int value = CO_TRY(co_await checked(works));
    co_return value * 2;
}

Task<void> touch(int& counter) {
    ++counter;
    co_return;
}

TEST_CASE("a task runs when awaited, not before") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    int counter = 0;
    Task<void> task = touch(counter);
    REQUIRE(counter == 0);
    run_blocking(executor, std::move(task));
    REQUIRE(counter == 1);
}

TEST_CASE("a task returns its value, at once or after a wait") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    REQUIRE(run_blocking(executor, add(2, 3)) == 5);
    REQUIRE(run_blocking(executor, add_later(2, 3)) == 5);
    REQUIRE(run_blocking(executor, Task<int>::ready(9)) == 9);
}

TEST_CASE("CO_TRY passes values and errors on") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    REQUIRE(run_blocking(executor, doubled(true)).value() == 8);
    REQUIRE(run_blocking(executor, doubled(false)).error() == Error::busy);
}

Task<int> hold(std::shared_ptr<int> value) {
    co_await yield();
    co_return *value;
}

TEST_CASE("a frame frees its parameters, whether it ran or not") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    auto value = std::make_shared<int>(6);
    {
        Task<int> never_run = hold(value);
        REQUIRE(value.use_count() == 2);
    }
    REQUIRE(value.use_count() == 1);
    REQUIRE(run_blocking(executor, hold(value)) == 6);
    REQUIRE(value.use_count() == 1);
}

Task<int> deep(int levels) {
    if (levels == 0) {
        co_return 0;
    }
    co_return 1 + co_await deep(levels - 1);
}

TEST_CASE("a deep chain of tasks does not use up the stack on its way back") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    REQUIRE(run_blocking(executor, deep(2000)) == 2000);
}

TEST_CASE("a frame made without an executor may be freed into one") {
    // It once went into a list whose blocks are larger than it was.
    VirtualTimePlatform platform;
    Executor executor(platform);
    for (int round = 0; round < 4; ++round) {
        Task<int> outside = add_later(round, 1);
        int sum = run_blocking(executor, std::move(outside));
        REQUIRE(sum == round + 1);
        CurrentExecutorScope scope(executor);
        Task<int> inside = add_later(round, 1);
    }
}

}  // namespace
}  // namespace undercroft
