// Resizing at the bottom, and waiting for it at the top.
#include <catch2/catch.hpp>

#include "kernel/async/task_group.hpp"
#include "tests/conformance/suite.hpp"

namespace undercroft::test {

namespace {
Task<void> watch_size(const Disk& disk, u64 known, CancelToken cancel, std::optional<DiskResult<u64>>& result) {
    result = co_await disk.wait_for_resize(known, cancel);
}
Task<DiskResult<void>> resize_while_watched(DiskFixture& fixture, std::optional<DiskResult<u64>>& grown,
                                            std::optional<DiskResult<u64>>& again) {
    TaskGroup group;
    group.spawn(watch_size(*fixture.disk, 512, {}, grown));
    group.spawn(watch_size(*fixture.disk, 512, group.token(), again));
    co_await yield();
    if (grown || again) {
        co_return fail(DiskError::invalid_input);
    }
    fixture.resize(600);
    (void)co_await group.join({.deadline_ns = Executor::current().now_ns() + 60 * nanoseconds_per_second});
    group.stop();
    (void)co_await group.join();
    co_return DiskResult<void>{};
}
Task<DiskResult<void>> cancel_while_watched(DiskFixture& fixture, std::optional<DiskResult<u64>>& result) {
    TaskGroup group;
    group.spawn(watch_size(*fixture.disk, fixture.disk->sector_count(), group.token(), result));
    co_await yield();
    group.stop();
    (void)co_await group.join();
    co_return DiskResult<void>{};
}
}  // namespace

TEST_CASE("a resize at the bottom arrives at the top") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        if (!fixture->resize) {
            continue;
        }
        u32 sector_size = fixture->sector_size();
        write_all(*fixture, 500, pattern(12 * sector_size, 14));
        std::optional<DiskResult<u64>> first;
        std::optional<DiskResult<u64>> second;
        REQUIRE(fixture->run(resize_while_watched(*fixture, first, second)).has_value());
        REQUIRE((first && second));
        CHECK(first->value() == 600);
        CHECK(second->value() == 600);
        CHECK(fixture->disk->sector_count() == 600);
        CHECK(fixture->run(fixture->disk->wait_for_resize(512)).value() == 600);
        write_all(*fixture, 599, pattern(sector_size, 15));
        fixture->resize(504);
        CHECK(fixture->run(fixture->disk->wait_for_resize(600)).value() == 504);
        std::vector<std::byte> one(sector_size);
        MemorySegment segment{.data = one.data(), .size = one.size()};
        CHECK(error_of(fixture->run(fixture->disk->read(504, {&segment, 1}))) == DiskError::illegal_block);
        fixture->resize(600);
        CHECK(fixture->run(fixture->disk->wait_for_resize(504)).value() == 600);
        if (fixture->disk->facts().knows_holes) {
            CHECK(read_all(*fixture, 504, 96) ==
                  std::vector<std::byte>(96 * sector_size));  // shrinking dropped it for good
        }
    }
}

TEST_CASE("waiting for a resize can be cancelled") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        std::optional<DiskResult<u64>> result;
        REQUIRE(fixture->run(cancel_while_watched(*fixture, result)).has_value());
        REQUIRE(result);
        CHECK(error_of(*result) == DiskError::cancelled);
    }
}

}  // namespace undercroft::test
