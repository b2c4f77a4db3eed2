// Pools: the budget holds, objects are reused, pages go back.
#include "kernel/memory/slab_pool.hpp"

#include <catch2/catch.hpp>
#include <vector>

#include "tests/unit/kernel/memory/page_fixture.hpp"

namespace undercroft {
namespace {

struct alignas(64) Request {
    explicit Request(u64 given) : id(given) {}
    u64 id;
    std::byte payload[100];
};

TEST_CASE("a slab pool gives no more than its budget, and takes its pages back") {
    HostPages pages(64);
    usize free_before = pages.allocator.counters().free;
    {
        SlabPool<Request> pool(pages.allocator, 100);
        std::vector<Request*> requests;
        for (u64 id = 0; id < 100; ++id) {
            requests.push_back(pool.create(id));
            REQUIRE(requests.back() != nullptr);
            REQUIRE(is_aligned(reinterpret_cast<u64>(requests.back()), 64));
        }
        CHECK(pool.create(u64{100}) == nullptr);
        for (u64 id = 0; id < 100; ++id) {
            REQUIRE(requests[id]->id == id);
        }
        pool.destroy(requests[50]);
        CHECK(pool.create(u64{7}) == requests[50]);
        for (Request* request : requests) {
            pool.destroy(request);
        }
        CHECK(pool.used() == 0);
    }
    CHECK(pages.allocator.counters().free == free_before);
}

}  // namespace
}  // namespace undercroft
