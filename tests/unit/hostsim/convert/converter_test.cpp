// Copies between RAM disks under virtual time: contents, holes, sector sizes, stopping and going on, faults.
#include "hostsim/convert/converter.hpp"

#include <catch2/catch.hpp>
#include <random>

#include "hostsim/convert/convert_state.hpp"
#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/ram_disk.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft::test {
namespace {

class Watcher final : public ConvertObserver {
public:
    void progress(const ConvertProgress& progress) override {
        last = progress;
        if (progress.done_bytes >= stop_at && source != nullptr) {
            source->cancel();
        }
    }
    Result<void, std::string> checkpoint(u64 done_bytes) override {
        REQUIRE(done_bytes >= checkpoint_bytes);
        checkpoint_bytes = done_bytes;
        return {};
    }
    ConvertProgress last;
    u64 checkpoint_bytes = 0;
    u64 stop_at = ~u64{0};
    CancelSource* source = nullptr;
};

struct Fixture {
    SimulatedProcessors processors{1};

    Disk ram(u64 bytes, u32 sector_size = 512) {
        return Disk::create(
                   RamDisk::create({.sectors = bytes / sector_size, .sector_size = sector_size, .id = {}}).value())
            .value();
    }
    template <typename T>
    T run(Task<T> task) {
        return processors.run(std::move(task), 0, processors.now_ns() + 3600 * nanoseconds_per_second);
    }
    // Data, zeros that are stored, and holes.
    Disk filled(u64 bytes, u32 sector_size = 512) {
        Disk disk = ram(bytes, sector_size);
        std::mt19937_64 random(7);
        std::vector<std::byte> data(bytes / 16);
        for (u64 part = 0; part < 16; part += 1 + random() % 3) {
            for (std::byte& byte : data) {
                byte = part % 4 == 3 ? std::byte{0} : static_cast<std::byte>(random());
            }
            MemorySegment segment{.data = data.data(), .size = data.size()};
            REQUIRE(run(disk.write(part * data.size() / sector_size, {&segment, 1})).has_value());
        }
        return disk;
    }
    bool same(const Disk& left, const Disk& right) {
        Watcher watcher;
        return run(verify(left, right, {}, watcher, {})).has_value();
    }
};

}  // namespace

TEST_CASE("a copy holds what the source holds, and keeps its holes") {
    Fixture fixture;
    for (u32 source_sector : {512u, 4096u}) {
        for (u32 target_sector : {512u, 4096u}) {
            Disk source = fixture.filled(4 * mib, source_sector);
            Disk target = fixture.ram(4 * mib, target_sector);
            Watcher watcher;
            auto copied = fixture.run(convert(source, target, {.piece_bytes = 192 * kib}, watcher, {}));
            REQUIRE(copied.has_value());
            CHECK(copied->copied_bytes + copied->zero_bytes == 4 * mib);
            CHECK(copied->zero_bytes > 0);
            CHECK(watcher.checkpoint_bytes == 4 * mib);
            CHECK(fixture.same(source, target));
            u64 hole = 0;
            for (u64 at = 0; at < target.sector_count();) {
                BlockStatus status =
                    fixture.run(target.block_status({.start = at, .count = target.sector_count() - at})).value();
                hole += status.state == BlockState::zero ? status.sectors * target_sector : 0;
                at += status.sectors;
            }
            CHECK(hole == copied->zero_bytes);
        }
    }
}

TEST_CASE("a copy overwrites what the target held, and can write zeros out") {
    Fixture fixture;
    for (bool keep_holes : {false, true}) {
        Disk source = fixture.filled(2 * mib);
        Disk target = fixture.ram(3 * mib);
        std::vector<std::byte> old(3 * mib, std::byte{0xaa});
        MemorySegment segment{.data = old.data(), .size = old.size()};
        REQUIRE(fixture.run(target.write(0, {&segment, 1})).has_value());
        Watcher watcher;
        REQUIRE(fixture.run(convert(source, target, {.keep_holes = keep_holes}, watcher, {})).has_value());
        CHECK(fixture.same(source, target));
        std::byte behind[512];
        MemorySegment last{.data = behind, .size = sizeof(behind)};
        REQUIRE(fixture.run(target.read(2 * mib / 512, {&last, 1})).has_value());
        CHECK(behind[0] == std::byte{0xaa});
    }
}

