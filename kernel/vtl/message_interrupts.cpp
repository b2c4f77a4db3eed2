// Decoding of messages.
#include "kernel/vtl/message_interrupts.hpp"

namespace undercroft {

namespace {
constexpr u64 window = 0xFEE0'0000;
constexpr u64 window_mask = ~u64{0xF'FFFF};
constexpr u8 vector_min = 16;
}  // namespace

Result<AssertedInterrupt> decode_message(u64 address, u32 data) {
    AssertedInterrupt interrupt;
    interrupt.type = static_cast<tlfs::InterruptType>((data >> 8) & 7);
    interrupt.vector = static_cast<u8>(data);
    interrupt.level_triggered = (data >> 15) & 1;
    interrupt.logical_destination = (address >> 2) & 1;
    interrupt.destination = static_cast<u32>(address >> 12) & 0xFF;
    bool has_vector =
        interrupt.type == tlfs::InterruptType::fixed || interrupt.type == tlfs::InterruptType::lowest_priority;
    bool known = has_vector || interrupt.type == tlfs::InterruptType::nmi;
    if ((address & window_mask) != window || !known || (has_vector && interrupt.vector < vector_min)) {
        return fail(Error::invalid_argument);
    }
    return interrupt;
}

void MessageInterrupts::deliver(u64 address, u32 data) {
    Result<AssertedInterrupt> interrupt = decode_message(address, data);
    if (!interrupt || !hypercalls::assert_interrupt(*interrupt)) {
        dropped_.fetch_add(1, std::memory_order_relaxed);
    }
}

}  // namespace undercroft
