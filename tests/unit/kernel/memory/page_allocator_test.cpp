// Buddies against an obvious model: blocks never overlap, are aligned, and everything comes back together.
#include "kernel/memory/page_allocator.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <map>
#include <random>

#include "tests/unit/kernel/memory/page_fixture.hpp"

namespace undercroft {
namespace {

TEST_CASE("page blocks are disjoint, aligned, and merge again, whatever the sequence") {
    for (unsigned seed = 1; seed <= 20; ++seed) {
        HostPages pages(1000 + seed * 7);
        PageCounters before = pages.allocator.counters();
        CHECK(before.free == before.total);
        std::mt19937 random(seed);
        std::map<std::byte*, usize> blocks;
        for (int step = 0; step < 3000; ++step) {
            if (random() % 5 < 3) {
                auto order = static_cast<u8>(random() % 5);
                std::byte* block = pages.allocator.allocate(order);
                if (block == nullptr) {
                    continue;
                }
                usize bytes = usize{page_size} << order;
                INFO("seed " << seed << " step " << step);
                REQUIRE(is_aligned(reinterpret_cast<u64>(block), bytes));
                REQUIRE((block >= pages.data && block + bytes <= pages.data + pages.size));
                auto next = blocks.lower_bound(block);
                REQUIRE((next == blocks.end() || block + bytes <= next->first));
                REQUIRE((next == blocks.begin() || std::prev(next)->first + std::prev(next)->second <= block));
                REQUIRE(pages.allocator.block_bytes(block) == bytes);
                std::memset(block, 0xAA, bytes);
                blocks[block] = bytes;
            } else if (!blocks.empty()) {
                auto chosen = std::next(blocks.begin(), static_cast<std::ptrdiff_t>(random() % blocks.size()));
                pages.allocator.release(chosen->first);
                blocks.erase(chosen);
            }
        }
        for (auto [block, bytes] : blocks) {
            pages.allocator.release(block);
        }
        CHECK(pages.allocator.counters().free == before.free);
        // Merged again: the largest block that was possible at first is possible now.
        std::byte* large = pages.allocator.allocate(8);
        CHECK(large != nullptr);
        pages.allocator.release(large);
    }
}

TEST_CASE("a page allocator that has nothing left says so, and counts it") {
    HostPages pages(64);
    usize count = 0;
    std::byte* last = nullptr;
    while (std::byte* page = pages.allocator.allocate(0)) {
        last = page;
        ++count;
    }
    PageCounters counters = pages.allocator.counters();
    CHECK(count == counters.total);
    CHECK(counters.free == 0);
    CHECK(counters.free_min == 0);
    CHECK(counters.refusals == 1);
    CHECK(pages.allocator.allocate_bytes(1) == nullptr);
    pages.allocator.release(last);
    CHECK(pages.allocator.allocate_bytes(1) == last);
}

TEST_CASE("sizes in bytes take the smallest block that holds them") {
    CHECK(PageAllocator::order_for(1) == 0);
    CHECK(PageAllocator::order_for(page_size) == 0);
    CHECK(PageAllocator::order_for(page_size + 1) == 1);
    CHECK(PageAllocator::order_for(5 * page_size) == 3);
    HostPages pages(256);
    CHECK(pages.allocator.allocate_bytes(0) == nullptr);
    CHECK(pages.allocator.allocate_bytes(usize{1} << 40) == nullptr);
}

}  // namespace
}  // namespace undercroft
