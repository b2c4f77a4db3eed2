// Where a striped disk puts its sectors, what it asks of its members, and what it refuses.
#include "storage/layers/striped_disk.hpp"

#include "tests/unit/storage/layers/rig.hpp"

namespace undercroft::test {
namespace {

/// Notes each range that is unmapped or zeroed.
class RangeNotingDisk final : public PassThroughDisk {
public:
    using PassThroughDisk::PassThroughDisk;
    std::vector<std::pair<u64, u64>> ranges;
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override {
        ranges.emplace_back(range.start, range.count);
        return below_.unmap(range, cancel);
    }
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override {
        ranges.emplace_back(range.start, range.count);
        return below_.write_zeroes(range, allow_unmap, fua, cancel);
    }
};

std::string reason_of(std::vector<Disk> members, u64 chunk_bytes = 4096) {
    auto created = StripedDisk::create(std::move(members), chunk_bytes);
    return created ? "" : created.error();
}

}  // namespace

TEST_CASE("chunks lie on the members in turn") {
    Rig rig;
    auto first = handle(make_ram(64));
    auto second = handle(make_ram(64));
    auto third = handle(make_ram(64));
    Disk disk = handle(StripedDisk::create({first, second, third}, 4096).value());
    CHECK(disk.sector_count() == 192);
    for (u8 chunk = 0; chunk < 24; ++chunk) {
        rig.write(disk, chunk * 8, 8, chunk + 1);
    }
    for (u8 chunk = 0; chunk < 8; ++chunk) {
        CHECK(rig.read(first, chunk * 8, 8) == std::vector<int>(8, chunk * 3 + 1));
        CHECK(rig.read(second, chunk * 8, 8) == std::vector<int>(8, chunk * 3 + 2));
        CHECK(rig.read(third, chunk * 8, 8) == std::vector<int>(8, chunk * 3 + 3));
    }
    rig.write(disk, 5, 180, 77);
    CHECK(rig.read(disk, 5, 180) == std::vector<int>(180, 77));
    CHECK(rig.read(disk, 0, 5) == std::vector<int>(5, 1));
    CHECK(rig.read(disk, 185, 7) == std::vector<int>(7, 24));
}

TEST_CASE("all chunks of an operation are under way together") {
    Rig rig;
    auto held = std::make_shared<HeldDisk>(handle(make_ram(64)));
    auto also_held = std::make_shared<HeldDisk>(handle(make_ram(64)));
    Disk disk = handle(StripedDisk::create({handle(held), handle(also_held)}, 4096).value());
    std::vector<std::byte> bytes(32 * 512);
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    std::optional<DiskResult<void>> result;
    {
        CurrentExecutorScope scope(rig.processors.executor(0));
        detail::run_root(disk.read(0, {&segment, 1}), result);
    }
    CHECK(held->held == 2);
    CHECK(also_held->held == 2);
    held->released.set();
    also_held->released.set();
    rig.processors.run_until([&] { return result.has_value(); });
    CHECK(result->has_value());
}

TEST_CASE("an unmapped range is one range on each member") {
    Rig rig;
    for (u64 start = 0; start < 40; ++start) {
        for (u64 count = 1; start + count <= 96; count += 5) {
            auto first = std::make_shared<RangeNotingDisk>(handle(make_ram(48)));
            auto second = std::make_shared<RangeNotingDisk>(handle(make_ram(48)));
            Disk disk = handle(StripedDisk::create({handle(first), handle(second)}, 4096).value());
            rig.write(disk, 0, 96, 9);
            bool zero = count % 2 == 0;
            SectorRange range{.start = start, .count = count};
            REQUIRE(rig.run(zero ? disk.write_zeroes(range, true) : disk.unmap(range)).has_value());
            CHECK(first->ranges.size() <= 1);
            CHECK(second->ranges.size() <= 1);
            std::vector<int> expected(96, 9);
            std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(start), count, 0);
            REQUIRE(rig.read(disk, 0, 96) == expected);
        }
    }
}

