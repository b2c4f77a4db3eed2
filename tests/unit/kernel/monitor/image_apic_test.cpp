// VTL2's interrupt requests and deadline timer.
#include "kernel/monitor/image_apic.hpp"

#include <catch2/catch.hpp>

namespace undercroft::monitor {
namespace {

TEST_CASE("requests come out highest first and once", "[monitor]") {
    ImageApic apic;
    CHECK_FALSE(apic.pending());
    for (u8 vector : {u8{0x20}, u8{0xFE}, u8{0x80}, u8{0x80}}) {
        apic.request(vector);
    }
    for (int expected : {0xFE, 0x80, 0x20}) {
        CHECK(apic.highest() == expected);
        apic.acknowledge(static_cast<u8>(expected));
    }
    CHECK(apic.highest() == -1);
}

TEST_CASE("the deadline fires once, and not when masked", "[monitor]") {
    ImageApic apic;
    apic.set_deadline(100);
    apic.expire(100);
    CHECK_FALSE(apic.pending());  // masked after reset
    apic.set_timer_lvt(0x33);
    apic.set_deadline(200);
    CHECK(apic.deadline() == 200);
    apic.expire(199);
    CHECK_FALSE(apic.pending());
    apic.expire(200);
    CHECK(apic.highest() == 0x33);
    apic.acknowledge(0x33);
    apic.expire(300);
    CHECK_FALSE(apic.pending());
    apic.set_deadline(0);
    CHECK(apic.next_deadline() == ImageApic::no_deadline);
}

}  // namespace
}  // namespace undercroft::monitor
