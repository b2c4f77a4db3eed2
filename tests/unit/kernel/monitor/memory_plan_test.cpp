// Division of machine memory: budgets, alignment, the hole below 4 GiB, and maps that make no sense.
#include "kernel/monitor/memory_plan.hpp"

#include <catch2/catch.hpp>

namespace undercroft::monitor {
namespace {

constexpr u64 image_begin = 1 * mib;
constexpr u64 image_end = 2 * mib;

TEST_CASE("a guest of 2 VPs on 1 GiB gets all but 16 MiB", "[monitor]") {
    const MemoryRange usable[] = {{1 * mib, 1 * gib - 0x22000}};
    auto plan = plan_memory(usable, image_begin, image_end, 2);
    REQUIRE(plan.has_value());
    CHECK(plan->guest_bytes() >= 1008 * mib);
    CHECK(plan->vtl2.size() == 10 * mib);
    CHECK(plan->monitor.end == plan->vtl2.begin);
    REQUIRE(plan->guest_count == 1);
    CHECK(plan->guest[0].guest_address == 0);
    CHECK(is_aligned(plan->guest[0].machine_address, large_page_size));
    CHECK(plan->guest[0].machine_address == plan->vtl2.end);
    CHECK(plan->guest[0].machine_address + plan->guest[0].size_bytes == usable[0].end);
}

TEST_CASE("guest RAM continues at 4 GiB behind the first 3", "[monitor]") {
    const MemoryRange usable[] = {{1 * mib, 2 * gib - 0x22000}, {4 * gib, 8 * gib}};
    auto plan = plan_memory(usable, image_begin, image_end, 4);
    REQUIRE(plan.has_value());
    REQUIRE(plan->guest_count == 3);
    CHECK(plan->guest[1].guest_address == plan->guest[0].size_bytes);
    CHECK(is_aligned(plan->guest[0].size_bytes, large_page_size));
    CHECK(plan->guest[1].guest_address + plan->guest[1].size_bytes == guest_low_end);
    CHECK(plan->guest[2].guest_address == guest_high_begin);
    CHECK(plan->guest[2].machine_address + plan->guest[2].size_bytes == 8 * gib);
}

TEST_CASE("guest addresses translate within one piece only", "[monitor]") {
    const MemoryRange usable[] = {{1 * mib, 2 * gib}, {4 * gib, 5 * gib}};
    auto plan = plan_memory(usable, image_begin, image_end, 2);
    REQUIRE(plan.has_value());
    u64 boundary = plan->guest[0].size_bytes;
    CHECK(*plan->guest_to_machine(0, page_size) == plan->vtl2.end);
    CHECK(plan->guest_to_machine(boundary - 8, 8).has_value());
    CHECK_FALSE(plan->guest_to_machine(boundary - 8, 16).has_value());
    CHECK(*plan->guest_to_machine(boundary, 8) == plan->guest[1].machine_address);
    CHECK_FALSE(plan->guest_to_machine(~u64{0} - 7, 8).has_value());
    CHECK_FALSE(plan->guest_to_machine(0, ~u64{0}).has_value());
}

TEST_CASE("maps that cannot be served are refused", "[monitor]") {
    const MemoryRange unsorted[] = {{4 * gib, 5 * gib}, {1 * mib, 1 * gib}};
    CHECK(plan_memory(unsorted, image_begin, image_end, 2).error() == Error::malformed);
    const MemoryRange elsewhere[] = {{16 * mib, 1 * gib}};
    CHECK(plan_memory(elsewhere, image_begin, image_end, 2).error() == Error::malformed);
    const MemoryRange small[] = {{1 * mib, 8 * mib}};
    CHECK(plan_memory(small, image_begin, image_end, 2).error() == Error::out_of_memory);
    const MemoryRange no_guest[] = {{1 * mib, 20 * mib}};
    CHECK(plan_memory(no_guest, image_begin, image_end, 2).error() == Error::out_of_memory);
    CHECK_FALSE(plan_memory({}, image_begin, image_end, 2).has_value());
}

}  // namespace
}  // namespace undercroft::monitor
