// The 8259 pair through its ports, as PC software programs it.
#include "kernel/guest/chipset/interrupt_controller_pair.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

struct Pair {
    FakeExternalInterrupts sink;
    InterruptControllerPair controllers{sink};
    GuestBus bus;

    explicit Pair(unsigned icw4 = 1) {
        REQUIRE(controllers.add_to(bus));
        out8(bus, 0x20, 0x11);
        out8(bus, 0xA0, 0x11);
        out8(bus, 0x21, 0x30);
        out8(bus, 0xA1, 0x38);
        out8(bus, 0x21, 0x04);
        out8(bus, 0xA1, 0x02);
        out8(bus, 0x21, icw4);
        out8(bus, 0xA1, icw4);
    }
    void pulse(unsigned irq) {
        controllers.set_level(irq, true);
        controllers.set_level(irq, false);
    }
    u8 in_service(bool slave = false) {
        u16 port = slave ? 0xA0 : 0x20;
        out8(bus, port, 0x0B);
        return in8(bus, port);
    }
    u8 requests(bool slave = false) {
        u16 port = slave ? 0xA0 : 0x20;
        out8(bus, port, 0x0A);
        return in8(bus, port);
    }
};

TEST_CASE("8259: the mask reads back, which is how Linux finds the chip") {
    Pair pair;
    out8(pair.bus, 0xA1, 0xFB);
    out8(pair.bus, 0x21, 0xEF);
    CHECK(in8(pair.bus, 0x21) == 0xEF);
    CHECK(in8(pair.bus, 0xA1) == 0xFB);
}

TEST_CASE("8259: an edge is requested, acknowledged with its vector, and ended") {
    Pair pair;
    pair.controllers.set_level(4, true);
    CHECK(pair.sink.is_requested);
    CHECK(pair.requests() == 0x10);
    CHECK(pair.controllers.acknowledge() == 0x34);
    CHECK_FALSE(pair.sink.is_requested);
    CHECK(pair.requests() == 0);
    CHECK(pair.in_service() == 0x10);
    // Still high, but no new edge.
    out8(pair.bus, 0x20, 0x20);
    CHECK_FALSE(pair.sink.is_requested);
    CHECK(pair.in_service() == 0);
    pair.controllers.set_level(4, false);
    pair.controllers.set_level(4, true);
    CHECK(pair.sink.is_requested);
}

TEST_CASE("8259: an edge that goes away before the acknowledge is spurious, on line 7") {
    Pair pair;
    pair.pulse(3);
    CHECK_FALSE(pair.sink.is_requested);
    CHECK(pair.controllers.acknowledge() == 0x37);
    CHECK(pair.in_service() == 0);
}

TEST_CASE("8259: a masked line waits for its mask") {
    Pair pair;
    out8(pair.bus, 0x21, 0x10);
    pair.controllers.set_level(4, true);
    CHECK_FALSE(pair.sink.is_requested);
    out8(pair.bus, 0x21, 0x00);
    CHECK(pair.sink.is_requested);
}

TEST_CASE("8259: lower lines go first, and interrupt higher ones in service") {
    Pair pair;
    pair.controllers.set_level(5, true);
    pair.controllers.set_level(1, true);
    CHECK(pair.controllers.acknowledge() == 0x31);
    CHECK_FALSE(pair.sink.is_requested);
    pair.controllers.set_level(0, true);
    CHECK(pair.sink.is_requested);
    CHECK(pair.controllers.acknowledge() == 0x30);
    out8(pair.bus, 0x20, 0x20);  // ends 0, the highest in service
    CHECK(pair.in_service() == 0x02);
    out8(pair.bus, 0x20, 0x61);  // ends 1 by name
    CHECK(pair.sink.is_requested);
    CHECK(pair.controllers.acknowledge() == 0x35);
}

TEST_CASE("8259: the slave's lines come through line 2 with the slave's vectors") {
    Pair pair;
    pair.controllers.set_level(8, true);
    CHECK(pair.sink.is_requested);
    CHECK(pair.controllers.acknowledge() == 0x38);
    CHECK(pair.in_service() == 0x04);
    CHECK(pair.in_service(true) == 0x01);
    // Another slave line waits until the slave is ended; the master must be, too.
    pair.controllers.set_level(12, true);
    CHECK_FALSE(pair.sink.is_requested);
    out8(pair.bus, 0xA0, 0x20);
    CHECK_FALSE(pair.sink.is_requested);
    out8(pair.bus, 0x20, 0x62);
    CHECK(pair.sink.is_requested);
    CHECK(pair.controllers.acknowledge() == 0x3C);
}

TEST_CASE("8259: a level-triggered line asks again after its end until it falls") {
    Pair pair;
    out8(pair.bus, 0x4D1, 0x02);
    CHECK(in8(pair.bus, 0x4D1) == 0x02);
    out8(pair.bus, 0x4D0, 0xFF);
    CHECK(in8(pair.bus, 0x4D0) == 0xF8);
    pair.controllers.set_level(9, true);
    CHECK(pair.controllers.acknowledge() == 0x39);
    out8(pair.bus, 0xA0, 0x20);
    out8(pair.bus, 0x20, 0x20);
    CHECK(pair.sink.is_requested);
    CHECK(pair.controllers.acknowledge() == 0x39);
    pair.controllers.set_level(9, false);
    out8(pair.bus, 0xA0, 0x20);
    out8(pair.bus, 0x20, 0x20);
    CHECK_FALSE(pair.sink.is_requested);
}

TEST_CASE("8259: automatic end leaves nothing in service") {
    Pair pair(0x03);
    pair.controllers.set_level(4, true);
    CHECK(pair.controllers.acknowledge() == 0x34);
    CHECK(pair.in_service() == 0);
}

TEST_CASE("8259: rotation makes the ended line the last in rank") {
    Pair pair;
    pair.controllers.set_level(0, true);
    CHECK(pair.controllers.acknowledge() == 0x30);
    out8(pair.bus, 0x20, 0xA0);
    pair.controllers.set_level(0, false);
    pair.controllers.set_level(0, true);
    pair.controllers.set_level(6, true);
    CHECK(pair.controllers.acknowledge() == 0x36);
}

TEST_CASE("8259: polling acknowledges by a read") {
    Pair pair;
    out8(pair.bus, 0x20, 0x0C);
    CHECK(in8(pair.bus, 0x20) == 0);
    pair.controllers.set_level(6, true);
    out8(pair.bus, 0x20, 0x0C);
    CHECK(in8(pair.bus, 0x20) == 0x86);
    CHECK(pair.in_service() == 0x40);
}

}  // namespace
}  // namespace undercroft::test