TEST_CASE("disks that do not fit are refused with the reason") {
    Fixture fixture;
    Watcher watcher;
    auto refusal = [&](const Disk& source, const Disk& target) {
        auto copied = fixture.run(convert(source, target, {}, watcher, {}));
        REQUIRE(!copied.has_value());
        return copied.error();
    };
    CHECK(refusal(fixture.ram(2 * mib), fixture.ram(1 * mib)).find("fewer than") != std::string::npos);
    CHECK(refusal(fixture.ram(1 * mib + 512), fixture.ram(2 * mib, 4096)).find("smaller sectors") != std::string::npos);
    Disk read_only = Disk::create(RamDisk::create({.sectors = 2048, .read_only = true, .id = {}}).value()).value();
    CHECK(refusal(fixture.ram(1 * mib), read_only).find("read-only") != std::string::npos);
}

TEST_CASE("a copy that is stopped goes on from its last checkpoint") {
    Fixture fixture;
    Disk source = fixture.filled(4 * mib);
    for (u64 stop_at : {u64{1}, 1 * mib, 3 * mib}) {
        Disk target = fixture.ram(4 * mib);
        CancelSource cancel;
        Watcher watcher;
        watcher.stop_at = stop_at;
        watcher.source = &cancel;
        ConvertOptions options{.depth = 3, .piece_bytes = 64 * kib, .checkpoint_bytes = 256 * kib};
        auto stopped = fixture.run(convert(source, target, options, watcher, cancel.token()));
        REQUIRE(!stopped.has_value());
        CHECK(stopped.error() == "cancelled");
        REQUIRE(watcher.checkpoint_bytes < 4 * mib);
        options.start_bytes = watcher.checkpoint_bytes;
        Watcher again;
        again.checkpoint_bytes = watcher.checkpoint_bytes;
        auto copied = fixture.run(convert(source, target, options, again, {}));
        REQUIRE(copied.has_value());
        CHECK(copied->copied_bytes + copied->zero_bytes == 4 * mib - watcher.checkpoint_bytes);
        CHECK(fixture.same(source, target));
    }
}

TEST_CASE("a difference is found, with its place") {
    Fixture fixture;
    Disk source = fixture.filled(1 * mib);
    Disk target = fixture.ram(1 * mib);
    Watcher watcher;
    REQUIRE(fixture.run(convert(source, target, {}, watcher, {})).has_value());
    std::byte bytes[512]{};
    MemorySegment segment{.data = bytes, .size = sizeof(bytes)};
    REQUIRE(fixture.run(target.read(700, {&segment, 1})).has_value());
    bytes[5] ^= std::byte{1};
    REQUIRE(fixture.run(target.write(700, {&segment, 1})).has_value());
    auto verified = fixture.run(verify(source, target, {}, watcher, {}));
    REQUIRE(!verified.has_value());
    CHECK(verified.error() == "they differ at byte " + std::to_string(700 * 512 + 5));
}

TEST_CASE("the note of a copy reads back, and nothing else is taken for one") {
    ConvertState state{.source = "file:a b;direct", .target = "vhd1:c", .total_bytes = 1000, .done_bytes = 512};
    std::string text = convert_state_text(state);
    std::optional<ConvertState> back = parse_convert_state(text);
    REQUIRE(back.has_value());
    CHECK(back->source == state.source);
    CHECK(back->target == state.target);
    CHECK(back->done_bytes == 512);
    for (usize size = 0; size < text.size(); ++size) {
        CHECK(!parse_convert_state(text.substr(0, size)).has_value());
    }
    CHECK(!parse_convert_state(text + "x").has_value());
    state.done_bytes = 2000;
    CHECK(!parse_convert_state(convert_state_text(state)).has_value());
}

}  // namespace undercroft::test
