// Waiting for a size on one executor while it changes on another; cancellation that meets a wake-up under way.
#include "storage/disk_size.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/async/task_group.hpp"

namespace undercroft {
namespace {

Task<void> watch(DiskSize& size, u64 known, CancelToken cancel, std::optional<DiskResult<u64>>& result) {
    result = co_await size.wait(known, cancel);
}

// Runs what is ready; time stands still.
void settle(SimulatedProcessors& processors) {
    for (usize index = 0; index < processors.count(); ++index) {
        CurrentExecutorScope scope(processors.executor(index));
        processors.executor(index).run_ready();
    }
}

}  // namespace

TEST_CASE("a size that is not the known one ends the wait at once") {
    SimulatedProcessors processors(1);
    DiskSize size(10);
    CHECK(processors.run(size.wait(9, {})).value() == 10);
}

TEST_CASE("a size set on one processor wakes the waits of the others") {
    SimulatedProcessors processors(3);
    DiskSize size(10);
    std::optional<DiskResult<u64>> results[3];
    TaskGroup groups[3];
    for (usize index = 0; index < 3; ++index) {
        CurrentExecutorScope scope(processors.executor(index));
        groups[index].spawn(watch(size, 10, {}, results[index]));
    }
    settle(processors);
    CHECK_FALSE((results[0] || results[1] || results[2]));
    size.set(10);
    settle(processors);
    CHECK_FALSE((results[0] || results[1] || results[2]));
    size.set(12);
    processors.run_until([&] { return results[0] && results[1] && results[2]; });
    for (std::optional<DiskResult<u64>>& result : results) {
        CHECK(result->value() == 12);
    }
}

TEST_CASE("a wait goes on when the size changed and changed back") {
    SimulatedProcessors processors(1);
    DiskSize size(10);
    std::optional<DiskResult<u64>> result;
    TaskGroup group;
    {
        CurrentExecutorScope scope(processors.executor(0));
        group.spawn(watch(size, 10, {}, result));
    }
    size.set(11);
    size.set(10);
    settle(processors);
    CHECK_FALSE(result);
    size.set(13);
    processors.run_until([&] { return result.has_value(); });
    CHECK(result->value() == 13);
}

TEST_CASE("cancelling a wait leaves the others linked") {
    SimulatedProcessors processors(1);
    DiskSize size(10);
    std::optional<DiskResult<u64>> results[3];
    TaskGroup groups[3];
    {
        CurrentExecutorScope scope(processors.executor(0));
        for (usize index = 0; index < 3; ++index) {
            groups[index].spawn(watch(size, 10, groups[index].token(), results[index]));
        }
        groups[1].stop();
    }
    processors.run_until([&] { return results[1].has_value(); });
    CHECK(results[1]->error() == DiskError::cancelled);
    size.set(11);
    processors.run_until([&] { return results[0] && results[2]; });
    CHECK(results[0]->value() == 11);
    CHECK(results[2]->value() == 11);
}

TEST_CASE("a wait that is cancelled while its wake-up is on the way waits for that first") {
    SimulatedProcessors processors(1);
    DiskSize size(10);
    std::optional<DiskResult<u64>> result;
    TaskGroup group;
    {
        CurrentExecutorScope scope(processors.executor(0));
        group.spawn(watch(size, 10, group.token(), result));
        size.set(11);  // posts
        group.stop();  // and ends the wait before the post has run
    }
    processors.run_until([&] { return result.has_value(); });
    CHECK((result->has_value() || result->error() == DiskError::cancelled));
    settle(processors);
}

TEST_CASE("closing ends waits with gone") {
    SimulatedProcessors processors(1);
    DiskSize size(10);
    std::optional<DiskResult<u64>> result;
    TaskGroup group;
    {
        CurrentExecutorScope scope(processors.executor(0));
        group.spawn(watch(size, 10, {}, result));
    }
    size.close();
    processors.run_until([&] { return result.has_value(); });
    CHECK(result->error() == DiskError::gone);
    CHECK(processors.run(size.wait(10, {})).error() == DiskError::gone);
}

}  // namespace undercroft
