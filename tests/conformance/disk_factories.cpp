// Every kind of disk that the suite runs on.
#include <cstdlib>

#include "storage/backends/ram_disk.hpp"
#include "storage/layers/crypt_disk.hpp"
#include "tests/conformance/disk_fixture.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft::test {

/// nvme_fixture.cpp: our driver on our controller over a RAM disk.
std::unique_ptr<DiskFixture> make_nvme_fixture(const DiskRecipe& recipe, u32 sector_size, bool encrypted);

namespace {

constexpr usize bounce_pages = 5;  // few, so that requests come in pieces and wait for each other

class RamFixture : public DiskFixture {
public:
    RamFixture(const DiskRecipe& recipe, u32 sector_size) {
        ram = RamDisk::create(
                  {.sectors = recipe.sectors, .sector_size = sector_size, .read_only = recipe.read_only, .id = {}})
                  .value();
        disk = Disk::create(ram).value();
        resize = [this](u64 sectors) { ram->resize(sectors).value(); };
    }
    std::shared_ptr<RamDisk> ram;
};

class CryptFixture : public RamFixture {
public:
    CryptFixture(const DiskRecipe& recipe, u32 sector_size, bool slow, bool hides_holes = false)
        : RamFixture(recipe, sector_size), memory_(bounce_pages),
          pool_({memory_[0].bytes, sizeof(Page) * bounce_pages}) {
        if (hides_holes) {
            disk = Disk::create(std::make_shared<HoleHidingDisk>(*disk)).value();
        }
        if (slow) {
            disk = Disk::create(std::make_shared<SlowDisk>(*disk)).value();
        }
        std::array<std::byte, 64> key;
        for (usize index = 0; index < key.size(); ++index) {
            key[index] = static_cast<std::byte>(index * 7 + 1);
        }
        disk = Disk::create(CryptDisk::create(*disk, key, pool_).value()).value();
    }
    ~CryptFixture() override { disk.reset(); }

private:
    /// As an NVMe: holds bytes, and cannot tell holes.
    class HoleHidingDisk final : public PassThroughDisk {
    public:
        using PassThroughDisk::PassThroughDisk;
        DiskFacts facts() const override {
            DiskFacts facts = below_.facts();
            facts.knows_holes = false;
            return facts;
        }
        Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken) override {
            return Task<DiskResult<BlockStatus>>::ready(
                BlockStatus{.sectors = range.count, .state = BlockState::unknown});
        }
    };
    struct alignas(page_size) Page {
        std::byte bytes[page_size];
    };
    std::vector<Page> memory_;
    BouncePool pool_;
};

class PassThroughFixture : public RamFixture {
public:
    explicit PassThroughFixture(const DiskRecipe& recipe) : RamFixture(recipe, 512) {
        disk = Disk::create(std::make_shared<PassThroughDisk>(*disk)).value();
    }
};

template <typename Fixture, typename... Arguments>
DiskFactory factory(std::string name, Arguments... arguments) {
    return {.name = std::move(name), .make = [=](const DiskRecipe& recipe) -> std::unique_ptr<DiskFixture> {
                return std::make_unique<Fixture>(recipe, arguments...);
            }};
}

DiskFactory nvme_factory(const char* name, u32 sector_size, bool encrypted) {
    return {.name = name,
            .make = [=](const DiskRecipe& recipe) { return make_nvme_fixture(recipe, sector_size, encrypted); },
            .makes_read_only = false};
}

}  // namespace

const std::vector<DiskFactory>& all_disks() {
    static const std::vector<DiskFactory> factories{
        factory<RamFixture>("RAM disk, 512", 512u),
        factory<RamFixture>("RAM disk, 4096", 4096u),
        factory<PassThroughFixture>("pass-through over RAM disk"),
        factory<CryptFixture>("crypt over RAM disk, 512", 512u, false),
        factory<CryptFixture>("crypt over RAM disk, 4096", 4096u, false),
        factory<CryptFixture>("crypt over slow RAM disk, 512", 512u, true),
        factory<CryptFixture>("crypt over slow RAM disk, 4096", 4096u, true),
        factory<CryptFixture>("crypt over a disk that cannot tell holes, 512", 512u, true, true),
        nvme_factory("NVMe disk, 512", 512, false),
        nvme_factory("NVMe disk, 4096", 4096, false),
        nvme_factory("crypt over NVMe disk, 512", 512, true),
        nvme_factory("crypt over NVMe disk, 4096", 4096, true),
    };
    return factories;
}

}  // namespace undercroft::test
