// Disks of the guest behind controllers that have had their ports and interrupts since before PCI.
#include "boot/paravisor/disks.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/log.hpp"
#include "storage/frontends/floppy/removable_drive.hpp"
#include "storage/scsi/optical_unit.hpp"

namespace undercroft::paravisor {

bool Disks::is_legacy(StorageProtocol protocol) {
    return protocol == StorageProtocol::ide || protocol == StorageProtocol::floppy;
}

Task<Result<void, ConfigError>> Disks::add_legacy(const StorageControllerConfig& config, GuestMachine& machine) {
    return config.protocol == StorageProtocol::ide ? add_ide(config, machine) : add_floppy(config, machine);
}

Task<Result<void, ConfigError>> Disks::add_floppy(const StorageControllerConfig& config, GuestMachine& machine) {
    floppy_interrupt_ = machine.platform().isa_interrupt(fdc::irq);
    floppy_dma_ = std::make_unique<floppy::DmaController>(machine.memory());
    floppy_ = std::make_unique<floppy::Controller>(
        floppy::ControllerConfig{.interrupt = floppy_interrupt_, .dma = *floppy_dma_, .executor = *executors_.front()});
    for (const LunConfig& lun : config.luns) {
        auto is_medium = [](const Disk& disk) { return floppy::format_of(disk) != nullptr; };
        std::vector<Disk> media = CO_TRY(co_await open_media(
            lun, is_medium, "floppy disks have 512 bytes and 720, 1440, 2400, 2880, 3360 or 3444 sectors"));
        floppy_->add_drive(lun.location);
        boot_order_.add_floppy(lun.location);
        ASSERT(floppy_->insert(lun.location, media.front()).has_value());
        drives_.push_back(std::make_unique<MediaChanger>("floppy-" + decimal(lun.location),
                                                         std::make_shared<floppy::FloppyDrive>(*floppy_, lun.location),
                                                         std::move(media), 1));
    }
    machine.platform().set_floppy_types(floppy_->cmos_type(0), floppy_->cmos_type(1));
    ASSERT(floppy_dma_->add_to(machine.platform().bus()).has_value());
    ASSERT(floppy_->add_to(machine.platform().bus()).has_value());
    co_return Result<void, ConfigError>{};
}

/// The medium of a drive, if it is not empty, and those that may take its place.
Task<Result<std::vector<Disk>, ConfigError>> Disks::open_media(const LunConfig& lun, MediumCheck is_medium,
                                                               const char* what_is) {
    std::vector<const DiskConfig*> configs;
    for_each_disk(lun, [&](const DiskConfig& config) {
        if (!std::holds_alternative<EmptyDriveConfig>(config.kind)) {
            configs.push_back(&config);
        }
    });
    std::vector<Disk> media;
    for (const DiskConfig* config : configs) {
        Disk disk = CO_TRY(co_await open_disk(lun, *config));
        if (!is_medium(disk)) {
            co_return std::unexpected(ConfigError{config->path, "has " + decimal(disk.sector_count()) + " sectors of " +
                                                                    decimal(disk.sector_size()) + " bytes; " +
                                                                    what_is});
        }
        media.push_back(std::move(disk));
    }
    co_return media;
}

/// A DVD drive of whatever bus, with its medium in, under `name` in `drives`.
Task<Result<std::shared_ptr<scsi::OpticalUnit>, ConfigError>>
Disks::open_optical(const LunConfig& lun, std::string name, scsi::OpticalUnitConfig config) {
    std::vector<Disk> media =
        CO_TRY(co_await open_media(lun, &scsi::OpticalUnit::is_medium, "a DVD has sectors of up to 2048 bytes"));
    bool is_empty = std::holds_alternative<EmptyDriveConfig>(lun.disk.kind);
    if (!is_empty) {
        config.medium = media.front();
    }
    auto unit = std::make_shared<scsi::OpticalUnit>(std::move(config));
    drives_.push_back(std::make_unique<MediaChanger>(std::move(name), unit, std::move(media), is_empty ? 0 : 1));
    co_return unit;
}

Task<Result<void, ConfigError>> Disks::add_dvd(ide::Controller& controller, const LunConfig& lun,
                                               ide::DriveIdentity identity) {
    scsi::OpticalUnitConfig config{.is_atapi = true};
    config.identity.serial = identity.serial;
    if (lun.model_number.empty()) {
        identity.model = "Undercroft DVD-ROM";
    }
    std::string name = "ide-" + decimal(lun.channel) + "-" + decimal(lun.location);
    auto unit = CO_TRY(co_await open_optical(lun, std::move(name), std::move(config)));
    ASSERT(controller.attach_packet(lun.channel, lun.location, std::move(unit), std::move(identity)).has_value());
    co_return Result<void, ConfigError>{};
}

/// The two channels are asked on different processors where there are two.
Task<Result<void, ConfigError>> Disks::add_ide(const StorageControllerConfig& config, GuestMachine& machine) {
    ide_interrupts_[0] = machine.platform().isa_interrupt(ata::primary_irq);
    ide_interrupts_[1] = machine.platform().isa_interrupt(ata::secondary_irq);
    Result<std::unique_ptr<ide::Controller>> made =
        ide::Controller::create({.memory = machine.memory(),
                                 .interrupts = {&ide_interrupts_[0], &ide_interrupts_[1]},
                                 .pause = machine.guest_pause(),
                                 .executors = {executors_[0], executors_[1 % executors_.size()]}});
    if (!made) {
        co_return std::unexpected(ConfigError{config.path, "there is no memory for an IDE controller"});
    }
    for (const LunConfig& lun : config.luns) {
        ide::DriveIdentity identity;
        identity.serial =
            lun.serial_number.empty() ? "UC000" + decimal(2 * lun.channel + lun.location) : lun.serial_number;
        identity.model = lun.model_number.empty() ? identity.model : lun.model_number;
        boot_order_.add_ide(ide::pci_device, ide::pci_function, lun.channel, lun.location);
        if (lun.is_dvd) {
            CO_TRY(co_await add_dvd(**made, lun, std::move(identity)));
            continue;
        }
        Disk disk = CO_TRY(co_await open_lun(lun));
        if (!(*made)->attach_disk(lun.channel, lun.location, disk, std::move(identity))) {
            co_return std::unexpected(
                ConfigError{lun.path, "has sectors of " + decimal(disk.sector_size()) + " bytes; IDE has up to 4096"});
        }
    }
    ide_ = std::move(*made);
    ASSERT(ide_->add_to(machine.platform().bus()).has_value());
    ASSERT(machine.pci().attach(ide::pci_device, ide::pci_function, *ide_).has_value());
    log_info("the guest's IDE controller 00:%02x.%u has %zu drives", ide::pci_device, ide::pci_function,
             config.luns.size());
    co_return Result<void, ConfigError>{};
}

}  // namespace undercroft::paravisor
