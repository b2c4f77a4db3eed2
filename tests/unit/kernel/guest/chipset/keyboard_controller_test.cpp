// The 8042, the fast reset, and the ports that hold a byte.
#include "kernel/guest/chipset/keyboard_controller.hpp"

#include <catch2/catch.hpp>

#include "kernel/guest/chipset/simple_ports.hpp"
#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

TEST_CASE("8042: tests pass, nothing is attached, FEh resets") {
    FakePower power;
    KeyboardController controller(power);
    GuestBus bus;
    REQUIRE(controller.add_to(bus));
    CHECK((in8(bus, 0x64) & 0x03) == 0);
    out8(bus, 0x64, 0xAA);
    CHECK((in8(bus, 0x64) & 0x01) == 1);
    CHECK(in8(bus, 0x60) == 0x55);
    CHECK((in8(bus, 0x64) & 0x01) == 0);
    out8(bus, 0x64, 0x60);
    out8(bus, 0x60, 0x47);
    out8(bus, 0x64, 0x20);
    CHECK(in8(bus, 0x60) == 0x47);
    out8(bus, 0x60, 0xFF);  // reset the keyboard: it does not answer
    CHECK((in8(bus, 0x64) & 0x41) == 0x41);
    CHECK(in8(bus, 0x60) == 0xFE);
    CHECK(power.resets == 0);
    out8(bus, 0x64, 0xFE);
    CHECK(power.resets == 1);
    out8(bus, 0x64, 0xD1);
    out8(bus, 0x60, 0xDE);
    CHECK(power.resets == 2);
}

TEST_CASE("port 92h resets, 80h keeps the POST code, EDh takes anything") {
    FakePower power;
    SimplePorts ports(power);
    GuestBus bus;
    REQUIRE(ports.add_to(bus));
    CHECK(in8(bus, 0x92) == 0x02);
    out8(bus, 0x92, 0x02);
    CHECK(power.resets == 0);
    out8(bus, 0x92, 0x03);
    CHECK(power.resets == 1);
    out8(bus, 0x80, 0x99);
    CHECK(in8(bus, 0x80) == 0x99);
    CHECK(ports.post_code() == 0x99);
    out8(bus, 0xED, 0x12);
    CHECK(in8(bus, 0xED) == 0xFF);
}

}  // namespace
}  // namespace undercroft::test
