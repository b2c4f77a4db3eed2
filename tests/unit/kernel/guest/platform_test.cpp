// The whole machine: what a guest finds on its bus, and what is refused.
#include "kernel/guest/platform.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

struct Machine {
    TestTime time;
    TestMemory memory{16 * mib};
    FakeMessages messages;
    FakeExternalInterrupts external;
    FakePower power;
    FakeWallClock wall{time, 1'700'000'000};
    FakeConsole console;
    u32 apic_ids[2] = {0, 1};

    GuestPlatformConfig config() {
        return {memory.guest(), time.executor(), messages, external, power, wall, console, apic_ids};
    }
};

TEST_CASE("a platform has every device of a PC on its bus") {
    Machine machine;
    auto platform = GuestPlatform::create(machine.config());
    REQUIRE(platform);
    GuestBus& bus = (*platform)->bus();
    out8(bus, 0x21, 0xA5);
    CHECK(in8(bus, 0x21) == 0xA5);
    CHECK(in8(bus, 0x3FD) == 0x60);
    CHECK((bus.read_port(0x604, AccessSize::word) & 1) == 1);
    CHECK(bus.has_mmio(0xFEC0'0000));
    CHECK_FALSE(bus.has_mmio(0xFEE0'0000));
    bus.write_port(0xCF8, AccessSize::dword, 0x8000'0000);
    CHECK(bus.read_port(0xCFC, AccessSize::dword) == 0x1237'8086);
    out8(bus, 0x3F8, 'u');
    CHECK(machine.console.text == "u");
    bus.write_port(0x604, AccessSize::word, 5u << 10 | 1u << 13);
    CHECK(machine.power.power_offs == 1);
}

TEST_CASE("the timer reaches both interrupt controllers") {
    Machine machine;
    auto platform = GuestPlatform::create(machine.config());
    GuestBus& bus = (*platform)->bus();
    out8(bus, 0x20, 0x11);
    out8(bus, 0x21, 0x30);
    out8(bus, 0x21, 0x04);
    out8(bus, 0x21, 0x01);
    out8(bus, 0x21, 0xFE);
    bus.write_mmio(0xFEC0'0000, AccessSize::dword, 0x14);
    bus.write_mmio(0xFEC0'0010, AccessSize::dword, 0x31);
    out8(bus, 0x43, 0x34);
    out8(bus, 0x40, 0xA9);
    out8(bus, 0x40, 0x04);
    machine.messages.sent.clear();  // setting the mode raised the output already
    machine.time.pass(1'100'000);
    CHECK(machine.external.is_requested);
    CHECK((*platform)->acknowledge_external_interrupt() == 0x30);
    REQUIRE(machine.messages.sent.size() == 1);
    CHECK(machine.messages.sent[0].data == 0x31);
    out8(bus, 0x43, 0x30);
}

TEST_CASE("ACPI tables are where a scan finds them") {
    Machine machine;
    auto platform = GuestPlatform::create(machine.config());
    REQUIRE((*platform)->build_acpi());
    CHECK(std::memcmp(machine.memory.at(0xE0000), "RSD PTR ", 8) == 0);
}

TEST_CASE("memory and processors that make no machine are refused") {
    Machine machine;
    GuestPlatformConfig config = machine.config();
    config.apic_ids = {};
    CHECK(GuestPlatform::create(config).error() == Error::invalid_argument);
    std::vector<u32> many(GuestPlatform::processors_max + 1);
    config.apic_ids = many;
    CHECK(GuestPlatform::create(config).error() == Error::invalid_argument);
    // RAM that lies in the device hole. Nothing is read through it.
    GuestMemoryRange ranges[] = {{0, 16 * mib, machine.memory.at(0)},
                                 {0xBFFF'F000, 2 * page_size, machine.memory.at(0)}};
    GuestMemory holed = *GuestMemory::create(ranges);
    GuestPlatformConfig bad{holed,        machine.time.executor(), machine.messages, machine.external, machine.power,
                            machine.wall, machine.console,         machine.apic_ids};
    CHECK(GuestPlatform::create(bad).error() == Error::invalid_argument);
}

}  // namespace
}  // namespace undercroft::test
