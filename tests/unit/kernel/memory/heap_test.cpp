// The heap against a model: contents stay, alignment holds, and pages go back.
#include "kernel/memory/heap.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <random>
#include <vector>

#include "tests/unit/kernel/memory/page_fixture.hpp"

namespace undercroft {
namespace {

struct Allocation {
    std::byte* data;
    usize size;
    u8 fill;
};

bool is_intact(const Allocation& allocation) {
    for (usize index = 0; index < allocation.size; ++index) {
        if (allocation.data[index] != std::byte{allocation.fill}) {
            return false;
        }
    }
    return true;
}

TEST_CASE("heap allocations keep their bytes and their alignment, whatever the sequence") {
    for (unsigned seed = 1; seed <= 10; ++seed) {
        HostPages pages(2000);
        Heap heap(pages.allocator);
        std::mt19937 random(seed);
        std::vector<Allocation> live;
        for (int step = 0; step < 5000; ++step) {
            if (random() % 5 < 3) {
                usize size = 1 + random() % (random() % 8 == 0 ? 20000 : 600);
                usize alignment = usize{1} << (random() % 13);
                auto* data = static_cast<std::byte*>(heap.allocate(size, alignment));
                if (data == nullptr) {
                    continue;
                }
                REQUIRE(is_aligned(reinterpret_cast<u64>(data), alignment < 16 ? 16 : alignment));
                REQUIRE(heap.usable_bytes(data) >= size);
                auto fill = static_cast<u8>(random());
                std::memset(data, fill, size);
                live.push_back({data, size, fill});
            } else if (!live.empty()) {
                usize index = random() % live.size();
                INFO("seed " << seed << " step " << step);
                REQUIRE(is_intact(live[index]));
                heap.release(live[index].data);
                live[index] = live.back();
                live.pop_back();
            }
        }
        for (const Allocation& allocation : live) {
            REQUIRE(is_intact(allocation));
            heap.release(allocation.data);
        }
        CHECK(heap.used_bytes() == 0);
        // At most one empty page a class stays.
        PageCounters counters = pages.allocator.counters();
        CHECK(counters.total - counters.free <= Heap::class_count);
    }
}

TEST_CASE("a heap without memory gives null for small and for large") {
    HostPages pages(32);  // the allocator's notes take up to 9, as the memory happens to lie
    Heap heap(pages.allocator);
    CHECK(heap.allocate(64 * page_size, 16) == nullptr);
    usize count = 0;
    while (heap.allocate(2048, 16) != nullptr) {
        ++count;
    }
    CHECK(count == 2 * pages.allocator.counters().total);
}

}  // namespace
}  // namespace undercroft
