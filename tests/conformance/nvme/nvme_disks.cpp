// The conformance suite's NVMe disk: our driver on our controller over a RAM disk; encrypted, if asked.
#include "storage/backends/nvme_disk.hpp"

#include "hostsim/devices/simulated_nvme.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/layers/crypt_disk.hpp"
#include "tests/conformance/disk_fixture.hpp"

namespace undercroft::test {

namespace {

constexpr usize crypt_bounce_bytes = 5 * page_size;  // little, so that requests come in pieces

class NvmeFixture final : public VirtualTimeFixture {
public:
    NvmeFixture(const DiskRecipe& recipe, u32 sector_size, bool encrypted) : executors_(processors.executors()) {
        auto ram = RamDisk::create({.sectors = recipe.sectors, .sector_size = sector_size, .id = {}}).value();
        resize = [ram](u64 sectors) { ram->resize(sectors).value(); };
        nvme::NamespaceConfig name_space{.id = 1, .disk = Disk::create(ram).value(), .nguid = {}, .eui64 = {}};
        device_ = SimulatedNvme::create({.executors = executors_, .namespaces = std::span(&name_space, 1)}).value();
        driver_ = run(nvme::Driver::open(*device_, {}, executors_)).value();
        disk = Disk::create(NvmeDisk::create(run(driver_->open_namespace(1)).value())).value();
        if (encrypted) {
            memory_ = device_->allocate_dma(crypt_bounce_bytes).value();
            pool_ = std::make_unique<BouncePool>(memory_.bytes());
            std::array<std::byte, 64> key;
            for (usize index = 0; index < key.size(); ++index) {
                key[index] = static_cast<std::byte>(index * 5 + 3);
            }
            disk = Disk::create(CryptDisk::create(*disk, key, *pool_).value()).value();
        }
    }
    ~NvmeFixture() override {
        (void)run(driver_->close());
        disk.reset();
        driver_.reset();
        (void)run(close_device());
    }

private:
    Task<Result<void>> close_device() {
        co_await device_->close();
        co_return Result<void>{};
    }
    std::vector<Executor*> executors_;
    std::unique_ptr<SimulatedNvme> device_;
    std::unique_ptr<nvme::Driver> driver_;
    DmaBuffer memory_;
    std::unique_ptr<BouncePool> pool_;
};

DiskFactory nvme_disk(const char* name, u32 sector_size, bool encrypted) {
    return {.name = name,
            .make = [=](const DiskRecipe& recipe) -> std::unique_ptr<DiskFixture> {
                return std::make_unique<NvmeFixture>(recipe, sector_size, encrypted);
            },
            .makes_read_only = false};
}

const RegisterDisks disks{
    nvme_disk("NVMe disk, 512", 512, false),
    nvme_disk("NVMe disk, 4096", 4096, false),
    nvme_disk("crypt over NVMe disk, 512", 512, true),
    nvme_disk("crypt over NVMe disk, 4096", 4096, true),
};

}  // namespace

}  // namespace undercroft::test
