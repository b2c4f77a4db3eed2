// Layers over each other: who answers a read, where a write goes, what a cache takes up, how far down one sees.
#include "storage/layers/layered_disk.hpp"

#include "storage/layers/ram_layer.hpp"
#include "storage/layers/whole_disk_layer.hpp"
#include "tests/unit/storage/layers/rig.hpp"

namespace undercroft::test {
namespace {

std::shared_ptr<RamLayer> ram_layer(std::optional<u64> sectors = {}, u32 sector_size = 512) {
    return RamLayer::create({.sectors = sectors, .sector_size = sector_size}).value();
}

std::shared_ptr<WholeDiskLayer> whole(Disk disk) { return std::make_shared<WholeDiskLayer>(std::move(disk)); }

/// A layer with facts of its choice, to be refused.
class OddLayer final : public DiskLayer {
public:
    explicit OddLayer(LayerFacts facts) : facts_(facts), below_(ram_layer(64)) {}
    LayerFacts facts() const override { return facts_; }
    std::optional<u64> sector_count() const override { return 64; }
    Task<DiskResult<void>> read(u64 sector, SegmentList into, PresenceMap& found, CancelToken cancel) override {
        return below_->read(sector, into, found, cancel);
    }
    Task<DiskResult<void>> write(u64 sector, SegmentList from, Overwrite overwrite, ForceUnitAccess fua,
                                 CancelToken cancel) override {
        return below_->write(sector, from, overwrite, fua, cancel);
    }
    Task<DiskResult<void>> flush(CancelToken cancel) override { return below_->flush(cancel); }
    Task<DiskResult<void>> unmap(SectorRange range, BelowReads below, CancelToken cancel) override {
        return below_->unmap(range, below, cancel);
    }
    Task<DiskResult<void>> write_zeroes(SectorRange range, BelowReads below, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override {
        return below_->write_zeroes(range, below, allow_unmap, fua, cancel);
    }
    Task<DiskResult<PresenceRun>> presence(SectorRange range, CancelToken cancel) override {
        return below_->presence(range, cancel);
    }
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override {
        return below_->wait_for_resize(known_sectors, cancel);
    }

private:
    LayerFacts facts_;
    std::shared_ptr<RamLayer> below_;
};

std::string reason_of(std::vector<LayerPlacement> layers, LayeredDiskOptions options = {}) {
    auto created = LayeredDisk::create(std::move(layers), options);
    return created ? "" : created.error();
}

Disk layered(std::vector<LayerPlacement> layers, LayeredDiskOptions options = {}) {
    return handle(LayeredDisk::create(std::move(layers), options).value());
}

}  // namespace

TEST_CASE("a sector is read from the first layer that has it") {
    Rig rig;
    Disk base = handle(make_ram(64));
    rig.write(base, 0, 64, 1);
    auto middle = ram_layer();
    Disk lower = layered({{.layer = middle}, {.layer = whole(base)}});
    rig.write(lower, 10, 20, 2);
    Disk disk = layered({{.layer = ram_layer()}, {.layer = middle}, {.layer = whole(base)}});
    rig.write(disk, 15, 5, 3);
    REQUIRE(rig.run(disk.unmap({.start = 25, .count = 10})).has_value());
    std::vector<int> expected(64, 1);
    std::fill_n(expected.begin() + 10, 20, 2);
    std::fill_n(expected.begin() + 15, 5, 3);
    std::fill_n(expected.begin() + 25, 10, 0);
    CHECK(rig.read(disk, 0, 64) == expected);
    CHECK(rig.read(base, 0, 64) == std::vector<int>(64, 1));
    BlockStatus status = rig.run(disk.block_status({.start = 25, .count = 30})).value();
    CHECK(status.state == BlockState::zero);
    CHECK(status.sectors == 10);
}

TEST_CASE("a long read asks the layers piece by piece, and gets every sector right") {
    Rig rig;
    Disk base = handle(std::make_shared<SlowDisk>(handle(make_ram(6000))));
    rig.write(base, 0, 6000, 1);
    Disk disk = layered({{.layer = ram_layer()}, {.layer = whole(base)}});
    std::vector<int> expected(6000, 1);
    for (u64 sector = 100; sector < 6000; sector += 370) {
        rig.write(disk, sector, 5, static_cast<u8>(sector % 250 + 2));
        std::fill_n(expected.begin() + static_cast<std::ptrdiff_t>(sector), 5, static_cast<int>(sector % 250 + 2));
    }
    CHECK(rig.read(disk, 0, 6000) == expected);
}

TEST_CASE("a read cache takes up what was read, once") {
    Rig rig;
    auto counted = std::make_shared<HeldDisk>(handle(make_ram(64)));
    counted->released.set();
    Disk base = handle(counted);
    rig.write(base, 0, 64, 1);
    usize calls = counted->calls;
    Disk disk = layered({{.layer = ram_layer(), .read_cache = true}, {.layer = whole(base)}}, {.bounce = &rig.bounce});
    CHECK(rig.read(disk, 8, 8) == std::vector<int>(8, 1));
    CHECK(counted->calls == calls + 1);
    CHECK(rig.read(disk, 8, 8) == std::vector<int>(8, 1));
    CHECK(counted->calls == calls + 1);
    rig.write(disk, 20, 2, 5);
    std::vector<int> expected(16, 1);
    expected[4] = expected[5] = 5;
    CHECK(rig.read(disk, 16, 16) == expected);
    CHECK(rig.read(disk, 16, 16) == expected);
    CHECK(rig.read(base, 20, 2) == std::vector<int>(2, 1));
}

TEST_CASE("a cache without memory left lets reads through") {
    Rig rig;
    Disk base = handle(make_ram(1024));
    rig.write(base, 0, 1024, 4);
    auto cache = RamLayer::create({.sector_size = 512, .memory_budget_bytes = 80 * kib}).value();
    Disk disk = layered({{.layer = cache, .read_cache = true}, {.layer = whole(base)}}, {.bounce = &rig.bounce});
    CHECK(rig.read(disk, 0, 1024) == std::vector<int>(1024, 4));
    CHECK(cache->memory_used_bytes() > 0);
    CHECK(cache->memory_used_bytes() <= 80 * kib);
    CHECK(rig.read(disk, 0, 1024) == std::vector<int>(1024, 4));
}

TEST_CASE("writing through reaches each written layer, in the same copy") {
    Rig rig;
    auto counted = std::make_shared<HeldDisk>(handle(make_ram(512)));
    counted->released.set();
    auto cache = ram_layer();
    Disk disk =
        layered({{.layer = cache, .write_through = true, .read_cache = true}, {.layer = whole(handle(counted))}},
                {.bounce = &rig.bounce});
    rig.write(disk, 10, 300, 6, ForceUnitAccess::yes);
    CHECK(counted->fua_writes > 0);
    CHECK(rig.read(handle(counted), 10, 300) == std::vector<int>(300, 6));
    usize calls = counted->calls;
    CHECK(rig.read(disk, 10, 300) == std::vector<int>(300, 6));
    CHECK(counted->calls == calls);
    REQUIRE(rig.run(disk.flush()).has_value());
    CHECK(counted->flushes == 1);
    REQUIRE(rig.run(disk.unmap({.start = 10, .count = 300})).has_value());
    CHECK(rig.read(disk, 10, 300) == std::vector<int>(300, 0));
    CHECK(rig.read(handle(counted), 10, 300) == std::vector<int>(300, 0));
    CHECK(disk.facts().unmap == UnmapBehavior::zeroes);
}

TEST_CASE("shrinking and growing a layer never brings back what is below, or what it had") {
    Rig rig;
    Disk base = handle(make_ram(100));
    rig.write(base, 0, 100, 1);
    auto top = ram_layer(100);
    Disk disk = layered({{.layer = top}, {.layer = whole(base)}});
    rig.write(disk, 70, 10, 2);
    REQUIRE(top->resize(60).has_value());
    CHECK(disk.sector_count() == 60);
    REQUIRE(top->resize(120).has_value());
    std::vector<int> expected(120, 1);
    std::fill_n(expected.begin() + 60, 60, 0);
    CHECK(rig.read(disk, 0, 120) == expected);
    CHECK(rig.read(disk, 75, 5) == std::vector<int>(5, 0));
    BlockStatus status = rig.run(disk.block_status({.start = 50, .count = 70})).value();
    CHECK(status.sectors == 10);
    status = rig.run(disk.block_status({.start = 60, .count = 60})).value();
    CHECK(status.state == BlockState::zero);
    CHECK(status.sectors == 60);
    rig.write(disk, 90, 5, 3);
    CHECK(rig.read(disk, 90, 5) == std::vector<int>(5, 3));
}

TEST_CASE("a layer without a size forgets what a disk below that shrank had under it") {
    Rig rig;
    auto ram = make_ram(100);
    Disk base = handle(ram);
    rig.write(base, 0, 100, 1);
    Disk disk = layered({{.layer = ram_layer()}, {.layer = whole(base)}});
    rig.write(disk, 40, 60, 2);
    REQUIRE(ram->resize(50).has_value());
    CHECK(disk.sector_count() == 50);
    REQUIRE(ram->resize(100).has_value());
    std::vector<int> expected(100, 0);
    std::fill_n(expected.begin(), 40, 1);
    std::fill_n(expected.begin() + 40, 10, 2);
    CHECK(rig.read(disk, 0, 100) == expected);
}

TEST_CASE("a stack that cannot work is refused with the reason") {
    Rig rig;
    auto disk = [](bool read_only = false) { return whole(handle(make_ram(64, 512, read_only))); };
    CHECK(reason_of({}) == "a layered disk has 1 to 16 layers, not 0");
    CHECK(reason_of(std::vector<LayerPlacement>(17, {.layer = ram_layer(64)})) ==
          "a layered disk has 1 to 16 layers, not 17");
    CHECK(reason_of({{.layer = nullptr}}) == "layer 1 is missing");
    CHECK(reason_of({{.layer = ram_layer({}, 4096)}, {.layer = disk()}}) ==
          "layer 2 has sectors of 512 bytes, and the first of 4096");
    CHECK(reason_of({{.layer = disk()}, {.layer = disk()}}) ==
          "layer 1 is a whole disk: nothing below it would ever be read");
    CHECK(reason_of({{.layer = disk(), .write_through = true}}) ==
          "layer 1 is the last, and cannot be written through");
    CHECK(reason_of({{.layer = ram_layer()}, {.layer = ram_layer(), .write_through = true}, {.layer = disk()}}) ==
          "layer 2 is written through, and layer 1 above it is not");
    CHECK(reason_of({{.layer = disk(), .read_cache = true}}) ==
          "layer 1 is the last: there is nothing below it to cache");
    CHECK(reason_of({{.layer = std::make_shared<OddLayer>(LayerFacts{}), .read_cache = true}, {.layer = disk()}}) ==
          "layer 1 cannot be a read cache: it cannot write without overwriting");
    CHECK(reason_of({{.layer = std::make_shared<OddLayer>(LayerFacts{.read_only = true}), .read_cache = true},
                     {.layer = disk()}}) == "layer 1 is read-only, and cannot be a read cache");
    CHECK(reason_of({{.layer = disk(true)}}) == "layer 1 is read-only, and would be written");
    CHECK(reason_of({{.layer = ram_layer(), .write_through = true}, {.layer = disk(true)}}, {.bounce = &rig.bounce}) ==
          "layer 2 is read-only, and would be written");
    CHECK(reason_of({{.layer = ram_layer()}}) == "no layer has a size of its own: give the last one a size");
    CHECK(reason_of({{.layer = ram_layer(), .read_cache = true}, {.layer = disk()}}) ==
          "read caches and layers that are written through need bounce memory");
    CHECK(reason_of({{.layer = disk(true)}}, {.read_only = true}).empty());
    CHECK(reason_of({{.layer = ram_layer()}, {.layer = disk(true)}}).empty());
}

TEST_CASE("a RAM layer is refused what it cannot be") {
    auto reason = [](RamLayerOptions options) {
        auto created = RamLayer::create(options);
        return created ? "" : created.error();
    };
    CHECK(reason({.sector_size = 513}) == "a RAM layer cannot have sectors of 513 bytes");
    CHECK(reason({.sector_size = 256}) == "a RAM layer cannot have sectors of 256 bytes");
    CHECK(reason({.sector_size = 128 * 1024}) == "a RAM layer cannot have sectors of 131072 bytes");
    CHECK(reason({.sectors = u64{1} << 40}) ==
          "1099511627776 sectors of 512 bytes are more than a RAM layer's 4096 GiB");
    CHECK_FALSE(ram_layer()->resize(5).has_value());
    CHECK_FALSE(ram_layer(5)->resize(u64{1} << 40).has_value());
}

TEST_CASE("unmapping a terabyte over a disk costs next to no memory") {
    Rig rig;
    Disk base = handle(std::make_shared<NullDisk>(u64{1} << 31, 512));
    auto top = ram_layer();
    Disk disk = layered({{.layer = top}, {.layer = whole(base)}});
    REQUIRE(rig.run(disk.unmap({.start = 5, .count = (u64{1} << 31) - 9})).has_value());
    CHECK(top->memory_used_bytes() < 300 * kib);
    CHECK(rig.run(disk.block_status({.start = 5, .count = 1000})).value().state == BlockState::zero);
    CHECK(rig.run(disk.block_status({.start = 0, .count = 5})).value().state == BlockState::unknown);
    rig.write(disk, u64{1} << 30, 3, 7);
    std::vector<int> expected(8, 0);
    std::fill_n(expected.begin() + 2, 3, 7);
    CHECK(rig.read(disk, (u64{1} << 30) - 2, 8) == expected);
}

}  // namespace undercroft::test
