// Messages as a guest writes them into MSI-X tables, usable and not.
#include "kernel/vtl/message_interrupts.hpp"

#include <catch2/catch.hpp>

#include "tests/support/fake_cpu.hpp"

namespace undercroft {
namespace {

TEST_CASE("a message is taken apart into vector, destination and mode") {
    AssertedInterrupt fixed = *decode_message(0xFEE0'3000, 0x41);
    CHECK(fixed.vector == 0x41);
    CHECK(fixed.destination == 3);
    CHECK(fixed.type == tlfs::InterruptType::fixed);
    CHECK_FALSE(fixed.logical_destination);
    AssertedInterrupt lowest = *decode_message(0xFEE0'100C, 0x8161);
    CHECK(lowest.type == tlfs::InterruptType::lowest_priority);
    CHECK(lowest.logical_destination);
    CHECK(lowest.level_triggered);
    CHECK(decode_message(0xFEE0'0000, 0x0400)->type == tlfs::InterruptType::nmi);
}

TEST_CASE("what is no interrupt message is dropped and counted") {
    CHECK_FALSE(decode_message(0x1000, 0x41));
    CHECK_FALSE(decode_message(0x1'FEE0'0000, 0x41));
    CHECK_FALSE(decode_message(0xFEE0'0000, 0x0F));
    CHECK_FALSE(decode_message(0xFEE0'0000, 0x0341));
    CHECK_FALSE(decode_message(0xFEE0'0000, 0x0500));
    FakeProcessor fake;
    MessageInterrupts messages;
    messages.deliver(0x1000, 0x41);
    CHECK(messages.dropped() == 1);
    u16 code = 0;
    fake.cpu.on_hypercall = [&](u64 input, u64, u64) {
        code = static_cast<u16>(input);
        return cpu::HypercallOutcome{0, 0};
    };
    messages.deliver(0xFEE0'0000, 0x41);
    CHECK(messages.dropped() == 1);
    CHECK(code == static_cast<u16>(tlfs::CallCode::assert_virtual_interrupt));
}

}  // namespace
}  // namespace undercroft
