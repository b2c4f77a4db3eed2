// The guest's disks: configuration and keys from firmware configuration, drivers for the NVMe functions that the
// configuration names, pipelines over them, and the controllers that the guest sees.
#pragma once

#include <memory>
#include <vector>

#include "boot/paravisor/guest_machine.hpp"
#include "drivers/nvme/driver.hpp"
#include "drivers/pci/pci_device_host.hpp"
#include "kernel/config/configuration.hpp"
#include "kernel/guest/boot_order.hpp"
#include "storage/frontends/floppy/controller.hpp"
#include "storage/frontends/ide/controller.hpp"
#include "storage/frontends/nvme/controller.hpp"
#include "storage/frontends/virtio/pci_controller.hpp"
#include "storage/inspect/disks.hpp"
#include "storage/inspect/media_changer.hpp"
#include "storage/scsi/optical_unit.hpp"

namespace undercroft::paravisor {

/// The keys that firmware configuration holds, until they are wiped.
class KeyStore {
public:
    KeyStore() = default;
    KeyStore(const KeyStore&) = delete;
    KeyStore& operator=(const KeyStore&) = delete;
    ~KeyStore() { wipe(); }

    /// Reads every key that `configuration` names; a missing one is simply not there afterwards.
    void load(const Configuration& configuration, const FirmwareConfig& firmware);
    /// The bytes, or why there are none.
    Result<std::span<const std::byte>, Refusal> find(std::string_view name) const;
    void wipe();

private:
    void load_of(const DiskConfig& disk, const FirmwareConfig& firmware);
    struct Key {
        std::string name;
        std::vector<std::byte> bytes;
    };
    std::vector<Key> keys_;
};

/// Bounce memory, a pool per processor, made when first asked for.
class ProcessorBounceSource final : public BounceSource {
public:
    static constexpr usize pool_bytes = 512 * kib;
    explicit ProcessorBounceSource(u32 processors) : pools_(processors) {}
    BouncePool& pool() override;

private:
    std::vector<std::unique_ptr<BouncePool>> pools_;
};

class Disks final : private PipelineEnvironment {
public:
    explicit Disks(const vtl2::BootInfo& boot_info);
    Disks(const Disks&) = delete;
    Disks& operator=(const Disks&) = delete;

    /// Reads and checks configuration and keys. Where anything is wrong, all of it goes to the log and the run ends
    /// with `configuration_refused`; no disk has been touched then.
    void configure(const FirmwareConfig& firmware);
    /// Opens the pipelines and gives the guest its controllers. Ends the run where a disk cannot be opened. The keys
    /// are wiped afterwards.
    Task<void> open(GuestMachine& machine);
    /// For the guest's firmware. After `open`.
    std::string_view boot_order() const { return boot_order_.text(); }
    /// The guest's controllers and disks, and the physical controllers, for `inspect`. On the boot processor.
    void describe(inspect::Node& root) const;

private:
    struct PhysicalController {
        PciAddress address;
        u16 index;
        std::unique_ptr<PciDeviceHost> host;
        std::unique_ptr<nvme::host::Driver> driver;
    };

    Result<std::span<const std::byte>, Refusal> key(std::string_view name) override { return keys_.find(name); }
    std::optional<Refusal> refuse_backend(const DiskConfig& disk) override;
    Task<Result<Disk, Refusal>> open_backend(const DiskConfig& disk, std::optional<Disk> below,
                                             BounceSource* bounce) override;
    BounceSource& bounce(usize nesting) override { return *bounce_[nesting]; }
    void opened(const DiskConfig& disk, const Disk& handle,
                const std::shared_ptr<DiskInterface>& implementation) override {
        collector_.opened(disk, handle, implementation);
    }
    u64 ram_disk_budget_bytes() override;

    PhysicalController* find(PciAddress device);
    Task<Result<void>> open_driver(PhysicalController& controller);
    void add_to_boot_order(const StorageControllerConfig& config, unsigned device);
    Task<Result<PciFunction*, ConfigError>> make_controller(const StorageControllerConfig& config,
                                                            GuestMachine& machine);
    Task<Result<PciFunction*, ConfigError>> make_nvme(const StorageControllerConfig& config, GuestMachine& machine);
    Task<Result<PciFunction*, ConfigError>> make_virtio_block(const StorageControllerConfig& config,
                                                              GuestMachine& machine);
    Task<Result<PciFunction*, ConfigError>> make_virtio_scsi(const StorageControllerConfig& config,
                                                             GuestMachine& machine);
    Task<Result<std::shared_ptr<scsi::LogicalUnit>, ConfigError>> open_unit(const LunConfig& lun, u32 controller);
    Task<Result<Disk, ConfigError>> open_lun(const LunConfig& lun);
    Task<Result<Disk, ConfigError>> open_disk(const LunConfig& lun, const DiskConfig& config);
    // legacy_disks.cpp: what has had its ports and interrupts since before PCI.
    using MediumCheck = bool (*)(const Disk& disk);
    Task<Result<std::vector<Disk>, ConfigError>> open_media(const LunConfig& lun, MediumCheck is_medium,
                                                            const char* what_is);
    Task<Result<std::shared_ptr<scsi::OpticalUnit>, ConfigError>> open_optical(const LunConfig& lun, std::string name,
                                                                               scsi::OpticalUnitConfig config);
    Task<Result<void, ConfigError>> add_dvd(ide::Controller& controller, const LunConfig& lun,
                                            ide::DriveIdentity identity);
    static bool is_legacy(StorageProtocol protocol);
    Task<Result<void, ConfigError>> add_legacy(const StorageControllerConfig& config, GuestMachine& machine);
    Task<Result<void, ConfigError>> add_floppy(const StorageControllerConfig& config, GuestMachine& machine);
    Task<Result<void, ConfigError>> add_ide(const StorageControllerConfig& config, GuestMachine& machine);

    const vtl2::BootInfo& boot_info_;
    std::vector<Executor*> executors_;
    Configuration configuration_;
    KeyStore keys_;
    std::vector<PhysicalController> physical_;
    std::unique_ptr<ProcessorBounceSource> bounce_[crypt_nesting_max];
    std::vector<std::unique_ptr<nvme::Controller>> nvme_controllers_;
    std::vector<std::unique_ptr<virtio::PciController>> virtio_controllers_;
    InterruptLines::User ide_interrupts_[ide::channels];
    std::unique_ptr<ide::Controller> ide_;
    InterruptLines::User floppy_interrupt_;
    std::unique_ptr<floppy::DmaController> floppy_dma_;
    std::unique_ptr<floppy::Controller> floppy_;
    BootOrder boot_order_;
    std::vector<std::unique_ptr<MediaChanger>> drives_;
    u32 scsi_controllers_ = 0;
    DiskCollector collector_;
    std::vector<InspectedDisk> disks_;  // of all LUNs, in the configuration's order
};

}  // namespace undercroft::paravisor
