// The I/O APIC through its window: what it sends, when it holds back, and how level-triggered pins end.
#include "kernel/guest/chipset/io_apic.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

constexpr u32 masked = 1u << 16;
constexpr u32 level = 1u << 15;
constexpr u32 remote_irr = 1u << 14;

struct Apic {
    FakeMessages messages;
    IoApic io_apic{messages};
    GuestBus bus;

    Apic() { REQUIRE(io_apic.add_to(bus)); }
    u32 read(u8 index) {
        bus.write_mmio(0xFEC0'0000, AccessSize::dword, index);
        return static_cast<u32>(bus.read_mmio(0xFEC0'0010, AccessSize::dword));
    }
    void write(u8 index, u32 value) {
        bus.write_mmio(0xFEC0'0000, AccessSize::dword, index);
        bus.write_mmio(0xFEC0'0010, AccessSize::dword, value);
    }
    void program(unsigned pin, u32 low, u8 destination = 0) {
        write(static_cast<u8>(0x11 + 2 * pin), u32{destination} << 24);
        write(static_cast<u8>(0x10 + 2 * pin), low);
    }
};

TEST_CASE("I/O APIC: identification, and entries masked after reset") {
    Apic apic;
    CHECK(apic.read(1) == 0x0017'0020);
    apic.write(0, 0x0500'0000);
    CHECK(apic.read(0) == 0x0500'0000);
    for (u8 pin = 0; pin < 24; ++pin) {
        CHECK(apic.read(static_cast<u8>(0x10 + 2 * pin)) == masked);
    }
    CHECK(apic.read(0xFF) == 0);
    CHECK(apic.read(0x40) == 0);
}

TEST_CASE("I/O APIC: an edge becomes one message with destination, mode and vector in place") {
    Apic apic;
    apic.program(4, 0x900 | 0x41, 0x07);  // lowest priority, logical
    apic.io_apic.set_level(4, true);
    apic.io_apic.set_level(4, true);
    CHECK(apic.messages.sent == std::vector<FakeMessages::Message>{{0xFEE0'700C, 0x141}});
    apic.io_apic.set_level(4, false);
    apic.io_apic.set_level(4, true);
    CHECK(apic.messages.sent.size() == 2);
}

TEST_CASE("I/O APIC: an edge while masked is delivered when the mask goes") {
    Apic apic;
    apic.program(2, masked | 0x30);
    apic.io_apic.set_level(2, true);
    apic.io_apic.set_level(2, false);
    CHECK(apic.messages.sent.empty());
    apic.program(2, 0x30);
    CHECK(apic.messages.sent.size() == 1);
}

TEST_CASE("I/O APIC: a level is sent once, and again at the end of interrupt while it lasts") {
    Apic apic;
    apic.program(9, level | 0x29);
    apic.io_apic.set_level(9, true);
    REQUIRE(apic.messages.sent == std::vector<FakeMessages::Message>{{0xFEE0'0000, 0xC029}});
    CHECK((apic.read(0x22) & remote_irr) != 0);
    apic.io_apic.set_level(9, false);
    apic.io_apic.set_level(9, true);
    CHECK(apic.messages.sent.size() == 1);
    apic.io_apic.end_of_interrupt(0x55);  // another vector's end changes nothing
    CHECK(apic.messages.sent.size() == 1);
    apic.io_apic.end_of_interrupt(0x29);
    CHECK(apic.messages.sent.size() == 2);
    apic.io_apic.set_level(9, false);
    apic.bus.write_mmio(0xFEC0'0040, AccessSize::dword, 0x29);  // the EOI register
    CHECK(apic.messages.sent.size() == 2);
    CHECK((apic.read(0x22) & remote_irr) == 0);
}

TEST_CASE("I/O APIC: remote IRR cannot be written, and switching to edge clears it") {
    Apic apic;
    apic.program(9, level | remote_irr | 0x29);
    CHECK((apic.read(0x22) & remote_irr) == 0);
    apic.io_apic.set_level(9, true);
    CHECK((apic.read(0x22) & remote_irr) != 0);
    apic.program(9, masked | level | 0x29);
    CHECK((apic.read(0x22) & remote_irr) != 0);
    apic.program(9, masked | 0x29);
    apic.program(9, masked | level | 0x29);
    CHECK((apic.read(0x22) & remote_irr) == 0);
    apic.program(9, level | 0x29);
    CHECK(apic.messages.sent.size() == 2);
}

TEST_CASE("interrupt lines: the timer is pin 2, the others their own; a shared line falls with its last user") {
    TestInterrupts interrupts;
    GuestBus bus;
    REQUIRE(interrupts.io_apic.add_to(bus));
    auto program = [&](unsigned pin, u32 low) {
        bus.write_mmio(0xFEC0'0000, AccessSize::dword, 0x10 + 2 * pin);
        bus.write_mmio(0xFEC0'0010, AccessSize::dword, low);
    };
    program(2, 0x30);
    program(18, level | 0x40);
    InterruptLines::User timer = interrupts.lines.isa(0);
    timer.set_level(true);
    CHECK(interrupts.messages.sent.back().data == 0x30);
    InterruptLines::User first = interrupts.lines.pci(2);
    InterruptLines::User second = interrupts.lines.pci(2);
    first.set_level(true);
    second.set_level(true);
    CHECK(interrupts.messages.sent.size() == 2);
    first.set_level(false);
    interrupts.io_apic.end_of_interrupt(0x40);
    CHECK(interrupts.messages.sent.size() == 3);
    second.set_level(false);
    interrupts.io_apic.end_of_interrupt(0x40);
    CHECK(interrupts.messages.sent.size() == 3);
}

}  // namespace
}  // namespace undercroft::test
