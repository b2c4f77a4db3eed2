// The contract of storage/disk.hpp, held against every kind of disk.
#include <catch2/catch.hpp>

#include "kernel/async/task_group.hpp"
#include "tests/conformance/disk_fixture.hpp"

namespace undercroft::test {
namespace {

// One section per kind of disk. `fixture` is what the body uses.
#define FOR_EVERY_DISK(...)                                                                                            \
    for (const DiskFactory& factory : all_disks())                                                                     \
        DYNAMIC_SECTION(factory.name)                                                                                  \
    if (std::unique_ptr<DiskFixture> fixture = factory.make(__VA_ARGS__); true)

/// What a test knows of a disk's contents, sector by sector.
class DiskModel {
public:
    DiskModel(u64 sectors, u32 sector_size)
        : sector_size_(sector_size), known_(sectors, false), bytes_(sectors * sector_size) {}
    void set(u64 sector, std::span<const std::byte> data) {
        std::copy(data.begin(), data.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(sector * sector_size_));
        mark(sector, data.size() / sector_size_, true);
    }
    void set_zero(u64 sector, u64 count) {
        std::fill_n(bytes_.begin() + static_cast<std::ptrdiff_t>(sector * sector_size_), count * sector_size_,
                    std::byte{0});
        mark(sector, count, true);
    }
    void forget(u64 sector, u64 count) { mark(sector, count, false); }
    bool is_known_zero(u64 sector) const {
        auto begin = bytes_.begin() + static_cast<std::ptrdiff_t>(sector * sector_size_);
        return known_[sector] &&
               std::all_of(begin, begin + sector_size_, [](std::byte byte) { return byte == std::byte{0}; });
    }
    bool is_known(u64 sector) const { return known_[sector]; }
    /// Whether `data`, read at `sector`, agrees with all that is known.
    bool agrees(u64 sector, std::span<const std::byte> data) const {
        for (u64 index = 0; index < data.size() / sector_size_; ++index) {
            auto expected = bytes_.begin() + static_cast<std::ptrdiff_t>((sector + index) * sector_size_);
            if (known_[sector + index] &&
                !std::equal(expected, expected + sector_size_,
                            data.begin() + static_cast<std::ptrdiff_t>(index * sector_size_))) {
                UNSCOPED_INFO("sector " << sector + index << " differs");
                return false;
            }
        }
        return true;
    }

private:
    void mark(u64 sector, u64 count, bool known) {
        for (u64 index = 0; index < count; ++index) {
            known_[sector + index] = known;
        }
    }
    u32 sector_size_;
    std::vector<bool> known_;
    std::vector<std::byte> bytes_;
};

std::vector<std::byte> read_all(DiskFixture& fixture, u64 sector, u64 count) {
    std::vector<std::byte> bytes(count * fixture.sector_size(), std::byte{0xee});
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    REQUIRE(fixture.run(fixture.disk->read(sector, {&segment, 1})).has_value());
    return bytes;
}

void write_all(DiskFixture& fixture, u64 sector, std::vector<std::byte> bytes,
               ForceUnitAccess fua = ForceUnitAccess::no) {
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    REQUIRE(fixture.run(fixture.disk->write(sector, {&segment, 1}, fua)).has_value());
}

std::vector<std::byte> pattern(usize size, u64 seed) {
    std::mt19937_64 random(seed);
    std::vector<std::byte> bytes(size);
    for (std::byte& byte : bytes) {
        byte = static_cast<std::byte>(random());
    }
    return bytes;
}

template <typename T>
std::optional<DiskError> error_of(const DiskResult<T>& result) {
    return result ? std::nullopt : std::optional(result.error());
}

}  // namespace

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
        fixture->resize(505);
        CHECK(fixture->run(fixture->disk->wait_for_resize(600)).value() == 505);
        std::vector<std::byte> one(sector_size);
        MemorySegment segment{.data = one.data(), .size = one.size()};
        CHECK(error_of(fixture->run(fixture->disk->read(505, {&segment, 1}))) == DiskError::illegal_block);
        fixture->resize(600);
        CHECK(fixture->run(fixture->disk->wait_for_resize(505)).value() == 600);
        if (fixture->disk->facts().knows_holes) {
            CHECK(read_all(*fixture, 505, 95) ==
                  std::vector<std::byte>(95 * sector_size));  // shrinking dropped it for good
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

TEST_CASE("eject is answered") {
    FOR_EVERY_DISK(DiskRecipe{}) {
        DiskResult<void> result = fixture->run(fixture->disk->eject());
        CHECK((result.has_value() || result.error() == DiskError::unsupported_eject));
    }
}

}  // namespace undercroft::test
