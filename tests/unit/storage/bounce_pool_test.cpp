// The budget: what is lent, who waits, in which order they are served, and that nobody waits for ever.
#include "storage/bounce_pool.hpp"

#include <catch2/catch.hpp>
#include <random>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/async/task_group.hpp"

namespace undercroft {
namespace {

struct alignas(page_size) PoolPage {
    std::byte bytes[page_size];
};

struct PoolMemory {
    explicit PoolMemory(usize pages) : storage(pages) {}
    std::span<std::byte> bytes() { return {storage[0].bytes, storage.size() * page_size}; }
    std::vector<PoolPage> storage;
};

Task<void> borrow(BouncePool& pool, u64 bytes, usize rounds, std::vector<u64>& order, u64 name, CancelToken cancel) {
    BounceLease lease;
    if (co_await pool.acquire(lease, bytes, cancel)) {
        order.push_back(name);
        for (usize round = 0; round < rounds; ++round) {
            co_await yield();
        }
    } else {
        order.push_back(name + 1000);
    }
}

Task<void> borrow_repeatedly(BouncePool& pool, u64 seed, CancelToken cancel, usize& finished) {
    std::mt19937_64 random(seed);
    for (usize round = 0; round < 50; ++round) {
        BounceLease lease;
        u64 wanted = 1 + random() % (64 * page_size);
        if (co_await pool.acquire(lease, wanted, cancel)) {
            u64 total = total_bytes(lease.segments());
            ASSERT(total == lease.size_bytes() && total > 0 && total <= wanted);
            for (const MemorySegment& segment : lease.segments()) {
                std::fill_n(segment.data, segment.size, static_cast<std::byte>(seed));
            }
            for (u64 yields = random() % 3; yields > 0; --yields) {
                co_await yield();
            }
            for (const MemorySegment& segment : lease.segments()) {
                for (usize at = 0; at < segment.size; at += 511) {
                    ASSERT(segment.data[at] == static_cast<std::byte>(seed));  // nobody else had it
                }
            }
        }
    }
    ++finished;
}

}  // namespace

TEST_CASE("a lease is contiguous where the pool is, and ends with the last byte that was wanted") {
    PoolMemory memory(70);
    BouncePool pool(memory.bytes());
    {
        BounceLease lease;
        REQUIRE(pool.try_acquire(lease, 3 * page_size + 512));
        REQUIRE(lease.segments().size() == 1);
        CHECK(lease.segments()[0].data == memory.bytes().data());
        CHECK(lease.segments()[0].size == 3 * page_size + 512);
        CHECK(pool.free_pages() == 66);
        BounceLease rest;
        REQUIRE(pool.try_acquire(rest, 100 * page_size));
        CHECK(rest.size_bytes() == 66 * page_size);
        BounceLease none;
        CHECK_FALSE(pool.try_acquire(none, 1));
        lease.release();
        CHECK(pool.free_pages() == 4);
        CHECK(pool.try_acquire(none, 1));
        CHECK(none.segments()[0].data == memory.bytes().data());
    }
    CHECK(pool.free_pages() == 70);
}

TEST_CASE("a fragmented pool lends single pages") {
    PoolMemory memory(64);
    BouncePool pool(memory.bytes());
    BounceLease leases[64];
    for (BounceLease& lease : leases) {
        REQUIRE(pool.try_acquire(lease, page_size));
    }
    for (usize index = 0; index < 64; index += 2) {
        leases[index].release();
    }
    BounceLease lease;
    CHECK(pool.try_acquire(lease, 64 * page_size));
    CHECK(lease.segments().size() == 32);
    CHECK(lease.size_bytes() == 32 * page_size);
}

TEST_CASE("who waits is served in order, and small requests do not overtake") {
    SimulatedProcessors processors(1);
    PoolMemory memory(8);
    BouncePool pool(memory.bytes());
    std::vector<u64> order;
    TaskGroup group;
    {
        CurrentExecutorScope scope(processors.executor(0));
        group.spawn(borrow(pool, 6 * page_size, 5, order, 1, {}));
        group.spawn(borrow(pool, 8 * page_size, 5, order, 2, {}));  // waits for all
        group.spawn(borrow(pool, page_size, 1, order, 3, {}));      // would fit, and waits its turn
        group.spawn(borrow(pool, 100 * page_size, 1, order, 4, {}));
        BounceLease lease;
        CHECK_FALSE(pool.try_acquire(lease, 1));
    }
    processors.run_until([&] { return group.running() == 0; });
    CHECK(order == std::vector<u64>{1, 2, 3, 4});
    CHECK(pool.wait_count() == 3);
}

TEST_CASE("a wait for bounce memory can be cancelled, and lets the next one through") {
    SimulatedProcessors processors(1);
    PoolMemory memory(4);
    BouncePool pool(memory.bytes());
    std::vector<u64> order;
    TaskGroup group;
    CancelSource source;
    {
        CurrentExecutorScope scope(processors.executor(0));
        group.spawn(borrow(pool, 2 * page_size, 50, order, 1, {}));
        group.spawn(borrow(pool, 4 * page_size, 1, order, 2, source.token()));
        group.spawn(borrow(pool, 2 * page_size, 1, order, 3, {}));
        source.cancel();
    }
    processors.run_until([&] { return group.running() == 0; });
    CHECK(order == std::vector<u64>{1, 1002, 3});
}

TEST_CASE("a crowd that wants more than there is comes to an end") {
    u64 seed = GENERATE(u64{0}, u64{3}, u64{4}, u64{5});
    SimulatedProcessors processors(1);
    processors.executor(0).set_scheduling_seed(seed);
    PoolMemory memory(7);
    BouncePool pool(memory.bytes());
    usize finished = 0;
    TaskGroup group;
    CancelSource source;
    {
        CurrentExecutorScope scope(processors.executor(0));
        for (u64 name = 0; name < 60; ++name) {
            group.spawn(
                borrow_repeatedly(pool, seed * 100 + name, name % 3 == 0 ? source.token() : CancelToken(), finished));
        }
        source.cancel();
    }
    processors.run_until([&] { return group.running() == 0; });
    CHECK(finished == 60);
    CHECK(pool.free_pages() == 7);
}

}  // namespace undercroft
