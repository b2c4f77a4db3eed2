// The virtual local APIC, driven through its registers: priorities, timer modes, commands, destinations, modes.
#include "kernel/monitor/local_apic.hpp"

#include <catch2/catch.hpp>

namespace undercroft::monitor {
namespace {

struct Fixture {
    LocalApic apic;
    Fixture() {
        apic.reset(3, false);
        REQUIRE(apic.set_base(apic.base() | apic::base_bit::x2apic).has_value());
        write(apic::spurious_vector, 0x1FF);
    }
    LocalApic::Effect write(u32 reg, u64 value, u64 tsc = 0) {
        auto effect = apic.write(reg, value, tsc, false);
        REQUIRE(effect.has_value());
        return *effect;
    }
    u64 read(u32 reg, u64 tsc = 0) { return *apic.read(reg, tsc, false); }
};

TEST_CASE("the highest vector above the processor priority is delivered first", "[monitor]") {
    Fixture f;
    CHECK(f.apic.deliverable() == -1);
    f.apic.request(0x41, false);
    f.apic.request(0x93, false);
    CHECK(f.apic.deliverable() == 0x93);
    f.apic.acknowledge(0x93);
    CHECK(f.apic.deliverable() == -1);  // 41h waits for the end of 93h
    f.apic.request(0xA0, false);
    CHECK(f.apic.deliverable() == 0xA0);
    f.apic.acknowledge(0xA0);
    CHECK(f.read(apic::processor_priority) == 0xA0);
    f.write(apic::end_of_interrupt, 0);
    CHECK(f.read(apic::processor_priority) == 0x90);
    f.write(apic::end_of_interrupt, 0);
    CHECK(f.apic.deliverable() == 0x41);
    f.apic.set_cr8(4);
    CHECK(f.apic.deliverable() == -1);
    CHECK(f.read(apic::task_priority) == 0x40);
    f.apic.set_cr8(3);
    CHECK(f.apic.deliverable() == 0x41);
}

TEST_CASE("the end of a level-triggered interrupt is reported, of an edge it is not", "[monitor]") {
    Fixture f;
    f.apic.request(0x51, true);
    f.apic.acknowledge(0x51);
    auto effect = f.write(apic::end_of_interrupt, 0);
    CHECK((effect.level_acknowledged && effect.vector == 0x51));
    f.apic.request(0x51, false);
    f.apic.acknowledge(0x51);
    CHECK_FALSE(f.write(apic::end_of_interrupt, 0).level_acknowledged);
    CHECK_FALSE(f.write(apic::end_of_interrupt, 0).level_acknowledged);  // nothing in service
}

TEST_CASE("one-shot timer", "[monitor]") {
    Fixture f;
    f.write(apic::lvt_timer, 0x40);
    f.write(apic::timer_divide, 0xB);
    f.write(apic::timer_initial_count, 100, 1000);
    u64 end = 1000 + (100 << LocalApic::timer_shift);
    CHECK(f.apic.next_deadline() == end);
    CHECK(f.read(apic::timer_current_count, 1000 + (40 << LocalApic::timer_shift)) == 60);
    f.apic.expire(end - 1);
    CHECK(f.apic.deliverable() == -1);
    f.apic.expire(end);
    CHECK(f.apic.deliverable() == 0x40);
    CHECK(f.apic.next_deadline() == LocalApic::no_deadline);
    CHECK(f.read(apic::timer_current_count, end + 5) == 0);
    f.write(apic::timer_initial_count, 7, 0);
    f.write(apic::timer_initial_count, 0, 1);
    CHECK(f.apic.next_deadline() == LocalApic::no_deadline);
}

TEST_CASE("periodic timer keeps its grid and merges what was missed", "[monitor]") {
    Fixture f;
    f.write(apic::lvt_timer, 0x20040);
    f.write(apic::timer_divide, 0xB);
    f.write(apic::timer_initial_count, 10, 0);
    u64 period = 10 << LocalApic::timer_shift;
    f.apic.expire(3 * period + 1);
    CHECK(f.apic.next_deadline() == 4 * period);
    CHECK(f.apic.deliverable() == 0x40);
}

TEST_CASE("a masked timer counts and says nothing", "[monitor]") {
    Fixture f;
    f.write(apic::lvt_timer, 0x10040);
    f.write(apic::timer_initial_count, 1, 0);
    f.apic.expire(~u64{0} - 1);
    CHECK(f.apic.highest_request() == -1);
}

TEST_CASE("TSC deadline", "[monitor]") {
    Fixture f;
    f.apic.set_tsc_deadline(500);
    CHECK(f.apic.next_deadline() == LocalApic::no_deadline);  // not in that mode
    f.write(apic::lvt_timer, 0x40040);
    f.apic.set_tsc_deadline(500);
    CHECK(f.apic.tsc_deadline() == 500);
    f.write(apic::timer_initial_count, 7, 0);
    CHECK(f.apic.next_deadline() == 500);
    f.apic.expire(500);
    CHECK(f.apic.deliverable() == 0x40);
    CHECK(f.apic.tsc_deadline() == 0);
    f.apic.set_tsc_deadline(900);
    f.write(apic::lvt_timer, 0x40);
    CHECK(f.apic.next_deadline() == LocalApic::no_deadline);  // leaving the mode disarms
}

TEST_CASE("every divider", "[monitor]") {
    Fixture f;
    const struct {
        u32 code;
        u64 divider;
    } cases[] = {{0, 2}, {1, 4}, {2, 8}, {3, 16}, {8, 32}, {9, 64}, {10, 128}, {11, 1}};
    for (auto [code, divider] : cases) {
        f.write(apic::timer_divide, code);
        f.write(apic::timer_initial_count, 5, 0);
        CHECK(f.apic.next_deadline() == (5 * divider) << LocalApic::timer_shift);
    }
}

TEST_CASE("commands become interrupts", "[monitor]") {
    Fixture f;
    auto effect = f.write(apic::interrupt_command, (u64{7} << 32) | 0x4500);
    CHECK((effect.sends && effect.interrupt.mode == apic::DeliveryMode::init && effect.interrupt.destination == 7));
    effect = f.write(apic::interrupt_command, (u64{7} << 32) | 0x4609);
    CHECK((effect.interrupt.mode == apic::DeliveryMode::startup && effect.interrupt.vector == 9));
    effect = f.write(apic::interrupt_command, 0x8500);  // INIT deassert
    CHECK_FALSE(effect.sends);
    effect = f.write(apic::interrupt_command, 0xC00FD);
    CHECK(effect.interrupt.shorthand == apic::Shorthand::all_but_self);
    effect = f.write(apic::self_ipi, 0x77);
    CHECK((effect.interrupt.shorthand == apic::Shorthand::self && effect.interrupt.vector == 0x77));
    effect = f.write(apic::interrupt_command, 5);  // a vector that is none
    CHECK_FALSE(effect.sends);
    f.write(apic::error_status, 0);
    CHECK(f.read(apic::error_status) == apic::error_bit::send_illegal_vector);
}

TEST_CASE("the memory-mapped view has a split command register, DFR and LDR", "[monitor]") {
    LocalApic apic;
    apic.reset(2, false);
    REQUIRE(apic.write(apic::spurious_vector, 0x1FF, 0, true).has_value());
    REQUIRE(apic.write(apic::interrupt_command_high, 0x0500'0000, 0, true).has_value());
    auto effect = apic.write(apic::interrupt_command, 0x40F0, 0, true);
    REQUIRE(effect.has_value());
    CHECK((effect->interrupt.destination == 5 && effect->interrupt.vector == 0xF0));
    CHECK(*apic.read(apic::id, 0, true) == u64{2} << 24);
    REQUIRE(apic.write(apic::logical_destination, 0x0400'0000, 0, true).has_value());
    CHECK(apic.matches(0x06, true));
    CHECK_FALSE(apic.matches(0x03, true));
    CHECK(apic.matches(2, false));
    CHECK(apic.matches(0xFF, false));
    // Cluster model: cluster 2, member 1.
    REQUIRE(apic.write(apic::destination_format, 0, 0, true).has_value());
    REQUIRE(apic.write(apic::logical_destination, 0x2200'0000, 0, true).has_value());
    CHECK(apic.matches(0x22, true));
    CHECK_FALSE(apic.matches(0x12, true));
}

TEST_CASE("x2APIC: logical identity follows from the id, wrong accesses fail", "[monitor]") {
    Fixture f;
    CHECK(f.read(apic::id) == 3);
    CHECK(f.read(apic::logical_destination) == 8);
    CHECK(f.apic.matches(8, true));
    CHECK_FALSE(f.apic.matches(0x1'0008, true));
    CHECK_FALSE(f.apic.matches(0xFF, false));
    CHECK(f.apic.matches(0xFFFF'FFFF, false));
    CHECK_FALSE(f.apic.read(apic::end_of_interrupt, 0, false).has_value());
    CHECK_FALSE(f.apic.read(apic::destination_format, 0, false).has_value());
    CHECK_FALSE(f.apic.write(apic::version, 0, 0, false).has_value());
    CHECK_FALSE(f.apic.write(apic::task_priority, u64{1} << 32, 0, false).has_value());
    for (u32 reg = 0x40; reg < 0x100; ++reg) {
        CHECK_FALSE(f.apic.read(reg, 0, false).has_value());
        CHECK_FALSE(f.apic.write(reg, 0, 0, false).has_value());
    }
}

TEST_CASE("APIC_BASE transitions", "[monitor]") {
    LocalApic apic;
    apic.reset(0, true);
    u64 base = apic.base();
    CHECK((base & apic::base_bit::bootstrap) != 0);
    CHECK(apic.set_base(base | apic::base_bit::x2apic).has_value());
    CHECK_FALSE(apic.set_base(base).has_value());  // back to xAPIC goes through disabled only
    CHECK(apic.set_base(base & ~apic::base_bit::enable).has_value());
    CHECK_FALSE(apic.set_base(base | apic::base_bit::x2apic).has_value());
    CHECK(apic.set_base(base).has_value());
    CHECK_FALSE(apic.set_base(base + page_size).has_value());
    CHECK_FALSE(apic.set_base(base | 1).has_value());
}

TEST_CASE("a switched-off APIC takes nothing and masks its table", "[monitor]") {
    Fixture f;
    f.write(apic::lvt_lint0, 0x700);
    CHECK(f.apic.accepts_external());
    f.write(apic::spurious_vector, 0xFF);
    CHECK_FALSE(f.apic.request(0x50, false));
    CHECK((f.read(apic::lvt_lint0) & apic::lvt_masked) != 0);
    CHECK(f.apic.accepts_external());  // as if it were not there
    f.write(apic::spurious_vector, 0x1FF);
    CHECK_FALSE(f.apic.accepts_external());
}

}  // namespace
}  // namespace undercroft::monitor
