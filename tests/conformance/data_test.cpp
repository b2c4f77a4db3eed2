// What is written is read: in one piece, in parts, in any segments, and after a flush.
#include <catch2/catch.hpp>

#include "tests/conformance/suite.hpp"

namespace undercroft::test {

TEST_CASE("what is written is read, in one piece or in parts") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        u32 sector_size = fixture->sector_size();
        std::vector<std::byte> data = pattern(64 * sector_size, 1);
        write_all(*fixture, 100, data);
        CHECK(read_all(*fixture, 100, 64) == data);
        for (u64 sector : {0u, 1u, 31u, 63u}) {
            std::vector<std::byte> one = read_all(*fixture, 100 + sector, 1);
            CHECK(std::equal(one.begin(), one.end(), data.begin() + static_cast<std::ptrdiff_t>(sector * sector_size)));
        }
        write_all(*fixture, 110, pattern(sector_size, 2));
        CHECK(read_all(*fixture, 110, 1) == pattern(sector_size, 2));
        CHECK(read_all(*fixture, 0, 512).size() == 512u * sector_size);
    }
}

TEST_CASE("flush and FUA succeed, and writes are there after them") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        std::vector<std::byte> data = pattern(8 * fixture->sector_size(), 5);
        write_all(*fixture, 8, data, ForceUnitAccess::yes);
        CHECK(fixture->run(fixture->disk->flush()).has_value());
        CHECK(read_all(*fixture, 8, 8) == data);
    }
}

TEST_CASE("segments may be of any length and split sectors anywhere") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        std::mt19937_64 random(7);
        for (usize round = 0; round < 40; ++round) {
            u64 sectors = 1 + random() % 40;
            u64 start = random() % (512 - sectors);
            usize size = sectors * fixture->sector_size();
            SplitBuffer out(size, random() % 60, random);
            out.fill(random);
            REQUIRE(fixture->run(fixture->disk->write(start, out.segments())).has_value());
            SplitBuffer in(size, random() % 60, random);
            REQUIRE(fixture->run(fixture->disk->read(start, in.segments())).has_value());
            CHECK(in.bytes == out.bytes);
        }
    }
}

TEST_CASE("a sector may come in segments of one byte") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        std::vector<std::byte> data = pattern(2 * fixture->sector_size(), 8);
        std::vector<MemorySegment> segments;
        for (std::byte& byte : data) {
            segments.push_back({.data = &byte, .size = 1});
        }
        std::vector<std::byte> expected = data;
        REQUIRE(fixture->run(fixture->disk->write(3, segments)).has_value());
        std::fill(data.begin(), data.end(), std::byte{0});
        REQUIRE(fixture->run(fixture->disk->read(3, segments)).has_value());
        CHECK(data == expected);
    }
}

}  // namespace undercroft::test
