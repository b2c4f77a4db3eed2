// Zeros and holes: unmap, write zeroes, block status.
#include <catch2/catch.hpp>

#include "tests/conformance/suite.hpp"

namespace undercroft::test {

TEST_CASE("unmap does what the facts promise") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        u32 sector_size = fixture->sector_size();
        std::vector<std::byte> data = pattern(64 * sector_size, 9);
        write_all(*fixture, 32, data);
        REQUIRE(fixture->run(fixture->disk->unmap({.start = 40, .count = 11})).has_value());
        std::vector<std::byte> after = read_all(*fixture, 32, 64);
        auto sector = [&](std::vector<std::byte>& bytes, u64 index) {
            return std::vector<std::byte>(bytes.begin() + static_cast<std::ptrdiff_t>(index * sector_size),
                                          bytes.begin() + static_cast<std::ptrdiff_t>((index + 1) * sector_size));
        };
        std::vector<std::byte> zeros(sector_size);
        for (u64 index = 0; index < 64; ++index) {
            bool unmapped = index >= 8 && index < 19;
            UnmapBehavior behavior = fixture->disk->facts().unmap;
            if (!unmapped || behavior == UnmapBehavior::ignored) {
                CHECK(sector(after, index) == sector(data, index));
            } else if (behavior == UnmapBehavior::zeroes) {
                CHECK(sector(after, index) == zeros);
            }
        }
        CHECK(read_all(*fixture, 32, 64) == after);  // whatever they read as, they read as always
        write_all(*fixture, 45, pattern(sector_size, 10));
        CHECK(read_all(*fixture, 45, 1) == pattern(sector_size, 10));
    }
}

TEST_CASE("written zeroes are read as zeros") {
    bool allow_unmap = GENERATE(false, true);
    ForceUnitAccess fua = GENERATE(ForceUnitAccess::no, ForceUnitAccess::yes);
    FOR_EVERY_DISK(DiskRecipe{}) {
        u32 sector_size = fixture->sector_size();
        std::vector<std::byte> data = pattern(200 * sector_size, 11);
        write_all(*fixture, 100, data);
        REQUIRE(fixture->run(fixture->disk->write_zeroes({.start = 110, .count = 150}, allow_unmap, fua)).has_value());
        std::fill_n(data.begin() + 10 * sector_size, 150 * sector_size, std::byte{0});
        CHECK(read_all(*fixture, 100, 200) == data);
    }
}

TEST_CASE("what block status says is true") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        u32 sector_size = fixture->sector_size();
        bool knows_holes = fixture->disk->facts().knows_holes;
        write_all(*fixture, 10, pattern(5 * sector_size, 12));
        write_all(*fixture, 300, pattern(50 * sector_size, 13));
        REQUIRE(fixture->run(fixture->disk->unmap({.start = 310, .count = 7})).has_value());
        for (u64 sector = 0; sector < 512;) {
            DiskResult<BlockStatus> status =
                fixture->run(fixture->disk->block_status({.start = sector, .count = 512 - sector}));
            REQUIRE(status.has_value());
            REQUIRE(status->sectors >= 1);
            REQUIRE(status->sectors <= 512 - sector);
            for (u64 index = sector; index < sector + status->sectors; ++index) {
                bool written =
                    (index >= 10 && index < 15) || (index >= 300 && index < 350 && (index < 310 || index >= 317));
                CAPTURE(index);
                if (written) {
                    CHECK(status->state != BlockState::zero);
                }
                if (knows_holes) {
                    CHECK(status->state == (written ? BlockState::data : BlockState::zero));
                }
            }
            if (status->state == BlockState::zero) {
                CHECK(read_all(*fixture, sector, status->sectors) ==
                      std::vector<std::byte>(status->sectors * sector_size));
            }
            sector += status->sectors;
        }
    }
}

}  // namespace undercroft::test
