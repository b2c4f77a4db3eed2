// EOI assist: when it is offered, and what the guest's answer means.
#include "kernel/monitor/apic_assist.hpp"

#include <catch2/catch.hpp>

namespace undercroft::monitor {
namespace {

struct Fixture {
    LocalApic apic;
    ApicAssist assist;
    u32 field = 0xABCD'0000;
    Fixture() {
        apic.reset(0, true);
        REQUIRE(apic.write(apic::spurious_vector, 0x1FF, 0, true).has_value());
        assist.set(0x1001, &field);
    }
    void deliver(u8 vector, bool level = false) {
        apic.request(vector, level);
        apic.acknowledge(vector);
    }
};

TEST_CASE("EOI assist is offered for one edge-triggered interrupt, and used by clearing the bit", "[monitor]") {
    Fixture f;
    f.assist.offer(f.apic);
    CHECK(f.field == 0xABCD'0000);  // nothing in service
    CHECK_FALSE(f.assist.take_back());
    f.deliver(0x51);
    f.assist.offer(f.apic);
    CHECK(f.field == 0xABCD'0001);
    CHECK_FALSE(f.assist.take_back());  // not used yet
    CHECK(f.field == 0xABCD'0000);
    f.assist.offer(f.apic);
    f.field = 0;
    CHECK(f.assist.take_back());
    CHECK_FALSE(f.assist.take_back());
}

TEST_CASE("EOI assist is not offered where the end has consequences", "[monitor]") {
    Fixture f;
    SECTION("a level-triggered interrupt") { f.deliver(0x51, true); }
    SECTION("one waits behind it") {
        f.deliver(0x51);
        f.apic.request(0x31, false);
    }
    SECTION("another is in service below it") {
        f.deliver(0x31);
        f.deliver(0x91);
    }
    SECTION("the page is not enabled") {
        f.deliver(0x51);
        f.assist.set(0, nullptr);
    }
    f.assist.offer(f.apic);
    CHECK(f.field == 0xABCD'0000);
    CHECK_FALSE(f.assist.take_back());
}

}  // namespace
}  // namespace undercroft::monitor
