// Fixed VHD files: made, opened, and damaged in every way, after which they are byte for byte as before.
#include "hostsim/backends/vhd1_disk.hpp"

#include "tests/unit/hostsim/backends/backend_fixture.hpp"

namespace undercroft::test {

TEST_CASE("a VHD that is made is opened again, and its footer stays") {
    BackendFixture fixture;
    std::string path = fixture.folder / "disk.vhd";
    std::array<std::byte, 16> id{};
    {
        Disk disk = fixture.open(open_vhd1_disk(path, {.create_bytes = 1 * mib}));
        CHECK(disk.sector_count() == 2048);
        REQUIRE(disk.facts().id.has_value());
        id = *disk.facts().id;
        CHECK(std::filesystem::file_size(path) == 1 * mib + vhd1_footer_bytes);
        REQUIRE(fixture.write(disk, 2040, 0x77, 8).has_value());
        CHECK(fixture.write(disk, 2041, 0x77, 8).error() == DiskError::illegal_block);
        REQUIRE(fixture.run(disk.unmap({.start = 2047, .count = 1})).has_value());
    }
    Disk disk = fixture.open(open_vhd1_disk(path, {.direct = true, .read_only = true}));
    CHECK(disk.facts().id == id);
    CHECK(fixture.read(disk, 2040, 7) == 0x77);
    CHECK(fixture.read(disk, 2047) == 0);
    CHECK(disk.facts().read_only);
}

TEST_CASE("a VHD cannot be made over something, or with a size that the format has not") {
    BackendFixture fixture;
    std::string path = fixture.folder / "disk.vhd";
    CHECK(contains(fixture.refusal(open_vhd1_disk(path, {.create_bytes = 0})), "whole sectors"));
    CHECK(contains(fixture.refusal(open_vhd1_disk(path, {.create_bytes = 1000})), "whole sectors"));
    CHECK(contains(fixture.refusal(open_vhd1_disk(path, {.create_bytes = 3000 * gib})), "at most 2040 GiB"));
    CHECK(!std::filesystem::exists(path));
    (void)fixture.open(open_vhd1_disk(path, {.create_bytes = 4096}));
    CHECK(contains(fixture.refusal(open_vhd1_disk(path, {.create_bytes = 8192})), "exists already with 4096 bytes"));
    (void)fixture.open(open_vhd1_disk(path, {.create_bytes = 4096}));
}

TEST_CASE("a damaged VHD is refused and left as it was") {
    BackendFixture fixture;
    std::string path = fixture.folder / "disk.vhd";
    (void)fixture.open(open_vhd1_disk(path, {.create_bytes = 64 * kib}));
    std::string sound = file_text(path);
    std::vector<std::string> damaged;
    for (usize at = sound.size() - vhd1_footer_bytes; at < sound.size(); at += 7) {
        std::string copy = sound;
        copy[at] = static_cast<char>(copy[at] ^ 0x20);
        damaged.push_back(copy);
    }
    for (usize size : {usize{0}, usize{1}, usize{511}, usize{512}, sound.size() - 1, sound.size() - 512}) {
        damaged.push_back(sound.substr(0, size));
    }
    damaged.push_back(sound + std::string(512, '\0'));
    damaged.push_back(sound.substr(512));
    for (const std::string& text : damaged) {
        set_file_text(path, text);
        CHECK(!fixture.refusal(open_vhd1_disk(path, {})).empty());
        CHECK(!fixture.refusal(open_vhd1_disk(path, {.create_bytes = 64 * kib})).empty());
        CHECK(file_text(path) == text);
    }
    set_file_text(path, sound);
    CHECK(fixture.run(open_vhd1_disk(path, {})).has_value());
}

}  // namespace undercroft::test
