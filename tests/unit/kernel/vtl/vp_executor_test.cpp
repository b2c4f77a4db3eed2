// Idling: what arms the timer, what runs the guest, and what must not.
#include "kernel/vtl/vp_executor.hpp"

#include <catch2/catch.hpp>

#include "kernel/async/task.hpp"
#include "kernel/async/wait_queue.hpp"
#include "tests/support/fake_cpu.hpp"

namespace undercroft {
namespace {

constexpr u32 msr_tsc_deadline = 0x6E0;
constexpr u64 frequency_hz = 2'500'000'000;

struct RecordingIntercepts final : InterceptHandler {
    void on_intercept(VirtualProcessor&) override { ++intercepts; }
    void before_guest(VirtualProcessor&) override { ++entries; }
    int intercepts = 0;
    int entries = 0;
};

TEST_CASE("a deadline in ticks is never before its nanosecond, at any frequency") {
    for (u64 frequency : {u64{1'000'000'000}, u64{2'499'998'123}, u64{3'600'000'000}, u64{4'900'000'001}}) {
        TscClock clock(frequency);
        for (u64 ns = 1; ns < u64{1} << 52; ns = ns * 3 + 1) {
            INFO(frequency << " Hz, " << ns << " ns");
            CHECK(clock.to_ns(clock.to_ticks(ns)) >= ns);
            CHECK(clock.to_ns(clock.to_ticks(ns)) <= ns + ns / 10'000'000 + 10);
        }
        CHECK(clock.to_ticks(no_deadline) >= u64{1} << 61);
    }
}

struct Fixture : FakeProcessor {
    Fixture() : platform(processor, TscClock(frequency_hz)) { REQUIRE(platform.enable()); }
    u8 timer_vector() { return static_cast<u8>(cpu.msrs[0x832]); }
    VpExecutorPlatform platform;
    RecordingIntercepts intercepts;
};

TEST_CASE_METHOD(Fixture, "before the guest may run, idling sleeps; after, it runs the guest") {
    int sleeps = 0;
    int returns = 0;
    cpu.on_wait = [&] { ++sleeps; };
    cpu.on_vtl_return = [&] { ++returns; };
    platform.idle(no_deadline);
    CHECK(sleeps == 1);
    platform.start_guest(intercepts);
    platform.idle(no_deadline);  // eats the wake-up
    CHECK(returns == 0);
    platform.idle(no_deadline);
    CHECK(returns == 1);
    CHECK(intercepts.entries == 1);
    CHECK(intercepts.intercepts == 0);
}

TEST_CASE_METHOD(Fixture, "an intercept is handled at once, an interrupt is dispatched, and each only once") {
    platform.start_guest(intercepts);
    platform.idle(no_deadline);
    cpu.on_vtl_return = [&] { assist().vtl_entry_reason = static_cast<u32>(tlfs::VtlEntryReason::intercept); };
    platform.idle(no_deadline);
    CHECK(intercepts.intercepts == 1);
    cpu.on_vtl_return = [&] {};
    platform.idle(no_deadline);
    CHECK(intercepts.intercepts == 1);
}

TEST_CASE_METHOD(Fixture, "the timer is armed for an earlier deadline only, and again after it fired") {
    platform.start_guest(intercepts);
    platform.idle(no_deadline);
    CHECK(cpu.msrs[msr_tsc_deadline] == 0);
    u64 now = platform.now_ns();
    platform.idle(now + 1'000'000);
    u64 first = cpu.msrs[msr_tsc_deadline];
    CHECK(first > cpu.tsc);
    platform.idle(now + 2'000'000);
    CHECK(cpu.msrs[msr_tsc_deadline] == first);
    platform.idle(now + 500'000);
    CHECK(cpu.msrs[msr_tsc_deadline] < first);
    cpu.on_vtl_return = [&] { processor.note_interrupt(timer_vector()); };
    platform.idle(no_deadline);
    cpu.on_vtl_return = [&] {};
    platform.idle(now + 2'000'000);
    CHECK(cpu.msrs[msr_tsc_deadline] > first);
}

TEST_CASE_METHOD(Fixture, "a deadline that has passed, or a wake-up, does not idle at all") {
    platform.start_guest(intercepts);
    platform.idle(no_deadline);
    int returns = 0;
    cpu.on_vtl_return = [&] { ++returns; };
    platform.idle(platform.now_ns() - 1);
    platform.wake();
    platform.idle(no_deadline);
    CHECK(returns == 0);
    platform.idle(no_deadline);
    CHECK(returns == 1);
}

Task<void> sleep_a_millisecond(bool& done) {
    (void)co_await sleep_for(1'000'000);
    done = true;
}

TEST_CASE_METHOD(Fixture, "a task sleeps through the guest's time") {
    platform.start_guest(intercepts);
    cpu.on_vtl_return = [&] {
        cpu.tsc = cpu.msrs[msr_tsc_deadline];
        processor.note_interrupt(timer_vector());
    };
    Executor executor(platform);
    bool done = false;
    run_blocking(executor, sleep_a_millisecond(done));
    CHECK(done);
}

}  // namespace
}  // namespace undercroft
