// From the configuration to the guest's controllers.
#include "boot/paravisor/disks.hpp"

#include "boot/paravisor/memory.hpp"
#include "boot/paravisor/processors.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/log.hpp"
#include "kernel/crypto/wipe.hpp"
#include "storage/backends/nvme_disk.hpp"
#include "storage/frontends/virtio/block_device.hpp"
#include "storage/frontends/virtio/scsi_device.hpp"
#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/optical_unit.hpp"

namespace undercroft::paravisor {

namespace {

constexpr const char* configuration_file = "opt/undercroft/config.json";
constexpr usize key_bytes_max = 4096;  // what is longer than a key is told so, not read
constexpr u32 nvme_class_code = 0x01'0802;
constexpr usize virtio_queues_max = 16;  // of one virtio block device; one a processor, as far as that goes

[[noreturn]] void refuse(const ConfigErrors& errors) {
    for (const ConfigError& error : errors) {
        log_error("configuration: %s", to_string(error).c_str());
    }
    log_error("configuration: refused, %zu errors; no disk was touched", errors.size());
    hypercalls::platform_exit(ExitStatus::configuration_refused);
}

[[noreturn]] void refuse_late(const ConfigError& error) {
    log_error("configuration: %s", to_string(error).c_str());
    hypercalls::platform_exit(ExitStatus::configuration_refused);
}

}  // namespace

void KeyStore::load(const Configuration& configuration, const FirmwareConfig& firmware) {
    for (const StorageControllerConfig& controller : configuration.storage_controllers) {
        for (const LunConfig& lun : controller.luns) {
            for_each_disk(lun, [&](const DiskConfig& disk) { load_of(disk, firmware); });
        }
    }
}

void KeyStore::load_of(const DiskConfig& disk, const FirmwareConfig& firmware) {
    const auto* crypt = std::get_if<CryptDiskConfig>(&disk.kind);
    if (crypt != nullptr && is_key_name(crypt->key) && !find(crypt->key)) {
        Result<std::vector<std::byte>> bytes =
            firmware.read_file(std::string(key_file_prefix) + crypt->key, key_bytes_max);
        if (bytes) {
            keys_.push_back({crypt->key, std::move(*bytes)});
        } else if (bytes.error() == Error::out_of_range) {
            keys_.push_back({crypt->key, std::vector<std::byte>(key_bytes_max)});
        }
    }
    for (const DiskConfig& below : disks_below(disk)) {
        load_of(below, firmware);
    }
}

Result<std::span<const std::byte>, Refusal> KeyStore::find(std::string_view name) const {
    for (const Key& key : keys_) {
        if (key.name == name) {
            return key.bytes;
        }
    }
    if (!is_key_name(name)) {
        return std::unexpected(quoted(name) + " is no name of a key, which has 1 to " + decimal(key_name_length_max) +
                               " letters, digits, '-', '_' or '.', and does not begin with '.'");
    }
    return std::unexpected("there is no key " + quoted(name) + ", which is the fw_cfg file " +
                           std::string(key_file_prefix) + std::string(name));
}

void KeyStore::wipe() {
    for (Key& key : keys_) {
        secure_wipe(key.bytes);
    }
    keys_.clear();
}

BouncePool& ProcessorBounceSource::pool() {
    std::unique_ptr<BouncePool>& pool = pools_[VirtualProcessor::current().index()];
    if (pool == nullptr) {
        std::byte* memory = pages().allocate_bytes(pool_bytes);
        if (memory == nullptr) {
            PANIC("no memory for a bounce pool");
        }
        pool = std::make_unique<BouncePool>(std::span(memory, pool_bytes));
    }
    return *pool;
}

Disks::Disks(const vtl2::BootInfo& boot_info) : boot_info_(boot_info) {
    for (u32 index = 0; index < processor_count(); ++index) {
        executors_.push_back(&executor(index));
    }
    for (std::unique_ptr<ProcessorBounceSource>& source : bounce_) {
        source = std::make_unique<ProcessorBounceSource>(processor_count());
    }
    for (u32 index = 0; index < boot_info.device_count; ++index) {
        u16 id = boot_info.devices[index].bus_device_function;
        PciAddress address{.segment = 0,
                           .bus = static_cast<u8>(id >> 8),
                           .device = static_cast<u8>((id >> 3) & 31),
                           .function = static_cast<u8>(id & 7)};
        if (boot_info.devices[index].class_code == nvme_class_code) {
            log_info("NVMe controller %s is ours", to_string(address).c_str());
            physical_.push_back(
                {.address = address, .index = static_cast<u16>(index), .host = nullptr, .driver = nullptr});
        }
    }
}

void Disks::configure(const FirmwareConfig& firmware) {
    Result<std::vector<std::byte>> document = firmware.read_file(configuration_file, config_bytes_max);
    if (!document && document.error() == Error::not_found) {
        log_warning("there is no file %s: the guest gets no disk", configuration_file);
        return;
    }
    if (!document) {
        refuse({ConfigError{.path = {}, .message = "the document cannot be read, or is larger than 64 KiB"}});
    }
    Result<Configuration, ConfigErrors> parsed =
        parse_configuration({reinterpret_cast<const char*>(document->data()), document->size()});
    if (!parsed) {
        refuse(parsed.error());
    }
    configuration_ = std::move(*parsed);
    for (const ConfigError& warning : configuration_.warnings) {
        log_warning("configuration: %s", to_string(warning).c_str());
    }
    keys_.load(configuration_, firmware);
    ConfigErrors errors = check_pipelines(configuration_, *this);
    if (!errors.empty()) {
        refuse(errors);
    }
}

Task<void> Disks::open(GuestMachine& machine) {
    u8 device = PciHost::first_free_device;
    for (const StorageControllerConfig& config : configuration_.storage_controllers) {
        if (is_legacy(config.protocol)) {
            if (Result<void, ConfigError> added = co_await add_legacy(config, machine); !added) {
                refuse_late(added.error());
            }
            continue;
        }
        Result<PciFunction*, ConfigError> controller = co_await make_controller(config, machine);
        if (!controller) {
            refuse_late(controller.error());
        }
        ASSERT(machine.pci().attach(device, 0, **controller).has_value());
        log_info("the guest's PCI function 00:%02x.0 is %s", device, config.path.c_str());
        add_to_boot_order(config, device);
        ++device;
    }
    keys_.wipe();
}

void Disks::add_to_boot_order(const StorageControllerConfig& config, unsigned device) {
    if (config.protocol != StorageProtocol::scsi) {
        return boot_order_.add_function(device);
    }
    for (const LunConfig& lun : config.luns) {
        boot_order_.add_scsi(device, lun.location);
    }
}

Task<Result<PciFunction*, ConfigError>> Disks::make_controller(const StorageControllerConfig& config,
                                                               GuestMachine& machine) {
    switch (config.protocol) {
    case StorageProtocol::virtio_block:
        return make_virtio_block(config, machine);
    case StorageProtocol::scsi:
        return make_virtio_scsi(config, machine);
    default:
        return make_nvme(config, machine);
    }
}

Task<Result<Disk, ConfigError>> Disks::open_lun(const LunConfig& lun) { return open_disk(lun, lun.disk); }

Task<Result<Disk, ConfigError>> Disks::open_disk(const LunConfig& lun, const DiskConfig& config) {
    Disk disk = CO_TRY(co_await open_pipeline(config, *this));
    log_info("  %s: %s, %llu sectors of %u bytes", lun.path.c_str(), to_string(config).c_str(),
             static_cast<unsigned long long>(disk.sector_count()), disk.sector_size());
    std::optional<InspectedDisk> inspected = collector_.take();
    ASSERT(inspected);
    disks_.push_back(std::move(*inspected));
    co_return disk;
}

void Disks::describe(inspect::Node& root) const {
    root.child("nvme_controllers", [&](inspect::Node& node) {
        for (usize index = 0; index < nvme_controllers_.size(); ++index) {
            node.child(decimal(index), [&](inspect::Node& below) { nvme_controllers_[index]->describe(below); });
        }
    });
    root.child("virtio_controllers", [&](inspect::Node& node) {
        for (usize index = 0; index < virtio_controllers_.size(); ++index) {
            node.child(decimal(index), [&](inspect::Node& below) { virtio_controllers_[index]->describe(below); });
        }
    });
    root.child("disks", [&](inspect::Node& node) {
        for (usize index = 0; index < disks_.size(); ++index) {
            node.child(decimal(index), [&](inspect::Node& one) {
                one.child(disks_[index].kind, [&](inspect::Node& below) { disks_[index].describe(below); });
            });
        }
    });
    root.child("drives", [&](inspect::Node& node) {
        for (const std::unique_ptr<MediaChanger>& drive : drives_) {
            node.child(drive->name(), [&](inspect::Node& below) { drive->describe(below); });
        }
    });
    root.child("physical", [&](inspect::Node& node) {
        for (const PhysicalController& controller : physical_) {
            node.child(to_string(controller.address), [&](inspect::Node& below) {
                if (controller.driver != nullptr) {
                    controller.driver->describe(below);
                }
            });
        }
    });
}

namespace {

template <typename Controller>
Result<PciFunction*, ConfigError> keep(Result<std::unique_ptr<Controller>> made,
                                       std::vector<std::unique_ptr<Controller>>& all, const std::string& path) {
    if (!made) {
        return std::unexpected(
            ConfigError{path, std::string("the controller cannot be made: ") + to_string(made.error())});
    }
    all.push_back(std::move(*made));
    return all.back().get();
}

}  // namespace

Task<Result<PciFunction*, ConfigError>> Disks::make_nvme(const StorageControllerConfig& config, GuestMachine& machine) {
    std::vector<nvme::NamespaceConfig> namespaces;
    nvme::Identity identity;
    for (const LunConfig& lun : config.luns) {
        Disk disk = CO_TRY(co_await open_lun(lun));
        namespaces.push_back({.id = lun.location, .disk = disk, .nguid = {}, .eui64 = {}});
        identity.serial = lun.serial_number.empty() ? identity.serial : std::string_view(lun.serial_number);
        identity.model = lun.model_number.empty() ? identity.model : std::string_view(lun.model_number);
    }
    identity.controller_id = static_cast<u16>(nvme_controllers_.size());
    co_return keep(nvme::Controller::create({.memory = machine.memory(),
                                             .messages = machine.messages(),
                                             .executors = executors_,
                                             .namespaces = namespaces,
                                             .identity = identity}),
                   nvme_controllers_, config.path);
}

Task<Result<PciFunction*, ConfigError>> Disks::make_virtio_block(const StorageControllerConfig& config,
                                                                 GuestMachine& machine) {
    const LunConfig& lun = config.luns.front();
    Disk disk = CO_TRY(co_await open_lun(lun));
    virtio::BlockIdentity identity{.serial = lun.serial_number,
                                   .queues = static_cast<u16>(std::min<usize>(executors_.size(), virtio_queues_max))};
    co_return keep(virtio::PciController::create(
                       {.memory = machine.memory(),
                        .messages = machine.messages(),
                        .executors = executors_,
                        .device = std::make_unique<virtio::BlockDevice>(std::move(disk), std::move(identity))}),
                   virtio_controllers_, config.path);
}

Task<Result<std::shared_ptr<scsi::LogicalUnit>, ConfigError>> Disks::open_unit(const LunConfig& lun, u32 controller) {
    scsi::UnitIdentity identity{.serial = lun.serial_number.empty() ? lun.device_id : lun.serial_number};
    identity.product = lun.is_dvd ? "Virtual DVD-ROM" : identity.product;
    identity.vendor = lun.vendor_id.empty() ? identity.vendor : lun.vendor_id;
    identity.product = lun.product_id.empty() ? identity.product : lun.product_id;
    identity.revision = lun.product_revision_level.empty() ? identity.revision : lun.product_revision_level;
    if (lun.is_dvd) {
        co_return CO_TRY(co_await open_optical(lun, "scsi-" + decimal(controller) + "-" + decimal(lun.location),
                                               {.identity = std::move(identity)}));
    }
    Disk disk = CO_TRY(co_await open_lun(lun));
    co_return std::make_shared<scsi::BlockUnit>(scsi::BlockUnitConfig{.disk = disk, .identity = std::move(identity)});
}

Task<Result<PciFunction*, ConfigError>> Disks::make_virtio_scsi(const StorageControllerConfig& config,
                                                                GuestMachine& machine) {
    auto device =
        std::make_unique<virtio::ScsiDevice>(static_cast<u16>(std::min<usize>(executors_.size(), virtio_queues_max)));
    for (const LunConfig& lun : config.luns) {
        std::shared_ptr<scsi::LogicalUnit> unit = CO_TRY(co_await open_unit(lun, scsi_controllers_));
        ASSERT(device->target().add(lun.location, std::move(unit)).has_value());
    }
    ++scsi_controllers_;
    co_return keep(virtio::PciController::create({.memory = machine.memory(),
                                                  .messages = machine.messages(),
                                                  .executors = executors_,
                                                  .device = std::move(device)}),
                   virtio_controllers_, config.path);
}

Disks::PhysicalController* Disks::find(PciAddress device) {
    for (PhysicalController& controller : physical_) {
        if (controller.address == device) {
            return &controller;
        }
    }
    return nullptr;
}

Task<Result<void>> Disks::open_driver(PhysicalController& controller) {
    controller.host =
        CO_TRY(PciDeviceHost::open(controller.index, boot_info_.devices[controller.index], pages(), addresses()));
    controller.driver = CO_TRY(co_await nvme::host::Driver::open(*controller.host, {}, executors_));
    const nvme::host::ControllerFacts& facts = controller.driver->facts();
    log_info("NVMe controller %s: %s, serial %s", to_string(controller.address).c_str(), facts.model_number.data(),
             facts.serial_number.data());
    co_return Result<void>{};
}

std::optional<Refusal> Disks::refuse_backend(const DiskConfig& disk) {
    if (const auto* nvme = std::get_if<NvmeDiskConfig>(&disk.kind)) {
        if (find(nvme->device) == nullptr) {
            return "there is no NVMe controller at " + to_string(nvme->device);
        }
        return std::nullopt;
    }
    if (std::holds_alternative<VmbusDiskConfig>(disk.kind)) {
        return "this image has no VMBus; give the PCI address of an NVMe controller, such as 0000:00:03.0";
    }
    return std::string(kind_name(disk)) + ": is for the host program; this image has nvme and mem";
}

Task<Result<Disk, Refusal>> Disks::open_backend(const DiskConfig& disk, std::optional<Disk> below,
                                                BounceSource* bounce) {
    (void)below;
    (void)bounce;
    const auto* nvme = std::get_if<NvmeDiskConfig>(&disk.kind);
    if (nvme == nullptr) {
        co_return std::unexpected(refuse_backend(disk).value_or(""));
    }
    PhysicalController* controller = find(nvme->device);
    if (controller == nullptr) {
        co_return std::unexpected("there is no NVMe controller at " + to_string(nvme->device));
    }
    if (controller->driver == nullptr) {
        if (Result<void> opened = co_await open_driver(*controller); !opened) {
            co_return std::unexpected("NVMe controller " + to_string(nvme->device) +
                                      " cannot be used: " + to_string(opened.error()));
        }
    }
    Result<std::shared_ptr<nvme::host::Namespace>> opened =
        co_await controller->driver->open_namespace(nvme->namespace_id);
    if (!opened) {
        co_return std::unexpected("namespace " + decimal(nvme->namespace_id) + " of " + to_string(nvme->device) +
                                  " cannot be opened: " + to_string(opened.error()));
    }
    DiskResult<Disk> handle = Disk::create(NvmeDisk::create(std::move(*opened)));
    if (!handle) {
        co_return std::unexpected(std::string("the namespace's properties contradict each other"));
    }
    co_return std::move(*handle);
}

u64 Disks::ram_disk_budget_bytes() { return pages().counters().free * page_size / 2; }

}  // namespace undercroft::paravisor
