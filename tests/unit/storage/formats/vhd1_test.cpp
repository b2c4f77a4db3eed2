// Footers that another implementation wrote, ours read back, and every kind of damage with its message.
#include "storage/formats/vhd1.hpp"

#include <bit>
#include <catch2/catch.hpp>

namespace undercroft {
namespace {

using FooterBytes = std::array<std::byte, vhd1_footer_bytes>;

constexpr u64 size_bytes = 10 * mib;
constexpr u64 file_bytes = size_bytes + vhd1_footer_bytes;
constexpr std::array<std::byte, 16> id{std::byte{1}, std::byte{2}, std::byte{3}};

Vhd1Footer sound_footer() { return make_vhd1_footer(size_bytes, id, 1234); }

// With a right checksum, whatever was changed.
std::string problem_of(Vhd1Footer footer, u64 file = file_bytes) {
    footer.checksum = vhd1_checksum(footer);
    Result<Vhd1Info, std::string> parsed = parse_vhd1_footer(std::bit_cast<FooterBytes>(footer), file);
    return parsed ? "" : parsed.error();
}

}  // namespace

TEST_CASE("a VHD footer of ours reads back") {
    Result<Vhd1Info, std::string> info = parse_vhd1_footer(std::bit_cast<FooterBytes>(sound_footer()), file_bytes);
    REQUIRE(info.has_value());
    CHECK(info->size_bytes == size_bytes);
    CHECK(info->unique_id == id);
    CHECK(info->time_stamp == 1234);
    CHECK(info->creator == "win ");
    CHECK(!info->saved_state);
}

TEST_CASE("a VHD footer that another implementation wrote is understood") {
    // The footer of a 10 MiB image, from its first byte that is not zero to its last.
    constexpr u8 written[] = {0x63, 0x6f, 0x6e, 0x65, 0x63, 0x74, 0x69, 0x78, 0x00, 0x00, 0x00, 0x02, 0x00, 0x01,
                              0x00, 0x00, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x32, 0x94, 0x8c, 0xe6,
                              0x71, 0x65, 0x6d, 0x32, 0x00, 0x05, 0x00, 0x03, 0x57, 0x69, 0x32, 0x6b, 0x00, 0x00,
                              0x00, 0x00, 0x00, 0xa0, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xa0, 0x00, 0x00,
                              0xff, 0xff, 0x10, 0xff, 0x00, 0x00, 0x00, 0x02, 0xff, 0xff, 0xe3, 0x39, 0x5d, 0x8e,
                              0x61, 0x9c, 0x2a, 0x1b, 0x49, 0x9e, 0xa8, 0x6d, 0xcc, 0xdb, 0xbe, 0x97, 0xc4, 0x24};
    FooterBytes bytes{};
    for (usize index = 0; index < sizeof(written); ++index) {
        bytes[index] = std::byte{written[index]};
    }
    Result<Vhd1Info, std::string> info = parse_vhd1_footer(bytes, file_bytes);
    REQUIRE(info.has_value());
    CHECK(info->size_bytes == size_bytes);
    CHECK(info->creator == "qem2");
    CHECK(info->unique_id[0] == std::byte{0x5d});
}

TEST_CASE("the VHD geometry is that of other implementations") {
    struct Known {
        u64 bytes;
        u16 cylinders;
        u8 heads;
        u8 sectors_per_track;
    };
    const Known known[] = {{0x206800, 0x3d, 4, 17},          {0x503800, 0x97, 4, 17},
                           {0xa07000, 0x12e, 4, 17},         {0xc80c000, 0x33a, 16, 31},
                           {0x25878000, 0x4c4, 16, 63},      {0x10007a000, 0x2083, 16, 63},
                           {0x2240000000, 0xffff, 16, 0xff}, {0x7d00000000, 0xffff, 16, 0xff}};
    for (const Known& disk : known) {
        CAPTURE(disk.bytes);
        Vhd1Geometry geometry = vhd1_geometry(disk.bytes / vhd1_sector_bytes);
        CHECK(geometry.cylinders == disk.cylinders);
        CHECK(geometry.heads == disk.heads);
        CHECK(geometry.sectors_per_track == disk.sectors_per_track);
    }
}

TEST_CASE("every damaged bit of a VHD footer is noticed") {
    FooterBytes sound = std::bit_cast<FooterBytes>(sound_footer());
    for (usize bit = 0; bit < vhd1_footer_bytes * 8; ++bit) {
        FooterBytes damaged = sound;
        damaged[bit / 8] ^= std::byte{1} << (bit % 8);
        CAPTURE(bit);
        CHECK(!parse_vhd1_footer(damaged, file_bytes).has_value());
    }
}

TEST_CASE("a VHD footer that contradicts the file is refused with the reason") {
    CHECK(problem_of(sound_footer()).empty());
    CHECK(problem_of(sound_footer(), file_bytes - 512).find("was cut or extended") != std::string::npos);
    CHECK(problem_of(sound_footer(), file_bytes + 512).find("was cut or extended") != std::string::npos);
    CHECK(problem_of(sound_footer(), 100).find("too short") != std::string::npos);
    Vhd1Footer footer = sound_footer();
    footer.current_size = 0;
    CHECK(problem_of(footer, vhd1_footer_bytes).find("which no VHD can have") != std::string::npos);
    footer.current_size = ~u64{0};
    CHECK(problem_of(footer).find("which no VHD can have") != std::string::npos);
    footer.current_size = size_bytes + 1;
    CHECK(problem_of(footer, file_bytes + 1).find("which no VHD can have") != std::string::npos);
    footer = sound_footer();
    footer.disk_type = 3;
    CHECK(problem_of(footer).find("dynamic") != std::string::npos);
    footer.disk_type = 4;
    CHECK(problem_of(footer).find("differencing") != std::string::npos);
    footer.disk_type = 77;
    CHECK(problem_of(footer).find("disk type 77") != std::string::npos);
    footer = sound_footer();
    footer.format_version = 0x0002'0000;
    CHECK(problem_of(footer).find("version 2") != std::string::npos);
    footer = sound_footer();
    footer.cookie[0] = 'C';
    CHECK(problem_of(footer).find("this is no VHD") != std::string::npos);
}

}  // namespace undercroft
