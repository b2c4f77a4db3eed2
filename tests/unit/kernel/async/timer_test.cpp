// TimerQueue against an obvious model: any sequence of arm, disarm and fire.
#include "kernel/async/timer.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <random>
#include <vector>

namespace undercroft {
namespace {

struct CountedTimer : Timer {
    CountedTimer() : Timer(&CountedTimer::fired_now) {}
    static void fired_now(Timer& self) { ++static_cast<CountedTimer&>(self).fired; }
    int fired = 0;
    int expected = 0;
};

u64 earliest(const std::vector<std::unique_ptr<CountedTimer>>& timers) {
    u64 result = no_deadline;
    for (const auto& timer : timers) {
        if (timer->is_armed() && timer->deadline_ns() < result) {
            result = timer->deadline_ns();
        }
    }
    return result;
}

TEST_CASE("timers fire once, in time, and never after being disarmed, whatever the sequence") {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        TimerQueue queue;
        std::vector<std::unique_ptr<CountedTimer>> timers;
        for (int index = 0; index < 64; ++index) {
            timers.push_back(std::make_unique<CountedTimer>());
        }
        u64 now = 0;
        for (int step = 0; step < 3000; ++step) {
            CountedTimer& timer = *timers[random() % timers.size()];
            switch (random() % 4) {
            case 0:
            case 1:
                if (!timer.is_armed()) {
                    queue.arm(timer, now + random() % 50);
                }
                break;
            case 2:
                queue.disarm(timer);
                break;
            default: {
                now += random() % 10;
                usize due = 0;
                for (auto& each : timers) {
                    if (each->is_armed() && each->deadline_ns() <= now) {
                        ++each->expected;
                        ++due;
                    }
                }
                REQUIRE(queue.fire(now) == due);
                break;
            }
            }
            REQUIRE(queue.next_deadline_ns() == earliest(timers));
        }
        for (auto& timer : timers) {
            REQUIRE(timer->fired == timer->expected);
            queue.disarm(*timer);
        }
        REQUIRE(queue.is_empty());
    }
}

struct Chained : Timer {
    Chained(TimerQueue& queue, std::vector<u64>& log) : Timer(&Chained::fired_now), queue_(queue), log_(log) {}
    static void fired_now(Timer& self) {
        auto& chained = static_cast<Chained&>(self);
        chained.log_.push_back(chained.deadline_ns());
        if (chained.deadline_ns() < 50) {
            chained.queue_.arm(chained, chained.deadline_ns() + 10);
        }
    }
    TimerQueue& queue_;
    std::vector<u64>& log_;
};

TEST_CASE("a timer may be armed again from its own callback") {
    TimerQueue queue;
    std::vector<u64> log;
    Chained timer(queue, log);
    queue.arm(timer, 10);
    queue.fire(100);
    REQUIRE(log == std::vector<u64>{10, 20, 30, 40, 50});
}

}  // namespace
}  // namespace undercroft
