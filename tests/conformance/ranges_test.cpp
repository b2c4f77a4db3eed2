// Facts, ranges, lengths and read-only disks.
#include <catch2/catch.hpp>

#include "tests/conformance/suite.hpp"

namespace undercroft::test {

TEST_CASE("a disk's facts are sound") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        const DiskFacts& facts = fixture->disk->facts();
        CHECK(facts.sector_size >= 512);
        CHECK(facts.physical_sector_size >= facts.sector_size);
        CHECK(facts.optimal_unmap_sectors >= 1);
        CHECK_FALSE(facts.read_only);
        CHECK(fixture->disk->sector_count() == 512);
    }
}

TEST_CASE("the first and the last sector are there, the one behind is not") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        std::vector<std::byte> data = pattern(2 * fixture->sector_size(), 3);
        MemorySegment two{.data = data.data(), .size = data.size()};
        MemorySegment one{.data = data.data(), .size = data.size() / 2};
        const Disk& disk = *fixture->disk;
        CHECK(fixture->run(disk.write(0, {&one, 1})).has_value());
        CHECK(fixture->run(disk.write(510, {&two, 1})).has_value());
        for (u64 start : {u64{511}, u64{512}, u64{513}, ~u64{0}, ~u64{0} - 1, u64{1} << 63}) {
            CAPTURE(start);
            CHECK(error_of(fixture->run(disk.read(start, {&two, 1}))) == DiskError::illegal_block);
            CHECK(error_of(fixture->run(disk.write(start, {&two, 1}))) == DiskError::illegal_block);
            CHECK(error_of(fixture->run(disk.unmap({.start = start, .count = 2}))) == DiskError::illegal_block);
            CHECK(error_of(fixture->run(disk.write_zeroes({.start = start, .count = 2}, true))) ==
                  DiskError::illegal_block);
            CHECK(error_of(fixture->run(disk.block_status({.start = start, .count = 2}))) == DiskError::illegal_block);
        }
        for (u64 count : {u64{512}, ~u64{0}, ~u64{0} - 1}) {
            CHECK(error_of(fixture->run(disk.unmap({.start = 1, .count = count}))) == DiskError::illegal_block);
            CHECK(error_of(fixture->run(disk.write_zeroes({.start = 1, .count = count}, false))) ==
                  DiskError::illegal_block);
        }
        CHECK(read_all(*fixture, 510, 2) == data);
    }
}

TEST_CASE("a length that is no whole number of sectors is refused") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        std::vector<std::byte> data(2 * fixture->sector_size());
        for (usize size : {usize{1}, data.size() / 2 - 1, data.size() / 2 + 1, data.size() - 1}) {
            MemorySegment segment{.data = data.data(), .size = size};
            CHECK(error_of(fixture->run(fixture->disk->read(0, {&segment, 1}))) == DiskError::invalid_input);
            CHECK(error_of(fixture->run(fixture->disk->write(0, {&segment, 1}))) == DiskError::invalid_input);
        }
    }
}

TEST_CASE("zero sectors succeed up to the end") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        const Disk& disk = *fixture->disk;
        for (u64 start : {0u, 511u, 512u}) {
            CHECK(fixture->run(disk.read(start, {})).has_value());
            CHECK(fixture->run(disk.write(start, {})).has_value());
            CHECK(fixture->run(disk.unmap({.start = start, .count = 0})).has_value());
            CHECK(fixture->run(disk.write_zeroes({.start = start, .count = 0}, true)).has_value());
            CHECK(fixture->run(disk.block_status({.start = start, .count = 0}))->sectors == 0);
        }
        CHECK(error_of(fixture->run(disk.read(513, {}))) == DiskError::illegal_block);
    }
}

TEST_CASE("a read-only disk refuses every change before it looks at anything else") {
    FOR_EVERY_DISK(DiskRecipe{.read_only = true}) {
        if (!factory.makes_read_only) {
            continue;
        }
        std::vector<std::byte> data(fixture->sector_size());
        MemorySegment segment{.data = data.data(), .size = data.size()};
        const Disk& disk = *fixture->disk;
        CHECK(disk.facts().read_only);
        for (u64 start : {u64{0}, u64{512}, ~u64{0}}) {
            CHECK(error_of(fixture->run(disk.write(start, {&segment, 1}))) == DiskError::read_only);
            CHECK(error_of(fixture->run(disk.unmap({.start = start, .count = 1}))) == DiskError::read_only);
            CHECK(error_of(fixture->run(disk.write_zeroes({.start = start, .count = 1}, true))) ==
                  DiskError::read_only);
        }
        CHECK(fixture->run(disk.flush()).has_value());
        CHECK(fixture->run(disk.read(0, {&segment, 1})).has_value());
    }
}

TEST_CASE("eject is answered") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        DiskResult<void> result = fixture->run(fixture->disk->eject());
        CHECK((result.has_value() || result.error() == DiskError::unsupported_eject));
    }
}

}  // namespace undercroft::test