TEST_CASE("block status of stripes reaches as far as no member says otherwise") {
    Rig rig;
    Disk disk = handle(StripedDisk::create({handle(make_ram(80)), handle(make_ram(80))}, 4096).value());
    rig.write(disk, 50, 10, 1);
    BlockStatus status = rig.run(disk.block_status({.start = 0, .count = 160})).value();
    CHECK(status.state == BlockState::zero);
    CHECK(status.sectors == 50);
    status = rig.run(disk.block_status({.start = 50, .count = 110})).value();
    CHECK(status.state == BlockState::data);
    CHECK(status.sectors == 10);
    status = rig.run(disk.block_status({.start = 60, .count = 100})).value();
    CHECK(status.state == BlockState::zero);
    CHECK(status.sectors == 100);
}

TEST_CASE("bad geometry is refused with the reason") {
    CHECK(reason_of({handle(make_ram(64))}) == "a striped disk has 2 to 64 members, not 1");
    CHECK(reason_of(std::vector<Disk>(65, handle(make_ram(64)))) == "a striped disk has 2 to 64 members, not 65");
    CHECK(reason_of({handle(make_ram(64)), handle(make_ram(64, 4096))}) ==
          "member 2 has sectors of 4096 bytes, and the first of 512");
    CHECK(reason_of({handle(make_ram(64)), handle(make_ram(64)), handle(make_ram(63))}) ==
          "member 3 has 63 sectors, and the first 64");
    CHECK(reason_of({handle(make_ram(64)), handle(make_ram(64, 512, true))}) ==
          "member 2 is read-only, and the first is not");
    CHECK(reason_of({handle(make_ram(64, 512, true)), handle(make_ram(64))}) ==
          "member 2 can be written, and the first is read-only");
    CHECK(reason_of({handle(make_ram(64)), handle(make_ram(64))}, 1000) ==
          "the chunk size of 1000 bytes is no multiple of the members' physical sectors of 512");
    CHECK(reason_of({handle(make_ram(64)), handle(make_ram(64))}, 0) ==
          "the chunk size of 0 bytes is no multiple of the members' physical sectors of 512");
    CHECK(reason_of({handle(make_ram(64)), handle(make_ram(64))}, 64 * kib) ==
          "the members, of 64 sectors, are smaller than one chunk of 128");
}

TEST_CASE("a striped disk promises no more than its weakest member") {
    class WeakDisk final : public PassThroughDisk {
    public:
        using PassThroughDisk::PassThroughDisk;
        DiskFacts facts() const override {
            DiskFacts facts = below_.facts();
            facts.physical_sector_size = 4096;
            facts.fua_respected = false;
            facts.unmap = UnmapBehavior::ignored;
            facts.optimal_unmap_sectors = 32;
            facts.knows_holes = false;
            return facts;
        }
    };
    auto weak = handle(std::make_shared<WeakDisk>(handle(make_ram(64))));
    Disk disk = handle(StripedDisk::create({handle(make_ram(64)), weak}, 4096).value());
    CHECK(disk.facts().physical_sector_size == 4096);
    CHECK_FALSE(disk.facts().fua_respected);
    CHECK(disk.facts().unmap == UnmapBehavior::unspecified);
    CHECK(disk.facts().optimal_unmap_sectors == 64);
    CHECK_FALSE(disk.facts().knows_holes);
}

TEST_CASE("a guest's thousand segments in one chunk are one operation of the member") {
    Rig rig;
    Disk disk = handle(StripedDisk::create({handle(make_ram(64)), handle(make_ram(64))}, 4096).value());
    std::vector<std::byte> bytes(24 * 512);
    std::vector<MemorySegment> segments;
    for (usize place = 0; place < bytes.size(); place += 4) {
        bytes[place] = static_cast<std::byte>(place >> 3);
        segments.push_back({.data = bytes.data() + place, .size = 4});
    }
    std::vector<std::byte> expected = bytes;
    REQUIRE(rig.run(disk.write(3, segments)).has_value());
    std::fill(bytes.begin(), bytes.end(), std::byte{0xff});
    REQUIRE(rig.run(disk.read(3, segments)).has_value());
    CHECK(bytes == expected);
}

}  // namespace undercroft::test
