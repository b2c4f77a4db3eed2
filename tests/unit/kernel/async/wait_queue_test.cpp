// Waits end exactly once, by whichever of notification, deadline and cancellation is first.
#include "kernel/async/wait_queue.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/async/event.hpp"
#include "kernel/async/task_group.hpp"

namespace undercroft {
namespace {

struct Outcome {
    int ended = 0;
    std::optional<Error> error;
};

Task<void> wait_once(WaitQueue& queue, WaitLimits limits, Outcome& outcome) {
    Result<void> result = co_await queue.wait(limits);
    ++outcome.ended;
    if (!result) {
        outcome.error = result.error();
    }
}

struct Fixture {
    VirtualTimePlatform platform;
    Executor executor{platform};
    CurrentExecutorScope scope{executor};
    TaskGroup group;
    void drain() {
        executor.run_until([this] { return group.running() == 0; });
    }
};

TEST_CASE("notifications come in the order of the waits") {
    Fixture f;
    WaitQueue queue;
    Outcome first, second;
    f.group.spawn(wait_once(queue, {}, first));
    f.group.spawn(wait_once(queue, {}, second));
    REQUIRE(queue.notify_one());
    f.executor.run_ready();
    REQUIRE(first.ended == 1);
    REQUIRE(second.ended == 0);
    REQUIRE(queue.notify_one());
    REQUIRE_FALSE(queue.notify_one());
    f.drain();
    REQUIRE(second.ended == 1);
    REQUIRE_FALSE(second.error.has_value());
}

TEST_CASE("the waiter goes on from the ready queue, not from inside the notifier") {
    Fixture f;
    WaitQueue queue;
    Outcome outcome;
    f.group.spawn(wait_once(queue, {}, outcome));
    queue.notify_all();
    REQUIRE(outcome.ended == 0);
    f.drain();
    REQUIRE(outcome.ended == 1);
}

TEST_CASE("a deadline ends a wait with timed_out, a token with cancelled") {
    Fixture f;
    WaitQueue queue;
    CancelSource source;
    Outcome timed, cancelled, refused;
    f.group.spawn(wait_once(queue, {.deadline_ns = f.executor.now_ns() + 1000}, timed));
    f.group.spawn(wait_once(queue, {.cancel = source.token()}, cancelled));
    source.cancel();
    f.group.spawn(wait_once(queue, {.cancel = source.token()}, refused));
    f.drain();
    REQUIRE(timed.error == Error::timed_out);
    REQUIRE(cancelled.error == Error::cancelled);
    REQUIRE(refused.error == Error::cancelled);
    REQUIRE(queue.is_empty());
}

TEST_CASE("however notification, deadline and cancellation race, each wait ends once") {
    for (unsigned seed = 1; seed <= 200; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Fixture f;
        f.executor.set_scheduling_seed(seed);
        WaitQueue queue;
        CancelSource sources[4];
        std::vector<std::unique_ptr<Outcome>> outcomes;
        for (int index = 0; index < 16; ++index) {
            outcomes.push_back(std::make_unique<Outcome>());
            WaitLimits limits{.deadline_ns = f.executor.now_ns() + random() % 100,
                              .cancel = sources[random() % 4].token()};
            f.group.spawn(wait_once(queue, limits, *outcomes.back()));
        }
        for (int step = 0; step < 12; ++step) {
            switch (random() % 4) {
            case 0:
                queue.notify_one();
                break;
            case 1:
                sources[random() % 4].cancel();
                break;
            case 2:
                f.platform.clock().advance_to(f.executor.now_ns() + random() % 30);
                break;
            default:
                f.executor.run_ready();
                break;
            }
        }
        f.drain();
        for (auto& outcome : outcomes) {
            REQUIRE(outcome->ended == 1);
        }
        REQUIRE(queue.is_empty());
        REQUIRE(f.executor.next_deadline_ns() == no_deadline);
    }
}

Task<void> sleeper(u64 duration_ns, CancelToken cancel, Outcome& outcome) {
    Result<void> result = co_await sleep_for(duration_ns, cancel);
    ++outcome.ended;
    outcome.error = result.error();
}

TEST_CASE("a sleep ends with timed_out, or with cancelled before that") {
    Fixture f;
    CancelSource source;
    Outcome slept, woken;
    f.group.spawn(sleeper(500, {}, slept));
    f.group.spawn(sleeper(500'000, source.token(), woken));
    f.executor.run_until([&] { return slept.ended == 1; });
    source.cancel();
    f.drain();
    REQUIRE(slept.error == Error::timed_out);
    REQUIRE(woken.error == Error::cancelled);
}

TEST_CASE("a withdrawn registration is never called") {
    CancelSource source;
    CancelRegistration kept;
    CancelRegistration withdrawn;
    static int called = 0;
    called = 0;
    REQUIRE(kept.arm(source.token(), [](CancelRegistration&) { ++called; }));
    REQUIRE(withdrawn.arm(source.token(), [](CancelRegistration&) { called += 100; }));
    withdrawn.withdraw();
    source.cancel();
    source.cancel();
    REQUIRE(called == 1);
    REQUIRE_FALSE(kept.arm(source.token(), [](CancelRegistration&) { ++called; }));
}

Task<void> wait_event(Event& event, WaitLimits limits, Outcome& outcome) {
    Result<void> result = co_await event.wait(limits);
    ++outcome.ended;
    if (!result) {
        outcome.error = result.error();
    }
}

TEST_CASE("an event wakes all who wait, and stays set until reset") {
    Fixture f;
    Event event;
    Outcome first, second, late, timed;
    f.group.spawn(wait_event(event, {}, first));
    f.group.spawn(wait_event(event, {}, second));
    event.set();
    f.drain();
    f.group.spawn(wait_event(event, {}, late));
    f.drain();
    event.reset();
    f.group.spawn(wait_event(event, {.deadline_ns = f.executor.now_ns() + 10}, timed));
    f.drain();
    REQUIRE(first.ended + second.ended + late.ended == 3);
    REQUIRE(timed.error == Error::timed_out);
}

}  // namespace
}  // namespace undercroft
