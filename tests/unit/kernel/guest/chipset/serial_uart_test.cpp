// The 16550A through its ports: identification as Linux's 8250 driver does it, both directions, interrupts, and flow
// control that loses nothing.
#include "kernel/guest/chipset/serial_uart.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

struct Uart {
    TestInterrupts interrupts;
    FakeConsole console;
    GuestBus bus;
    SerialUart uart{console, interrupts.lines.isa(4)};

    Uart() {
        REQUIRE(uart.add_to(bus, 0x3F8));
        REQUIRE(interrupts.io_apic.add_to(bus));
        bus.write_mmio(0xFEC0'0000, AccessSize::dword, 0x18);
        bus.write_mmio(0xFEC0'0010, AccessSize::dword, 0x8034);
    }
    u8 read(u16 offset) { return in8(bus, static_cast<u16>(0x3F8 + offset)); }
    void write(u16 offset, unsigned value) { out8(bus, static_cast<u16>(0x3F8 + offset), value); }
    usize give(std::string_view text) { return uart.receive({reinterpret_cast<const u8*>(text.data()), text.size()}); }
    /// Level-triggered: what is still asserted comes again.
    bool interrupts_now() {
        usize before = interrupts.messages.sent.size();
        interrupts.io_apic.end_of_interrupt(0x34);
        return interrupts.messages.sent.size() > before;
    }
    void open() {
        write(3, 0x03);
        write(2, 0x01);
        write(4, 0x0B);
    }
};

TEST_CASE("UART: identified as a 16550A by what drivers try") {
    Uart uart;
    uart.write(1, 0x0F);
    CHECK(uart.read(1) == 0x0F);
    uart.write(1, 0xFF);
    CHECK(uart.read(1) == 0x0F);
    uart.write(1, 0);
    // Loopback: RTS and OUT2 come back as CTS and carrier.
    uart.write(4, 0x1A);
    CHECK((uart.read(6) & 0xF0) == 0x90);
    uart.write(4, 0x00);
    uart.write(7, 0x5A);
    CHECK(uart.read(7) == 0x5A);
    // FIFOs on, off, and no 64-byte ones.
    uart.write(2, 0x01);
    CHECK((uart.read(2) & 0xC0) == 0xC0);
    uart.write(3, 0x80);
    uart.write(2, 0x21);
    CHECK((uart.read(2) >> 5) == 6);
    uart.write(3, 0x00);
    uart.write(2, 0x00);
    CHECK((uart.read(2) & 0xC0) == 0x00);
}

TEST_CASE("UART: the divisor latch hides data and interrupt enable") {
    Uart uart;
    uart.write(3, 0x83);
    uart.write(0, 0x01);
    uart.write(1, 0x02);
    CHECK(uart.read(0) == 0x01);
    CHECK(uart.read(1) == 0x02);
    uart.write(3, 0x03);
    CHECK(uart.read(1) == 0x00);
    CHECK(uart.console.text.empty());
}

TEST_CASE("UART: what is written goes out, and the transmitter interrupts when there is room") {
    Uart uart;
    uart.open();
    CHECK(uart.read(5) == 0x60);
    uart.write(1, 0x02);
    CHECK(uart.interrupts_now());  // enabling it while empty raises it
    CHECK(uart.read(2) == 0xC2);
    CHECK(uart.read(2) == 0xC1);  // reading the cause clears it
    CHECK_FALSE(uart.interrupts_now());
    uart.write(0, 'h');
    CHECK(uart.read(2) == 0xC2);
    uart.write(0, 'i');
    CHECK(uart.console.text == "hi");
    uart.write(1, 0x00);
    uart.write(1, 0x02);
    CHECK(uart.read(2) == 0xC2);  // Linux tests that it comes again
}

TEST_CASE("UART: a back end that is busy loses nothing") {
    Uart uart;
    uart.open();
    uart.console.room = 3;
    std::string sent;
    auto send_while_there_is_room = [&] {
        while ((uart.read(5) & 0x20) != 0) {
            for (int i = 0; i < 16; ++i) {
                char c = static_cast<char>('a' + sent.size() % 26);
                uart.write(0, static_cast<u8>(c));
                sent.push_back(c);
            }
        }
    };
    send_while_there_is_room();
    CHECK(uart.console.text == "abc");
    CHECK((uart.read(5) & 0x60) == 0);
    uart.write(1, 0x02);
    CHECK_FALSE(uart.interrupts_now());
    uart.console.room = 100;
    uart.uart.transmit_ready();
    CHECK(uart.interrupts_now());
    CHECK(uart.read(2) == 0xC2);
    uart.console.room = ~usize{0};
    uart.uart.transmit_ready();
    CHECK(uart.console.text == sent);
    CHECK((uart.read(5) & 0x60) == 0x60);
}

TEST_CASE("UART: received bytes interrupt, by level or by timeout, and wait where there is no room") {
    Uart uart;
    uart.open();
    uart.write(2, 0x81);  // trigger at 8
    uart.write(1, 0x01);
    CHECK(uart.give("abc") == 3);
    CHECK(uart.interrupts_now());
    CHECK(uart.read(2) == 0xCC);
    CHECK(uart.give("defghijklmnopqrst") == 13);
    CHECK(uart.read(2) == 0xC4);
    CHECK(uart.console.ready_calls == 0);
    std::string got;
    while ((uart.read(5) & 1) != 0) {
        got.push_back(static_cast<char>(uart.read(0)));
    }
    CHECK(got == "abcdefghijklmnop");
    CHECK(uart.console.ready_calls == 1);
    CHECK_FALSE(uart.interrupts_now());
    CHECK(uart.read(2) == 0xC1);
    CHECK(uart.give("qrst") == 4);
}

TEST_CASE("UART: interrupts need OUT2, as on a PC") {
    Uart uart;
    uart.write(2, 0x01);
    uart.write(1, 0x01);
    uart.give("x");
    CHECK_FALSE(uart.interrupts_now());
    uart.write(4, 0x08);
    CHECK(uart.interrupts_now());
}

TEST_CASE("UART: loopback brings back what is written, overruns, and leaves the line alone") {
    Uart uart;
    uart.write(4, 0x10);
    uart.write(0, 'A');
    CHECK(uart.give("line") == 0);
    CHECK((uart.read(5) & 1) == 1);
    uart.write(0, 'B');
    CHECK((uart.read(5) & 2) == 2);
    CHECK((uart.read(5) & 2) == 0);
    CHECK(uart.read(0) == 'A');
    uart.write(4, 0x00);
    CHECK(uart.console.text.empty());
    CHECK(uart.console.ready_calls >= 1);
    CHECK(uart.give("l") == 1);
}

TEST_CASE("UART: modem status changes are remembered until read") {
    Uart uart;
    uart.write(4, 0x10);
    uart.read(6);
    uart.write(4, 0x12);
    CHECK(uart.read(6) == 0x11);
    CHECK(uart.read(6) == 0x10);
}

}  // namespace
}  // namespace undercroft::test
