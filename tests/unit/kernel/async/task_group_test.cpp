// TaskGroup: stop reaches the tasks, join waits for them.
#include "kernel/async/task_group.hpp"

#include <catch2/catch.hpp>

#include "hostsim/platform/virtual_platform.hpp"

namespace undercroft {
namespace {

Task<void> until_stopped(CancelToken cancel, int& ended) {
    for (;;) {
        Result<void> outcome = co_await sleep_for(1000, cancel);
        if (outcome.error() == Error::cancelled) {
            break;
        }
    }
    ++ended;
}

Task<Result<void>> stop_and_join(TaskGroup& group) {
    group.stop();
    co_return co_await group.join();
}

TEST_CASE("stop asks, join waits") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    CurrentExecutorScope scope(executor);
    TaskGroup group;
    int ended = 0;
    for (int index = 0; index < 5; ++index) {
        group.spawn(until_stopped(group.token(), ended));
    }
    REQUIRE(group.running() == 5);
    REQUIRE(run_blocking(executor, stop_and_join(group)).has_value());
    REQUIRE(ended == 5);
    REQUIRE(group.running() == 0);
}

Task<Result<void>> join_until(TaskGroup& group, u64 deadline_ns) {
    co_return co_await group.join({.deadline_ns = deadline_ns});
}

TEST_CASE("join may give up; the tasks go on") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    CurrentExecutorScope scope(executor);
    TaskGroup group;
    int ended = 0;
    group.spawn(until_stopped(group.token(), ended));
    REQUIRE(run_blocking(executor, join_until(group, executor.now_ns() + 5000)).error() == Error::timed_out);
    REQUIRE(group.running() == 1);
    REQUIRE(run_blocking(executor, stop_and_join(group)).has_value());
}

Task<void> at_once(int& ended) {
    ++ended;
    co_return;
}

TEST_CASE("a task that never waits has ended when spawn returns; an empty group joins at once") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    CurrentExecutorScope scope(executor);
    TaskGroup group;
    int ended = 0;
    group.spawn(at_once(ended));
    REQUIRE(ended == 1);
    REQUIRE(run_blocking(executor, group.join()).has_value());
}

}  // namespace
}  // namespace undercroft
