// ACPI fixed hardware through its ports.
#include "kernel/guest/chipset/acpi_power.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

struct Power {
    TestTime time;
    TestInterrupts interrupts;
    FakePower control;
    GuestBus bus;
    AcpiPower device{time.executor(), control, interrupts.lines.isa(9)};

    Power() {
        REQUIRE(device.add_to(bus));
        REQUIRE(interrupts.io_apic.add_to(bus));
        bus.write_mmio(0xFEC0'0000, AccessSize::dword, 0x22);
        bus.write_mmio(0xFEC0'0010, AccessSize::dword, 0x8029);
    }
    u32 read(u16 port, AccessSize size) { return static_cast<u32>(bus.read_port(port, size)); }
};

TEST_CASE("ACPI: the timer runs at 3.579545 MHz, in 32 bits") {
    Power power;
    u32 before = power.read(0x608, AccessSize::dword);
    power.time.pass(nanoseconds_per_second);
    CHECK(power.read(0x608, AccessSize::dword) - before == Approx(3'579'545).margin(1));
    power.time.pass(1200 * nanoseconds_per_second);
    CHECK(power.read(0x608, AccessSize::dword) == static_cast<u32>(AcpiPower::rate.ticks(power.time.now_ns())));
}

TEST_CASE("ACPI: always in ACPI mode; S5 ends the machine, other states do nothing") {
    Power power;
    CHECK((power.read(0x604, AccessSize::word) & 1) == 1);
    power.bus.write_port(0x604, AccessSize::word, 1u << 13 | 1u << 10);
    CHECK(power.control.power_offs == 0);
    // As ACPICA: the type first, then the type with the enable bit.
    power.bus.write_port(0x604, AccessSize::word, 5u << 10);
    CHECK(power.control.power_offs == 0);
    power.bus.write_port(0x604, AccessSize::word, 5u << 10 | 1u << 13);
    CHECK(power.control.power_offs == 1);
}

TEST_CASE("ACPI: the power button raises the SCI until its status is cleared") {
    Power power;
    power.device.press_power_button();
    CHECK(power.interrupts.messages.sent.empty());
    CHECK(power.read(0x600, AccessSize::word) == 0x100);
    power.bus.write_port(0x602, AccessSize::word, 0x100);
    CHECK(power.interrupts.messages.sent.size() == 1);
    power.bus.write_port(0x600, AccessSize::word, 0x100);
    power.interrupts.io_apic.end_of_interrupt(0x29);
    CHECK(power.interrupts.messages.sent.size() == 1);
    CHECK(power.read(0x600, AccessSize::word) == 0);
}

TEST_CASE("ACPI: the timer's overflow sets its status and interrupts where enabled") {
    Power power;
    power.bus.write_port(0x602, AccessSize::word, 1);
    power.time.pass(601 * nanoseconds_per_second);  // 2^31 ticks are 599.9 s
    CHECK(power.interrupts.messages.sent.size() == 1);
    CHECK((power.read(0x600, AccessSize::word) & 1) == 1);
}

}  // namespace
}  // namespace undercroft::test
