// A driver on the project's own controller over a RAM disk, in virtual time: what driver tests and simulations stand
// on.
#pragma once

#include <optional>

#include "drivers/nvme/driver.hpp"
#include "hostsim/devices/simulated_nvme.hpp"
#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/nvme_disk.hpp"
#include "storage/backends/ram_disk.hpp"

namespace undercroft::test {

/// Takes a simulated machine through the life of a driver. Members may be used directly; `close` is called by the
/// destructor.
class NvmeRig {
public:
    struct Config {
        usize processors = 1;
        u64 seed = 0;
        u64 sectors = 4096;
        u32 sector_size = 512;
        u16 vectors = 9;
        nvme::DriverOptions options = {};
        NvmeTamper* tamper = nullptr;
        std::optional<Disk> medium = {};  ///< instead of a RAM disk
    };
    explicit NvmeRig(const Config& config)
        : processors(config.processors, config.seed), executors_(processors.executors()), options(config.options) {
        if (!config.medium) {
            ram = RamDisk::create({.sectors = config.sectors, .sector_size = config.sector_size, .id = {}}).value();
        }
        nvme::NamespaceConfig name_space{
            .id = 1, .disk = config.medium ? *config.medium : Disk::create(ram).value(), .nguid = {}, .eui64 = {}};
        device = SimulatedNvme::create({.executors = executors_,
                                        .namespaces = std::span(&name_space, 1),
                                        .vectors = config.vectors,
                                        .tamper = config.tamper})
                     .value();
    }
    NvmeRig(const NvmeRig&) = delete;
    NvmeRig& operator=(const NvmeRig&) = delete;
    ~NvmeRig() {
        (void)close();
        (void)run(close_device(*device));
    }

    /// Opens driver and namespace 1; the error if that fails.
    Result<void> open() {
        driver = TRY(run(nvme::Driver::open(*device, options, executors_)));
        auto name_space = run(driver->open_namespace(1));
        if (!name_space) {
            return fail(name_space.error());
        }
        nvme_disk = NvmeDisk::create(*name_space);
        disk = Disk::create(nvme_disk).value();
        return {};
    }
    /// Ends the driver; whether the controller confirmed the shutdown.
    Result<void> close() {
        Result<void> confirmed;
        if (driver != nullptr) {
            confirmed = run(driver->close());
        }
        disk.reset();
        nvme_disk.reset();
        driver.reset();
        return confirmed;
    }
    /// Runs `task` on executor `index` to its end; an hour of virtual time is a hang, and a panic.
    template <typename T>
    T run(Task<T> task, usize index = 0) {
        return processors.run(std::move(task), index, processors.now_ns() + 3600 * nanoseconds_per_second);
    }

    SimulatedProcessors processors;
    std::shared_ptr<RamDisk> ram;
    std::unique_ptr<SimulatedNvme> device;
    std::unique_ptr<nvme::Driver> driver;
    std::shared_ptr<NvmeDisk> nvme_disk;
    std::optional<Disk> disk;

private:
    static Task<Result<void>> close_device(SimulatedNvme& device) {
        co_await device.close();
        co_return Result<void>{};
    }
    std::vector<Executor*> executors_;

public:
    nvme::DriverOptions options;
};

}  // namespace undercroft::test
