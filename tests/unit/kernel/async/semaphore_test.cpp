// Semaphore: first come, first served; nobody barges in, nobody starves, nothing leaks.
#include "kernel/async/semaphore.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <string>

#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/async/task_group.hpp"

namespace undercroft {
namespace {

struct Fixture {
    VirtualTimePlatform platform;
    Executor executor{platform};
    CurrentExecutorScope scope{executor};
    TaskGroup group;
    void drain() {
        executor.run_until([this] { return group.running() == 0; });
    }
};

Task<void> take(Semaphore& semaphore, u64 units, char name, std::string& log, WaitLimits limits = {}) {
    Result<void> outcome = co_await semaphore.acquire(units, limits);
    log += outcome ? name : static_cast<char>(name - 'A' + 'a');
}

TEST_CASE("units are taken and given back") {
    Fixture f;
    Semaphore semaphore(3);
    REQUIRE(semaphore.try_acquire(2));
    REQUIRE_FALSE(semaphore.try_acquire(2));
    semaphore.release(1);
    REQUIRE(semaphore.try_acquire(2));
    REQUIRE(semaphore.available() == 0);
}

TEST_CASE("a large request is not starved by small ones that come later") {
    Fixture f;
    Semaphore semaphore(4);
    REQUIRE(semaphore.try_acquire(4));
    std::string log;
    f.group.spawn(take(semaphore, 4, 'A', log));
    for (int round = 0; round < 4; ++round) {
        f.group.spawn(take(semaphore, 1, static_cast<char>('B' + round), log));
        REQUIRE_FALSE(semaphore.try_acquire(1));
        semaphore.release(1);
        f.executor.run_ready();
    }
    REQUIRE(log == "A");
    semaphore.release(4);
    f.drain();
    REQUIRE(log == "ABCDE");
}

TEST_CASE("nobody steps in between a grant and the waiter's resumption") {
    Fixture f;
    Semaphore semaphore(1);
    REQUIRE(semaphore.try_acquire());
    std::string log;
    f.group.spawn(take(semaphore, 1, 'A', log));
    semaphore.release();
    REQUIRE_FALSE(semaphore.try_acquire());  // it is A's already, though A has not run yet
    f.drain();
    REQUIRE(log == "A");
}

TEST_CASE("when a large waiter gives up, those behind it are served") {
    Fixture f;
    Semaphore semaphore(2);
    REQUIRE(semaphore.try_acquire(1));
    std::string log;
    f.group.spawn(take(semaphore, 2, 'A', log, {.deadline_ns = f.executor.now_ns() + 100}));
    f.group.spawn(take(semaphore, 1, 'B', log));
    f.drain();
    REQUIRE(log == "aB");
}

Task<void> worker(Semaphore& semaphore, u64 seed, u64 units_max, i64& in_use, i64& peak) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 50; ++round) {
        u64 units = 1 + random() % units_max;
        WaitLimits limits;
        if (random() % 3 == 0) {
            limits.deadline_ns = Executor::current().now_ns() + random() % 200;
        }
        if (!co_await semaphore.acquire(units, limits)) {
            continue;
        }
        in_use += static_cast<i64>(units);
        peak = in_use > peak ? in_use : peak;
        (void)co_await sleep_for(random() % 50);
        in_use -= static_cast<i64>(units);
        semaphore.release(units);
    }
}

TEST_CASE("units are conserved under contention and timeouts") {
    for (u64 seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        Fixture f;
        f.executor.set_scheduling_seed(seed);
        Semaphore semaphore(5);
        i64 in_use = 0;
        i64 peak = 0;
        for (u64 index = 0; index < 8; ++index) {
            f.group.spawn(worker(semaphore, seed * 100 + index, 5, in_use, peak));
        }
        f.drain();
        REQUIRE(in_use == 0);
        REQUIRE(peak <= 5);
        REQUIRE(semaphore.available() == 5);
    }
}

}  // namespace
}  // namespace undercroft
