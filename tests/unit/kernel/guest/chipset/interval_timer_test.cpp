// The 8254 through its ports: counting modes, latches, the timer interrupt, and the ways Linux calibrates its clock
// with channel 2.
#include "kernel/guest/chipset/interval_timer.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

struct Timer8254 {
    TestTime time;
    TestInterrupts interrupts;
    GuestBus bus;
    IntervalTimer timer{time.executor(), interrupts.lines.isa(0)};

    Timer8254() {
        REQUIRE(timer.add_to(bus));
        REQUIRE(interrupts.io_apic.add_to(bus));
        bus.write_mmio(0xFEC0'0000, AccessSize::dword, 0x14);
        bus.write_mmio(0xFEC0'0010, AccessSize::dword, 0x30);
    }
    void program(unsigned channel, unsigned mode, unsigned count) {
        out8(bus, 0x43, channel << 6 | 0x30 | mode << 1);
        out8(bus, static_cast<u16>(0x40 + channel), count & 0xFF);
        out8(bus, static_cast<u16>(0x40 + channel), count >> 8);
    }
    unsigned latched(unsigned channel) {
        out8(bus, 0x43, channel << 6);
        unsigned low = in8(bus, static_cast<u16>(0x40 + channel));
        return low | in8(bus, static_cast<u16>(0x40 + channel)) << 8;
    }
    usize interrupts_in(u64 duration_ns) {
        usize before = interrupts.messages.sent.size();
        time.pass(duration_ns);
        return interrupts.messages.sent.size() - before;
    }
    void pass_ticks(u64 ticks) { time.pass(IntervalTimer::rate.time_ns(ticks)); }
};

TEST_CASE("8254: the rate generator interrupts at its rate") {
    Timer8254 pit;
    pit.program(0, 2, 4773);  // 250 Hz
    CHECK(pit.interrupts_in(nanoseconds_per_second) == Approx(250).margin(1));
    pit.program(0, 3, 0);  // 18.2 Hz
    CHECK(pit.interrupts_in(10 * nanoseconds_per_second) == Approx(182).margin(1));
}

TEST_CASE("8254: one-shot modes interrupt once for each count") {
    Timer8254 pit;
    for (unsigned mode : {0u, 4u}) {
        pit.program(0, mode, 1193);
        CHECK(pit.interrupts_in(990 * nanoseconds_per_microsecond) == 0);
        CHECK(pit.interrupts_in(20 * nanoseconds_per_microsecond) == 1);
        CHECK(pit.interrupts_in(nanoseconds_per_second) == 0);
    }
    // What Linux's one-shot clock event does: a new count without a new mode.
    out8(pit.bus, 0x40, 0xFF);
    out8(pit.bus, 0x40, 0x00);
    CHECK(pit.interrupts_in(nanoseconds_per_second) == 1);
}

TEST_CASE("8254: stopping a channel by its mode stops its interrupts") {
    Timer8254 pit;
    pit.program(0, 2, 1193);
    CHECK(pit.interrupts_in(10 * nanoseconds_per_millisecond) > 5);
    out8(pit.bus, 0x43, 0x30);  // mode 0, and no count
    CHECK(pit.interrupts_in(nanoseconds_per_second) == 0);
}

TEST_CASE("8254: counts go down and are latched whole") {
    Timer8254 pit;
    pit.program(0, 2, 10000);
    CHECK(pit.latched(0) == Approx(10000).margin(1));
    pit.pass_ticks(2500);
    CHECK(pit.latched(0) == Approx(7500).margin(1));
    out8(pit.bus, 0x43, 0x00);
    pit.pass_ticks(100);  // the latch holds meanwhile
    unsigned low = in8(pit.bus, 0x40);
    pit.pass_ticks(300);
    unsigned high = in8(pit.bus, 0x40);
    CHECK((low | high << 8) == Approx(7500).margin(1));
    CHECK(pit.latched(0) == Approx(7100).margin(2));
    pit.program(0, 3, 1000);
    pit.pass_ticks(100);
    CHECK(pit.latched(0) == Approx(800).margin(2));
}

TEST_CASE("8254: read-back gives status, then count") {
    Timer8254 pit;
    pit.program(0, 2, 1000);
    out8(pit.bus, 0x43, 0xC2);  // status and count of channel 0
    CHECK(in8(pit.bus, 0x40) == 0xB4);
    unsigned low = in8(pit.bus, 0x40);
    CHECK((low | in8(pit.bus, 0x40) << 8) == 1000);
    out8(pit.bus, 0x43, 0x34);
    out8(pit.bus, 0x43, 0xE2);
    CHECK((in8(pit.bus, 0x40) & 0x40) != 0);  // null count
}

TEST_CASE("8254: channel 2 counts while its gate is open, and port 61h shows its output") {
    Timer8254 pit;
    // As Linux's pit_calibrate_tsc: gate up, speaker off, mode 0, 10 ms.
    out8(pit.bus, 0x61, (in8(pit.bus, 0x61) & ~2u) | 1u);
    pit.program(2, 0, 11932);
    CHECK((in8(pit.bus, 0x61) & 0x21) == 0x01);
    pit.time.pass(9'990'000);
    CHECK((in8(pit.bus, 0x61) & 0x20) == 0);
    pit.time.pass(20'000);
    CHECK((in8(pit.bus, 0x61) & 0x20) != 0);
}

TEST_CASE("8254: a closed gate holds the count") {
    Timer8254 pit;
    out8(pit.bus, 0x61, 1);
    pit.program(2, 0, 10000);
    pit.pass_ticks(1000);
    out8(pit.bus, 0x61, 0);
    pit.pass_ticks(5000);
    CHECK(pit.latched(2) == Approx(9000).margin(2));
    out8(pit.bus, 0x61, 1);
    pit.pass_ticks(1000);
    CHECK(pit.latched(2) == Approx(8000).margin(4));
}

TEST_CASE("8254: the quick calibration sees every value of the high byte in turn") {
    Timer8254 pit;
    out8(pit.bus, 0x61, 1);
    pit.program(2, 0, 0xFFFF);
    auto read_high = [&] {
        in8(pit.bus, 0x42);
        return in8(pit.bus, 0x42);
    };
    for (unsigned expected = 0xFF; expected > 0xF0; --expected) {
        int seen = 0;
        while (read_high() == expected) {
            ++seen;
            pit.time.pass(4'000);
        }
        CHECK(seen > 40);
    }
}

TEST_CASE("port 61h: the refresh bit toggles") {
    Timer8254 pit;
    int toggles = 0;
    u8 before = in8(pit.bus, 0x61) & 0x10;
    for (int i = 0; i < 100; ++i) {
        pit.time.pass(5'000);
        u8 now = in8(pit.bus, 0x61) & 0x10;
        toggles += now != before ? 1 : 0;
        before = now;
    }
    CHECK(toggles == Approx(33).margin(2));
}

}  // namespace
}  // namespace undercroft::test
