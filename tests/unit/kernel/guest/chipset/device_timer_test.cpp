// DeviceTimer: set on one processor, fires on another.
#include "kernel/guest/chipset/device_timer.hpp"

#include <catch2/catch.hpp>

#include "hostsim/platform/virtual_platform.hpp"

namespace undercroft {
namespace {

struct Counter {
    int fired = 0;
    u64 fired_at = 0;
    SimulatedProcessors* processors = nullptr;
    static void expired(void* self) {
        auto& counter = *static_cast<Counter*>(self);
        ++counter.fired;
        counter.fired_at = counter.processors->now_ns();
    }
};

TEST_CASE("a device timer that is set elsewhere fires at home, for its last deadline alone") {
    for (u64 seed : {0, 1, 2, 3}) {
        SimulatedProcessors processors(2, seed);
        Counter counter;
        counter.processors = &processors;
        DeviceTimer timer(processors.executor(0), &Counter::expired, &counter);
        u64 start = processors.now_ns();
        {
            CurrentExecutorScope scope(processors.executor(1));
            timer.set(start + 500);
            timer.set(start + 900);
            timer.set(start + 700);
        }
        processors.run_until([&] { return counter.fired > 0; });
        CHECK(counter.fired == 1);
        CHECK(counter.fired_at == start + 700);
        {
            CurrentExecutorScope scope(processors.executor(0));
            timer.set(start + 2000);
            timer.set(no_deadline);
            timer.set(start + 3000);
        }
        processors.run_until([&] { return counter.fired > 1; });
        CHECK(counter.fired_at == start + 3000);
    }
}

}  // namespace
}  // namespace undercroft
