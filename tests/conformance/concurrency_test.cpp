// Cancelled and overlapping operations, and long histories.
#include <catch2/catch.hpp>

#include "kernel/async/task_group.hpp"
#include "tests/conformance/suite.hpp"

namespace undercroft::test {

TEST_CASE("an operation that was cancelled before it began ends") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        CancelSource source;
        source.cancel();
        std::vector<std::byte> data(64 * fixture->sector_size());
        MemorySegment segment{.data = data.data(), .size = data.size()};
        const Disk& disk = *fixture->disk;
        auto ended_well = [](auto&& result) { return result.has_value() || result.error() == DiskError::cancelled; };
        CHECK(ended_well(fixture->run(disk.read(0, {&segment, 1}, source.token()))));
        CHECK(ended_well(fixture->run(disk.write(0, {&segment, 1}, ForceUnitAccess::no, source.token()))));
        CHECK(ended_well(fixture->run(disk.flush(source.token()))));
        CHECK(ended_well(fixture->run(disk.unmap({.start = 0, .count = 8}, source.token()))));
        CHECK(ended_well(
            fixture->run(disk.write_zeroes({.start = 0, .count = 8}, false, ForceUnitAccess::no, source.token()))));
        CHECK(ended_well(fixture->run(disk.block_status({.start = 0, .count = 8}, source.token()))));
    }
}

namespace {

struct Writer {
    const Disk& disk;
    u64 sector;
    SplitBuffer& buffer;
    usize& failures;
};
Task<void> write_once(Writer writer) {
    if (!co_await writer.disk.write(writer.sector, writer.buffer.segments())) {
        ++writer.failures;
    }
}
Task<void> read_once(Writer reader) {
    if (!co_await reader.disk.read(reader.sector, reader.buffer.segments())) {
        ++reader.failures;
    }
}
Task<DiskResult<void>> overlap(const Disk& disk, std::vector<std::unique_ptr<SplitBuffer>>& writes,
                               std::vector<std::unique_ptr<SplitBuffer>>& reads, usize& failures) {
    TaskGroup group;
    for (usize index = 0; index < writes.size(); ++index) {
        group.spawn(write_once({.disk = disk, .sector = index, .buffer = *writes[index], .failures = failures}));
        group.spawn(read_once({.disk = disk, .sector = index, .buffer = *reads[index], .failures = failures}));
    }
    (void)co_await group.join();
    co_return DiskResult<void>{};
}

}  // namespace

TEST_CASE("operations that overlap leave every sector whole") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        constexpr usize writers = 24;
        constexpr usize sectors = 20;
        u32 sector_size = fixture->sector_size();
        std::mt19937_64 random(16);
        std::vector<std::unique_ptr<SplitBuffer>> writes;
        std::vector<std::unique_ptr<SplitBuffer>> reads;
        for (usize index = 0; index < writers; ++index) {
            writes.push_back(std::make_unique<SplitBuffer>(sectors * sector_size, 5, random));
            reads.push_back(std::make_unique<SplitBuffer>(sectors * sector_size, 5, random));
            std::fill(writes.back()->bytes.begin(), writes.back()->bytes.end(), static_cast<std::byte>(index + 1));
        }
        write_all(*fixture, 0, std::vector<std::byte>((writers + sectors) * sector_size));
        usize failures = 0;
        REQUIRE(fixture->run(overlap(*fixture->disk, writes, reads, failures)).has_value());
        CHECK(failures == 0);
        auto check_whole = [&](std::span<const std::byte> bytes, u64 first_sector, bool may_be_zero) {
            for (u64 index = 0; index < bytes.size() / sector_size; ++index) {
                std::span<const std::byte> one = bytes.subspan(index * sector_size, sector_size);
                bool whole = std::all_of(one.begin(), one.end(), [&](std::byte byte) { return byte == one[0]; });
                CHECK(whole);
                u64 writer = std::to_integer<u64>(one[0]);
                u64 sector = first_sector + index;
                bool from_a_writer = writer >= 1 && writer - 1 <= sector && sector < writer - 1 + sectors;
                CHECK((from_a_writer || (may_be_zero && writer == 0)));
            }
        };
        check_whole(read_all(*fixture, 0, writers + sectors - 1), 0, false);
        for (usize index = 0; index < writers; ++index) {
            check_whole(reads[index]->bytes, index, true);
        }
    }
}

TEST_CASE("a long random history agrees with a plain array") {
    u64 seed = GENERATE(u64{1}, u64{2}, u64{3});
    FOR_EVERY_DISK(DiskRecipe{}) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        u32 sector_size = fixture->sector_size();
        const Disk& disk = *fixture->disk;
        DiskModel model(512, sector_size);
        if (disk.facts().knows_holes) {
            model.set_zero(0, 512);
        }
        for (usize step = 0; step < 400; ++step) {
            u64 count = 1 + random() % (random() % 4 == 0 ? 120 : 12);
            u64 start = random() % (512 - count + 1);
            SectorRange range{.start = start, .count = count};
            switch (random() % 8) {
            case 0:
            case 1:
            case 2: {
                SplitBuffer buffer(count * sector_size, random() % 8, random);
                buffer.fill(random);
                auto fua = random() % 4 == 0 ? ForceUnitAccess::yes : ForceUnitAccess::no;
                REQUIRE(fixture->run(disk.write(start, buffer.segments(), fua)).has_value());
                model.set(start, buffer.bytes);
                break;
            }
            case 3:
                REQUIRE(fixture->run(disk.unmap(range)).has_value());
                if (disk.facts().unmap == UnmapBehavior::zeroes) {
                    model.set_zero(start, count);
                } else if (disk.facts().unmap == UnmapBehavior::unspecified) {
                    model.forget(start, count);
                }
                break;
            case 4:
                REQUIRE(fixture->run(disk.write_zeroes(range, random() % 2 == 0)).has_value());
                model.set_zero(start, count);
                break;
            case 5: {
                DiskResult<BlockStatus> status = fixture->run(disk.block_status(range));
                REQUIRE(status.has_value());
                REQUIRE((status->sectors >= 1 && status->sectors <= count));
                for (u64 index = 0; status->state == BlockState::zero && index < status->sectors; ++index) {
                    REQUIRE((!model.is_known(start + index) || model.is_known_zero(start + index)));
                }
                break;
            }
            default: {
                SplitBuffer buffer(count * sector_size, random() % 8, random);
                REQUIRE(fixture->run(disk.read(start, buffer.segments())).has_value());
                REQUIRE(model.agrees(start, buffer.bytes));
            }
            }
        }
        REQUIRE(model.agrees(0, read_all(*fixture, 0, 512)));
    }
}

}  // namespace undercroft::test
