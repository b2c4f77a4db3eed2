// Media that come and go while the controller works: a command ends with the medium that it was checked against.
#include "tests/unit/storage/frontends/floppy/floppy_fixture.hpp"

namespace undercroft::test {
namespace {

constexpr u64 sectors_1440k = 2880;
constexpr u64 sectors_360k = 720;
const Bytes write_sector_9{0xC5, 0x00, 0, 0, 9, 2, 18, 0x1B, 0xFF};
const Bytes end_behind_sector_9{0x00, 0x00, 0x00, 0, 0, 10, 2};

void offer(Fdc& fdc, u16 bytes, u8 seed) {
    Bytes data = Fdc::pattern(bytes, seed);
    std::memcpy(fdc.memory.at(0x30000), data.data(), data.size());
    fdc.program_dma(0x4A, 0x30000, bytes);
}

/// Nobody but the test has the disk any more.
bool is_released(const Fdc& fdc) { return fdc.disk.use_count() == 1; }

TEST_CASE("Floppy: what is written reaches the medium that was in the drive when the command began") {
    Fdc fdc;
    fdc.reset();
    offer(fdc, 512, 7);
    fdc.begin(write_sector_9);
    bool read_only = GENERATE(false, true);
    auto other = fdc.change_medium(read_only ? sectors_1440k : sectors_360k, read_only);
    fdc.time.pass(1000);
    CHECK(fdc.result() == end_behind_sector_9);  // of 18 in the track, whatever the new medium has
    CHECK(fdc.medium(8, 512) == Fdc::pattern(512, 7));
    CHECK(other->writes == 0);
    CHECK(is_released(fdc));
}

TEST_CASE("Floppy: a track is formatted, and a sector read, on the medium of the command") {
    Fdc fdc;
    fdc.reset();
    fdc.program_dma(0x4A, 0x30000, 18 * 4);
    fdc.begin({0x4D, 0x00, 2, 18, 0x6C, 0xF6});
    auto other = fdc.change_medium(sectors_1440k);
    fdc.time.pass(1000);
    CHECK((fdc.result().at(0) & 0xC0) == 0x00);
    CHECK(fdc.medium(0, 18 * 512) == Bytes(18 * 512, 0xF6));
    CHECK(other->writes == 0);
    fdc.program_dma(0x46, 0x20000, 512);
    fdc.begin({0xE6, 0x00, 0, 0, 1, 2, 18, 0x1B, 0xFF});
    REQUIRE(fdc.controller.remove(0));
    fdc.time.pass(1000);
    CHECK((fdc.result().at(0) & 0xC0) == 0x00);
    CHECK(other->reads == 1);
    CHECK(other.use_count() == 1);
}

TEST_CASE("Floppy: data through the FIFO stay with their medium, and a reset gives it back") {
    Fdc fdc;
    fdc.reset();
    fdc.command({0x03, 0xDF, 0x03});
    fdc.begin({0x45, 0x00, 0, 0, 2, 2, 2, 0x1B, 0xFF});
    auto other = fdc.change_medium(sectors_1440k);
    SECTION("written to the end") {
        for (u8 byte : Fdc::pattern(512, 4)) {
            out8(fdc.bus, 0x3F5, byte);
        }
        fdc.time.pass(1000);
        CHECK(fdc.result().size() == 7);
        CHECK(fdc.medium(1, 512) == Fdc::pattern(512, 4));
    }
    SECTION("reset in the middle") {
        CHECK_FALSE(is_released(fdc));
        fdc.reset();
    }
    CHECK(other->writes == 0);
    CHECK(is_released(fdc));
}

TEST_CASE("Floppy: a reset before the work began gives the medium back") {
    Fdc fdc;
    fdc.reset();
    offer(fdc, 512, 7);
    fdc.begin(write_sector_9);
    auto other = fdc.change_medium(sectors_1440k);
    CHECK_FALSE(is_released(fdc));
    fdc.reset();
    CHECK(is_released(fdc));
    CHECK(fdc.disk->writes + other->writes == 0);
    // The channel has nothing left to give: the command ends before any work.
    fdc.begin(write_sector_9);
    CHECK((fdc.result().at(0) & 0xC0) == 0x40);
    REQUIRE(fdc.controller.remove(0));
    CHECK(other.use_count() == 1);
}

}  // namespace
}  // namespace undercroft::test
