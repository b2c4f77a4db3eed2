// The clock in its four formats, in the middle of an update, and broken.
#include "drivers/rtc/cmos_clock.hpp"

#include <catch2/catch.hpp>
#include <map>

#include "tests/support/fake_cpu.hpp"

namespace undercroft {
namespace {

struct Fixture {
    Fixture() {
        cpu.on_write_port = [this](u16 port, u8 value) {
            if (port == 0x70) {
                index = value;
            }
        };
        cpu.on_read_port = [this](u16) {
            if (on_read) {
                on_read();
            }
            return registers[index];
        };
    }
    void set(std::initializer_list<std::pair<u8, u8>> values) {
        for (auto [number, value] : values) {
            registers[number] = value;
        }
    }
    FakeCpu cpu;
    u8 index = 0;
    std::map<u8, u8> registers;
    std::function<void()> on_read;
};

// 2026-11-21 15:04:05 UTC
constexpr u64 expected = 1'795'273'445;

TEST_CASE_METHOD(Fixture, "all formats of the clock give the same time") {
    set({{0x00, 0x05},
         {0x02, 0x04},
         {0x04, 0x15},
         {0x07, 0x21},
         {0x08, 0x11},
         {0x09, 0x26},
         {0x32, 0x20},
         {0x0B, 0x02}});
    CHECK(*read_cmos_clock() == expected);
    set({{0x04, 0x83}, {0x0B, 0x00}});  // 3 in the afternoon
    CHECK(*read_cmos_clock() == expected);
    set({{0x00, 5}, {0x02, 4}, {0x04, 15}, {0x07, 21}, {0x08, 11}, {0x09, 26}, {0x32, 20}, {0x0B, 0x06}});
    CHECK(*read_cmos_clock() == expected);
    set({{0x04, 0x83}, {0x0B, 0x04}, {0x32, 0xFF}});
    CHECK(*read_cmos_clock() == expected);
}

TEST_CASE_METHOD(Fixture, "a reading that an update interrupts is taken again") {
    set({{0x00, 0x59},
         {0x02, 0x03},
         {0x04, 0x15},
         {0x07, 0x21},
         {0x08, 0x11},
         {0x09, 0x26},
         {0x32, 0x20},
         {0x0B, 0x02}});
    int reads = 0;
    on_read = [&] {
        if (++reads == 3) {  // the minute of the first reading
            set({{0x00, 0x05}, {0x02, 0x04}});
        }
    };
    CHECK(*read_cmos_clock() == expected);
}

TEST_CASE_METHOD(Fixture, "a clock that is absent, stuck or nonsense is an error") {
    set({{0x0A, 0x80}});
    CHECK(read_cmos_clock().error() == Error::device_error);
    set({{0x0A, 0x00}, {0x08, 0x13}});
    CHECK(read_cmos_clock().error() == Error::device_error);
    cpu.on_read_port = [](u16) { return u8{0xFF}; };
    CHECK(read_cmos_clock().error() == Error::device_error);
}

}  // namespace
}  // namespace undercroft
