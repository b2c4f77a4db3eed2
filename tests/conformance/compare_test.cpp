// Comparing a disk's contents with memory.
#include <catch2/catch.hpp>

#include "tests/conformance/suite.hpp"

namespace undercroft::test {

TEST_CASE("comparing finds the first byte that differs") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        std::mt19937_64 random(20);
        u64 sectors = 300;  // more than is compared in one piece
        usize size = sectors * fixture->sector_size();
        std::vector<std::byte> data = pattern(size, 21);
        write_all(*fixture, 5, data);
        SplitBuffer same(size, 9, random);
        same.bytes = data;
        CHECK(fixture->run(fixture->disk->compare(5, same.segments())).value().equal);
        for (usize place : {usize{0}, usize{1}, usize{fixture->sector_size()}, size / 2 + 3, size - 1}) {
            CAPTURE(place);
            SplitBuffer other(size, 9, random);
            other.bytes = data;
            other.bytes[place] ^= std::byte{0x40};
            other.bytes[size - 1] ^= std::byte{0x01};
            Comparison result = fixture->run(fixture->disk->compare(5, other.segments())).value();
            CHECK_FALSE(result.equal);
            CHECK(result.first_difference_bytes == place);
        }
        REQUIRE(fixture->run(fixture->disk->write_zeroes({.start = 10, .count = 20}, true)).has_value());
        MemorySegment zeros{.data = data.data(), .size = usize{20} * fixture->sector_size()};
        CHECK_FALSE(fixture->run(fixture->disk->compare(10, {&zeros, 1})).value().equal);
        std::fill(data.begin(), data.end(), std::byte{0});
        CHECK(fixture->run(fixture->disk->compare(10, {&zeros, 1})).value().equal);
    }
}

TEST_CASE("comparing keeps to the range") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        std::vector<std::byte> data(2 * fixture->sector_size());
        MemorySegment two{.data = data.data(), .size = data.size()};
        MemorySegment uneven{.data = data.data(), .size = data.size() - 1};
        CHECK(error_of(fixture->run(fixture->disk->compare(511, {&two, 1}))) == DiskError::illegal_block);
        CHECK(error_of(fixture->run(fixture->disk->compare(~u64{0}, {&two, 1}))) == DiskError::illegal_block);
        CHECK(error_of(fixture->run(fixture->disk->compare(0, {&uneven, 1}))) == DiskError::invalid_input);
        CHECK(fixture->run(fixture->disk->compare(512, {})).value().equal);
    }
}

}  // namespace undercroft::test
