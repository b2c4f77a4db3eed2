// Executor: order, remote posts, batches, the seeded scheduler, frame pools.
#include "kernel/async/executor.hpp"

#include <atomic>
#include <catch2/catch.hpp>
#include <string>
#include <thread>
#include <vector>

#include "hostsim/platform/real_platform.hpp"
#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/async/event.hpp"
#include "kernel/async/task_group.hpp"

namespace undercroft {
namespace {

Task<void> append(std::string& log, char letter) {
    co_await yield();
    log += letter;
}

std::string order_with_seed(u64 seed) {
    VirtualTimePlatform platform;
    Executor executor(platform);
    executor.set_scheduling_seed(seed);
    CurrentExecutorScope scope(executor);
    std::string log;
    TaskGroup group;
    for (char letter = 'a'; letter <= 'p'; ++letter) {
        group.spawn(append(log, letter));
    }
    executor.run_until([&] { return group.running() == 0; });
    return log;
}

TEST_CASE("ready work runs first in, first out, unless a seed says otherwise") {
    REQUIRE(order_with_seed(0) == "abcdefghijklmnop");
    std::string shuffled = order_with_seed(42);
    REQUIRE(shuffled != "abcdefghijklmnop");
    REQUIRE(shuffled == order_with_seed(42));
    REQUIRE(shuffled != order_with_seed(43));
    std::sort(shuffled.begin(), shuffled.end());
    REQUIRE(shuffled == "abcdefghijklmnop");
}

Task<void> spin(bool& stop) {
    while (!stop) {
        co_await yield();
    }
}

TEST_CASE("a task that yields for ever does not keep run_until from asking") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    CurrentExecutorScope scope(executor);
    bool stop = false;
    int asked = 0;
    TaskGroup group;
    group.spawn(spin(stop));
    executor.run_until([&] {
        stop = ++asked > 10;
        return group.running() == 0;
    });
    REQUIRE(asked > 10);
}

Task<void> hop(Executor& away, Executor& home, std::vector<Executor*>& seen) {
    seen.push_back(&Executor::current());
    co_await resume_on(away);
    seen.push_back(&Executor::current());
    co_await resume_on(home);
    seen.push_back(&Executor::current());
}

TEST_CASE("a coroutine changes threads with resume_on") {
    RealPlatform platform;
    Executor executor(platform);
    RealPlatform other_platform;
    Executor other(other_platform);
    std::atomic<bool> stop{false};
    std::thread thread([&] {
        CurrentExecutorScope scope(other);
        other.run_until([&] { return stop.load(); });
    });
    for (int round = 0; round < 200; ++round) {
        std::vector<Executor*> seen;
        run_blocking(executor, hop(other, executor, seen));
        REQUIRE(seen == std::vector<Executor*>{&executor, &other, &executor});
    }
    stop = true;
    other_platform.wake();
    thread.join();
}

struct CountingWork : Work {
    explicit CountingWork(std::atomic<int>& count) : Work(&CountingWork::run), counter(count) {}
    static void run(Work& self) { static_cast<CountingWork&>(self).counter.fetch_add(1); }
    std::atomic<int>& counter;
};

TEST_CASE("posts from many threads each run once") {
    constexpr int threads = 4;
    constexpr int posts = 500;
    RealPlatform platform;
    Executor executor(platform);
    std::atomic<int> count{0};
    std::vector<std::vector<std::unique_ptr<CountingWork>>> works(threads);
    for (auto& list : works) {
        for (int index = 0; index < posts; ++index) {
            list.push_back(std::make_unique<CountingWork>(count));
        }
    }
    std::vector<std::thread> running;
    for (auto& list : works) {
        running.emplace_back([&executor, &list] {
            for (auto& work : list) {
                executor.post_remote(*work);
            }
        });
    }
    CurrentExecutorScope scope(executor);
    executor.run_until([&] { return count.load() == threads * posts; });
    for (std::thread& thread : running) {
        thread.join();
    }
    executor.run_ready();
    REQUIRE(count.load() == threads * posts);
}

TEST_CASE("remote posts run oldest first") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    CurrentExecutorScope scope(executor);
    struct Numbered : Work {
        Numbered(std::vector<int>& log, int number) : Work(&Numbered::run), log_(log), number_(number) {}
        static void run(Work& self) {
            auto& numbered = static_cast<Numbered&>(self);
            numbered.log_.push_back(numbered.number_);
        }
        std::vector<int>& log_;
        int number_;
    };
    std::vector<int> log;
    Numbered first(log, 1), second(log, 2), third(log, 3);
    executor.post_remote(first);
    executor.post_remote(second);
    executor.post_remote(third);
    executor.run_ready();
    REQUIRE(log == std::vector<int>{1, 2, 3});
}

Task<u64> nap(u64 duration_ns) {
    u64 before = Executor::current().now_ns();
    (void)co_await sleep_for(duration_ns);
    co_return Executor::current().now_ns() - before;
}

TEST_CASE("virtual time passes at once, and exactly") {
    VirtualTimePlatform platform;
    Executor executor(platform);
    REQUIRE(run_blocking(executor, nap(3600 * nanoseconds_per_second)) == 3600 * nanoseconds_per_second);
}

TEST_CASE("real time passes at least as long as asked") {
    RealPlatform platform;
    Executor executor(platform);
    REQUIRE(run_blocking(executor, nap(2 * nanoseconds_per_millisecond)) >= 2 * nanoseconds_per_millisecond);
}

Task<int> visit_all(SimulatedProcessors& processors) {
    int visited = 0;
    for (usize index = 0; index < processors.count(); ++index) {
        co_await resume_on(processors.executor(index));
        (void)co_await sleep_for(1000);
        visited += &Executor::current() == &processors.executor(index);
    }
    co_return visited;
}

TEST_CASE("simulated processors share a clock and run every executor") {
    for (u64 seed : {u64{0}, u64{1}, u64{77}}) {
        SimulatedProcessors processors(4, seed);
        u64 before = processors.now_ns();
        REQUIRE(processors.run(visit_all(processors)) == 4);
        REQUIRE(processors.now_ns() - before == 4000);
    }
}

}  // namespace
}  // namespace undercroft
