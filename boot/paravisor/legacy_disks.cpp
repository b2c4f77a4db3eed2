// Disks of the guest behind controllers that have had their ports and interrupts since before PCI.
#include "boot/paravisor/disks.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::paravisor {

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
        Disk disk = CO_TRY(co_await open_lun(lun));
        ide::DriveIdentity identity;
        identity.serial =
            lun.serial_number.empty() ? "UC000" + decimal(2 * lun.channel + lun.location) : lun.serial_number;
        identity.model = lun.model_number.empty() ? identity.model : lun.model_number;
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
