// No byte is lost in either direction, however slow the other side is.
#include "drivers/uart/console_port.hpp"

#include <catch2/catch.hpp>
#include <deque>
#include <string>

#include "hostsim/platform/virtual_platform.hpp"
#include "tests/support/fake_cpu.hpp"

namespace undercroft {
namespace {

constexpr u16 base = ConsolePort::com1;

/// A 16550 whose line is drained and filled by the test.
struct FakeUart {
    std::deque<u8> transmit;
    std::deque<u8> receive;
    u8 enable = 0;

    u8 read(u16 port) {
        switch (port - base) {
        case 0: {
            u8 byte = receive.front();
            receive.pop_front();
            return byte;
        }
        case 2:
            return is_pending() ? 0 : 1;
        case 5:
            return static_cast<u8>((transmit.empty() ? 0x60 : 0) | (receive.empty() ? 0 : 1));
        default:
            return 0;
        }
    }
    void write(u16 port, u8 value) {
        if (port == base) {
            transmit.push_back(value);
            CHECK(transmit.size() <= 16);
        } else if (port == base + 1) {
            enable = value;
        }
    }
    bool is_pending() const { return ((enable & 1) && !receive.empty()) || ((enable & 2) && transmit.empty()); }
};

struct SlowGuest final : SerialPort {
    usize receive(std::span<const u8> bytes) override {
        usize taken = bytes.size() < room ? bytes.size() : room;
        got.append(reinterpret_cast<const char*>(bytes.data()), taken);
        room -= taken;
        return taken;
    }
    void transmit_ready() override { ++ready; }
    std::string got;
    usize room = 1000;
    int ready = 0;
};

struct Fixture : FakeProcessor {
    Fixture() {
        cpu.on_read_port = [this](u16 number) { return uart.read(number); };
        cpu.on_write_port = [this](u16 number, u8 value) { uart.write(number, value); };
        CurrentExecutorScope scope(executor);
        REQUIRE(console.start(ConsolePort::com1_line, guest));
    }
    void interrupt() {
        CurrentExecutorScope scope(executor);
        processor.note_interrupt(VirtualProcessor::first_vector);
        processor.dispatch_interrupts();
        executor.run_ready();
    }
    std::string drain() {
        std::string text(uart.transmit.begin(), uart.transmit.end());
        uart.transmit.clear();
        return text;
    }
    VirtualTimePlatform platform;
    Executor executor{platform};
    FakeUart uart;
    SlowGuest guest;
    ConsolePort console{ConsolePort::com1};
};

TEST_CASE_METHOD(Fixture, "a full transmitter refuses bytes and asks for them when it is empty") {
    std::string text(40, 'x');
    usize taken = console.write({reinterpret_cast<const u8*>(text.data()), text.size()});
    CHECK(taken == 16);
    CHECK(console.write({reinterpret_cast<const u8*>(text.data()), 1}) == 0);
    CHECK_FALSE(uart.is_pending());
    CHECK(drain().size() == 16);
    CHECK(uart.is_pending());
    interrupt();
    CHECK(guest.ready == 1);
    CHECK_FALSE(uart.is_pending());
    CHECK(console.write({reinterpret_cast<const u8*>(text.data()), 24}) == 16);
}

TEST_CASE_METHOD(Fixture, "what the guest refuses is kept and offered again, in order") {
    std::string sent;
    guest.room = 5;
    for (char byte = 'a'; byte <= 'z'; ++byte) {
        uart.receive.push_back(static_cast<u8>(byte));
        sent.push_back(byte);
    }
    interrupt();
    CHECK(guest.got == "abcde");
    CHECK_FALSE(uart.is_pending());
    for (int round = 0; round < 20 && guest.got.size() < sent.size(); ++round) {
        guest.room = 3;
        console.receive_ready();
        CurrentExecutorScope scope(executor);
        executor.run_ready();
        if (uart.is_pending()) {
            interrupt();
        }
    }
    CHECK(guest.got == sent);
}

}  // namespace
}  // namespace undercroft
