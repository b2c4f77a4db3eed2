// Vectors: given out once, run when marked, acknowledged where that is ours to do.
#include "kernel/vtl/virtual_processor.hpp"

#include <catch2/catch.hpp>

#include "tests/support/fake_cpu.hpp"

namespace undercroft {
namespace {

struct CountingHandler final : InterruptHandler {
    void on_interrupt() override { ++count; }
    int count = 0;
};

constexpr u32 msr_eoi = 0x80B;

TEST_CASE("an interrupt runs its handler once, between turns, however often it came") {
    FakeProcessor fake;
    CountingHandler device;
    CountingHandler timer;
    u8 device_vector = *fake.processor.allocate_vector(device, EndOfInterrupt::automatic);
    u8 timer_vector = *fake.processor.allocate_vector(timer, EndOfInterrupt::by_us);
    CHECK(device_vector >= 32);
    CHECK(timer_vector != device_vector);
    fake.processor.note_interrupt(device_vector);
    fake.processor.note_interrupt(device_vector);
    CHECK(device.count == 0);
    CHECK(fake.processor.dispatch_interrupts());
    CHECK(device.count == 1);
    CHECK(fake.cpu.msrs.count(msr_eoi) == 0);
    CHECK_FALSE(fake.processor.dispatch_interrupts());
    fake.processor.note_interrupt(timer_vector);
    fake.processor.dispatch_interrupts();
    CHECK(timer.count == 1);
    CHECK(fake.cpu.msrs.count(msr_eoi) == 1);
}

TEST_CASE("a vector that was given back is stray, and can be had again") {
    FakeProcessor fake;
    CountingHandler first;
    CountingHandler second;
    u8 vector = *fake.processor.allocate_vector(first, EndOfInterrupt::automatic);
    fake.processor.release_vector(vector);
    fake.processor.note_interrupt(vector);
    fake.processor.dispatch_interrupts();
    CHECK(first.count == 0);
    CHECK(fake.processor.stray_interrupts() == 1);
    CHECK(*fake.processor.allocate_vector(second, EndOfInterrupt::automatic) == vector);
}

TEST_CASE("vectors run out with an error") {
    FakeProcessor fake;
    CountingHandler handler;
    int count = 0;
    while (fake.processor.allocate_vector(handler, EndOfInterrupt::automatic)) {
        ++count;
    }
    CHECK(count == 255 - 32);
}

TEST_CASE("assist page and register page are announced where the monitor looks for them") {
    FakeProcessor fake;
    CHECK(fake.cpu.msrs[tlfs::msr_vp_assist_page] == (vtl2::memory_base + 2 * page_size + 1));
}

}  // namespace
}  // namespace undercroft
