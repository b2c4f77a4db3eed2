// The MC146818 through ports 70h and 71h.
#include "kernel/guest/chipset/real_time_clock.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

// 2024-02-29 23:59:30 UTC, a Thursday.
constexpr u64 leap_day_evening = 1'709'251'170;

struct Clock {
    TestTime time;
    TestInterrupts interrupts;
    FakeWallClock wall{time, leap_day_evening};
    GuestBus bus;
    RealTimeClock clock{time.executor(), wall, interrupts.lines.isa(8)};

    Clock() {
        REQUIRE(clock.add_to(bus));
        REQUIRE(interrupts.io_apic.add_to(bus));
        bus.write_mmio(0xFEC0'0000, AccessSize::dword, 0x20);
        bus.write_mmio(0xFEC0'0010, AccessSize::dword, 0x38);
    }
    u8 read(u8 index) {
        out8(bus, 0x70, index);
        return in8(bus, 0x71);
    }
    void write(u8 index, unsigned value) {
        out8(bus, 0x70, index);
        out8(bus, 0x71, value);
    }
    std::vector<int> date() { return {read(0x32), read(9), read(8), read(7), read(6), read(4), read(2), read(0)}; }
    usize interrupt_count() const { return interrupts.messages.sent.size(); }
};

TEST_CASE("real-time clock: BCD date and time, over the end of a leap February") {
    Clock clock;
    CHECK(clock.date() == std::vector<int>{0x20, 0x24, 0x02, 0x29, 5, 0x23, 0x59, 0x30});
    clock.time.pass(30 * nanoseconds_per_second);
    CHECK(clock.date() == std::vector<int>{0x20, 0x24, 0x03, 0x01, 6, 0x00, 0x00, 0x00});
    CHECK(clock.read(0x0D) == 0x80);
}

TEST_CASE("real-time clock: binary and 12-hour modes") {
    Clock clock;
    clock.write(0x0B, 0x06);
    CHECK(clock.date() == std::vector<int>{20, 24, 2, 29, 5, 23, 59, 30});
    clock.write(0x0B, 0x00);
    CHECK(clock.read(4) == (0x11 | 0x80));
    clock.time.pass(60 * nanoseconds_per_second);
    CHECK(clock.read(4) == 0x12);  // midnight
}

TEST_CASE("real-time clock: time that the guest sets goes on from there") {
    Clock clock;
    clock.write(0x0B, 0x82);
    clock.write(0, 0x59);
    clock.write(2, 0x59);
    clock.write(4, 0x12);
    clock.write(7, 0x31);
    clock.write(8, 0x12);
    clock.write(9, 0x99);
    clock.write(0x32, 0x19);
    clock.time.pass(5 * nanoseconds_per_second);
    CHECK(clock.read(0) == 0x59);  // held while it is set
    clock.write(0x0B, 0x02);
    CHECK(clock.read(0) == 0x59);
    clock.time.pass(2 * nanoseconds_per_second);
    CHECK(clock.date() == std::vector<int>{0x19, 0x99, 0x12, 0x31, 6, 0x13, 0x00, 0x01});
}

TEST_CASE("real-time clock: update in progress shows before the seconds change, and only then") {
    Clock clock;
    CHECK((clock.read(0x0A) & 0x80) == 0);
    clock.time.pass(nanoseconds_per_second - 1'000'000);
    CHECK((clock.read(0x0A) & 0x80) != 0);
    CHECK(clock.read(0) == 0x30);
    clock.time.pass(1'000'000);
    CHECK((clock.read(0x0A) & 0x80) == 0);
    CHECK(clock.read(0) == 0x31);
}

TEST_CASE("real-time clock: the update interrupt comes each second, once register C is read") {
    Clock clock;
    clock.write(0x0B, 0x12);
    clock.time.pass(3 * nanoseconds_per_second);
    CHECK(clock.interrupt_count() == 1);
    CHECK(clock.read(0x0C) == 0xD0);  // the periodic flag is set as well, its interrupt is not enabled
    CHECK(clock.read(0x0C) == 0x00);
    clock.time.pass(nanoseconds_per_second);
    CHECK(clock.interrupt_count() == 2);
}

TEST_CASE("real-time clock: the periodic interrupt at its rate") {
    Clock clock;
    clock.write(0x0A, 0x2A);  // 64 Hz
    clock.write(0x0B, 0x42);
    for (int i = 0; i < 1000; ++i) {
        clock.time.pass(nanoseconds_per_millisecond);
        if ((clock.read(0x0C) & 0x80) != 0) {
            continue;
        }
    }
    CHECK(clock.interrupt_count() == Approx(64).margin(1));
}

TEST_CASE("real-time clock: the alarm, exact and with wild cards") {
    Clock clock;
    clock.write(1, 0x05);
    clock.write(3, 0x00);
    clock.write(5, 0x00);
    clock.write(0x0B, 0x22);
    clock.time.pass(34 * nanoseconds_per_second);
    CHECK(clock.interrupt_count() == 0);
    clock.time.pass(nanoseconds_per_second);
    CHECK(clock.interrupt_count() == 1);
    CHECK((clock.read(0x0C) & 0xA0) == 0xA0);
    clock.write(3, 0xFF);
    clock.write(5, 0xFF);
    clock.time.pass(60 * nanoseconds_per_second);
    CHECK(clock.interrupt_count() == 2);
}

TEST_CASE("CMOS: memory sizes as firmware leaves them, and free bytes hold what is written") {
    Clock clock;
    clock.clock.set_memory_size(1 * gib, 2 * gib);
    auto read16 = [&](u8 index) { return clock.read(index) | clock.read(static_cast<u8>(index + 1)) << 8; };
    CHECK(read16(0x15) == 640);
    CHECK(read16(0x17) == 0xFFFF);
    CHECK(read16(0x30) == 0xFFFF);
    CHECK(read16(0x34) == (gib - 16 * mib) / (64 * kib));
    CHECK((read16(0x5B) | clock.read(0x5D) << 16) == 2 * gib / (64 * kib));
    clock.write(0x40, 0xA5);
    CHECK(clock.read(0x40) == 0xA5);
    CHECK(clock.read(0xC0) == 0xA5);  // bit 7 of the index masks NMI
}

}  // namespace
}  // namespace undercroft::test
