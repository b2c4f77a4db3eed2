// GuestMemory: every address a guest can name is checked, at both ends.
#include "kernel/guest/memory.hpp"

#include <catch2/catch.hpp>
#include <vector>

namespace undercroft {
namespace {

TEST_CASE("guest memory resolves what lies in one range, and nothing else") {
    std::vector<std::byte> low(2 * page_size);
    std::vector<std::byte> high(page_size);
    constexpr u64 high_address = u64{1} << 32;
    GuestMemoryRange ranges[] = {{0, low.size(), low.data()}, {high_address, high.size(), high.data()}};
    GuestMemory memory = *GuestMemory::create(ranges);
    CHECK(memory.total_bytes() == 3 * page_size);
    CHECK(memory.resolve(0, 2 * page_size)->data() == low.data());
    CHECK(memory.resolve(page_size, page_size)->data() == low.data() + page_size);
    CHECK(memory.resolve(high_address + page_size - 1, 1).has_value());
    CHECK(memory.resolve(2 * page_size - 1, 2).error() == Error::out_of_range);
    CHECK(memory.resolve(2 * page_size, 1).error() == Error::out_of_range);
    CHECK(memory.resolve(high_address - 1, 2).error() == Error::out_of_range);
    CHECK(memory.resolve(1, ~u64{0}).error() == Error::out_of_range);
    CHECK(memory.resolve(~u64{0}, 1).error() == Error::out_of_range);
    CHECK(memory.write_value<u32>(2 * page_size - 4, 0x1234'5678).has_value());
    CHECK(*memory.read_value<u16>(2 * page_size - 2) == 0x1234);
}

TEST_CASE("guest memory refuses ranges that are not sorted, aligned and disjoint") {
    std::vector<std::byte> data(4 * page_size);
    auto create = [](std::vector<GuestMemoryRange> ranges) { return GuestMemory::create(ranges).has_value(); };
    CHECK(create({{0, page_size, data.data()}, {page_size, page_size, data.data()}}));
    CHECK_FALSE(create({{page_size, page_size, data.data()}, {0, page_size, data.data()}}));
    CHECK_FALSE(create({{0, 2 * page_size, data.data()}, {page_size, page_size, data.data()}}));
    CHECK_FALSE(create({{1, page_size, data.data()}}));
    CHECK_FALSE(create({{0, page_size - 1, data.data()}}));
    CHECK_FALSE(create({{0, 0, data.data()}}));
    CHECK_FALSE(create({{0, page_size, nullptr}}));
    CHECK_FALSE(create({{align_down(~u64{0}, page_size), 2 * page_size, data.data()}}));
    CHECK_FALSE(create(std::vector<GuestMemoryRange>(guest_memory_ranges_max + 1)));
}

}  // namespace
}  // namespace undercroft
