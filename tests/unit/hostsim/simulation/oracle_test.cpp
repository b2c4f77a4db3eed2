// The oracle's rules, one by one: what it lets pass, and what it does not.
#include "hostsim/simulation/oracle.hpp"

#include <array>
#include <catch2/catch.hpp>

namespace undercroft::simulation {
namespace {

/// An oracle of one sector, with operations that end as soon as they began.
struct Sector {
    explicit Sector(Unwritten unwritten = Unwritten::zeros) : oracle(4, unwritten) {}
    SectorOracle oracle;

    void write(Contents contents, bool succeeded = true, bool durable = false) {
        SectorOracle::WriteId id = oracle.begin_write(1, 1, contents);
        oracle.end_write(id, 1, 1, succeeded, durable);
    }
    void flush() { oracle.flushed(oracle.now()); }
    bool read(Contents contents) {
        u64 began = oracle.begin_read();
        bool possible = oracle.check_read(1, contents, began);
        oracle.end_read(began);
        return possible;
    }
    bool after_power_loss(Contents contents) const { return oracle.may_settle(1, contents); }
};

constexpr Contents garbage = garbage_flag | 5;

TEST_CASE("a write that succeeded replaces what was before") {
    Sector sector;
    REQUIRE(sector.read(zeros));
    REQUIRE_FALSE(sector.read(1));
    sector.write(1);
    REQUIRE(sector.read(1));
    REQUIRE_FALSE(sector.read(zeros));
    sector.write(2);
    REQUIRE_FALSE(sector.read(1));
    REQUIRE(sector.read(2));
    REQUIRE_FALSE(sector.read(garbage));
    REQUIRE_FALSE(sector.read(misplaced_flag | 2));
}

TEST_CASE("a write that failed may have happened, until somebody looks") {
    Sector sector;
    sector.write(1);
    sector.write(2, false);
    SECTION("it has not") {
        REQUIRE(sector.read(1));
        REQUIRE_FALSE(sector.read(2));
    }
    SECTION("it has") {
        REQUIRE(sector.read(2));
        REQUIRE_FALSE(sector.read(1));
    }
}

TEST_CASE("operations that overlap have no order") {
    Sector sector;
    u64 early = sector.oracle.begin_read();
    SectorOracle::WriteId first = sector.oracle.begin_write(1, 1, 1);
    SectorOracle::WriteId second = sector.oracle.begin_write(1, 1, 2);
    REQUIRE(sector.oracle.check_read(1, zeros, early));
    sector.oracle.end_write(second, 1, 1, true, false);
    sector.oracle.end_write(first, 1, 1, true, false);
    REQUIRE(sector.oracle.check_read(1, zeros, early));  // it began before either
    REQUIRE_FALSE(sector.read(zeros));
    REQUIRE(sector.read(1));
    REQUIRE_FALSE(sector.read(2));  // no going back
    REQUIRE(sector.oracle.check_read(1, 2, early));
}

TEST_CASE("after a power loss nothing is older than what is durable") {
    Sector sector;
    sector.write(1, true, true);
    sector.write(2);
    sector.write(3, false);
    REQUIRE_FALSE(sector.after_power_loss(zeros));
    REQUIRE(sector.after_power_loss(1));
    REQUIRE(sector.after_power_loss(2));
    REQUIRE(sector.after_power_loss(3));
    SECTION("a flush covers what had ended when it began") {
        sector.flush();
        REQUIRE_FALSE(sector.after_power_loss(1));
        REQUIRE(sector.after_power_loss(2));
        REQUIRE(sector.after_power_loss(3));
    }
    SECTION("a flush does not cover what was under way when it began") {
        u64 began = sector.oracle.now();
        sector.write(4);
        sector.oracle.flushed(began);
        REQUIRE_FALSE(sector.after_power_loss(1));
        REQUIRE(sector.after_power_loss(2));
        REQUIRE(sector.after_power_loss(4));
    }
    SECTION("what was found is what it holds") {
        sector.oracle.settle(1, 2);
        REQUIRE(sector.read(2));
        REQUIRE_FALSE(sector.read(3));
        REQUIRE_FALSE(sector.after_power_loss(1));
    }
}

TEST_CASE("an unspecified unmap reads always alike") {
    Sector sector;
    sector.write(1);
    Contents found = GENERATE(Contents{1}, zeros, garbage);
    SectorOracle::WriteId id = sector.oracle.begin_unspecified(1, 1);
    sector.oracle.end_write(id, 1, 1, true, false);
    REQUIRE_FALSE(sector.read(misplaced_flag | 3));
    REQUIRE(sector.read(found));
    REQUIRE(sector.read(found));
    REQUIRE_FALSE(sector.read(garbage_flag | 6));
}

TEST_CASE("what a smaller size took away does not come back") {
    Sector sector;
    sector.write(1, true, true);
    REQUIRE_FALSE(sector.oracle.is_unwritten(1));
    sector.oracle.dropped(1, 4);
    REQUIRE(sector.read(zeros));
    REQUIRE_FALSE(sector.read(1));
    REQUIRE_FALSE(sector.after_power_loss(1));
}

TEST_CASE("long histories are forgotten without loss") {
    Sector sector;
    for (Contents stamp = 1; stamp <= 40; ++stamp) {
        sector.write(stamp, true, stamp == 30);
        REQUIRE(sector.read(stamp));
    }
    REQUIRE_FALSE(sector.after_power_loss(29));
    REQUIRE(sector.after_power_loss(30));
    REQUIRE(sector.after_power_loss(35));
    REQUIRE(sector.after_power_loss(40));
}

TEST_CASE("contents tell what was torn, misplaced or made up") {
    std::array<std::byte, 512> bytes{};
    REQUIRE(contents_of(bytes, 7) == zeros);
    fill_sector(bytes, 12, 7);
    REQUIRE(contents_of(bytes, 7) == 12);
    REQUIRE(contents_of(bytes, 8) == (misplaced_flag | 7));
    bytes[300] ^= std::byte{1};
    REQUIRE(is_garbage(contents_of(bytes, 7)));
    bytes.fill(std::byte{0xdf});
    REQUIRE(is_garbage(contents_of(bytes, 7)));
}

}  // namespace
}  // namespace undercroft::simulation
