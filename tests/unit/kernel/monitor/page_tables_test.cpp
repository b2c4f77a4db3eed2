// Page tables: large pages, splits, protections, and what a walk finds. Host addresses stand in for machine memory.
#include "kernel/monitor/page_tables.hpp"

#include <catch2/catch.hpp>
#include <memory>
#include <vector>

namespace undercroft::monitor {
namespace {

constexpr usize pool_pages = 64;

struct Fixture {
    std::vector<u8> memory = std::vector<u8>((pool_pages + 1) * page_size);
    PagePool pool;
    PageTables tables;

    explicit Fixture(usize pages = pool_pages) {
        u64 begin = align_up(reinterpret_cast<u64>(memory.data()), page_size);
        pool = PagePool(begin, begin + pages * page_size);
        REQUIRE(tables.create(pool, TableKind::nested).has_value());
    }
};

TEST_CASE("addresses map large where they can and small where they must", "[monitor]") {
    Fixture f;
    u64 before = f.pool.free_bytes();
    REQUIRE(f.tables.map(0, 14 * mib, 64 * mib, access_all).has_value());
    // A pointer table and one directory; no page table.
    CHECK(before - f.pool.free_bytes() == 2 * page_size);
    CHECK(f.tables.translate(0x12'3456)->machine == 14 * mib + 0x12'3456);
    REQUIRE(f.tables.map(64 * mib, 0x9000, 3 * page_size, access_data).has_value());
    CHECK(f.tables.translate(64 * mib + 2 * page_size + 5)->machine == 0xB005);
    CHECK_FALSE(f.tables.translate(64 * mib + 3 * page_size).has_value());
    CHECK_FALSE(f.tables.translate(u64{1} << 48).has_value());
}

TEST_CASE("protection of one page splits its large page and leaves the neighbours alone", "[monitor]") {
    Fixture f;
    REQUIRE(f.tables.map(0, 14 * mib, 4 * mib, access_all).has_value());
    REQUIRE(f.tables.protect(5 * page_size, {.read = true}).has_value());
    auto page = f.tables.translate(5 * page_size);
    CHECK(page->machine == 14 * mib + 5 * page_size);
    CHECK((page->access.read && !page->access.write && !page->access.execute));
    for (u64 neighbour : {4 * page_size, 6 * page_size, 2 * mib}) {
        auto other = f.tables.translate(neighbour);
        CHECK(other->machine == 14 * mib + neighbour);
        CHECK((other->access.read && other->access.write && other->access.execute));
    }
    // Taken away and given back: the machine address was kept.
    REQUIRE(f.tables.protect(5 * page_size, {}).has_value());
    CHECK_FALSE(f.tables.translate(5 * page_size)->access.read);
    REQUIRE(f.tables.protect(5 * page_size, access_all).has_value());
    CHECK(f.tables.translate(5 * page_size)->machine == 14 * mib + 5 * page_size);
}

TEST_CASE("what was never mapped cannot be protected", "[monitor]") {
    Fixture f;
    CHECK(f.tables.protect(0, access_all).error() == Error::not_found);
    REQUIRE(f.tables.map(0, 0, 2 * mib, access_all).has_value());
    CHECK(f.tables.protect(2 * mib, access_all).error() == Error::not_found);
    CHECK(f.tables.protect(1, access_all).error() == Error::invalid_argument);
    CHECK(f.tables.protect(~u64{0xFFF}, access_all).error() == Error::invalid_argument);
}

TEST_CASE("unaligned and overflowing ranges are refused, an empty pool says so", "[monitor]") {
    Fixture f(2);
    CHECK(f.tables.map(1, 0, page_size, access_all).error() == Error::invalid_argument);
    CHECK(f.tables.map(0, 0, 100, access_all).error() == Error::invalid_argument);
    CHECK(f.tables.map((u64{1} << 48) - page_size, 0, 2 * page_size, access_all).error() == Error::invalid_argument);
    CHECK(f.tables.map(0, 0, page_size, access_all).error() == Error::out_of_memory);
}

TEST_CASE("device memory is uncached and not executable", "[monitor]") {
    Fixture f;
    REQUIRE(f.tables.map(0x7000, 0xFEB0'0000, page_size, access_device).has_value());
    auto page = f.tables.translate(0x7000);
    CHECK((page->access.uncached && page->access.write && !page->access.execute));
}

}  // namespace
}  // namespace undercroft::monitor
