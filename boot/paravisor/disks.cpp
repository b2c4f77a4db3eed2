// From the configuration to the guest's controllers.
#include "boot/paravisor/disks.hpp"

#include "boot/paravisor/memory.hpp"
#include "boot/paravisor/processors.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/log.hpp"
#include "kernel/crypto/wipe.hpp"
#include "storage/backends/nvme_disk.hpp"

namespace undercroft::paravisor {

namespace {

constexpr const char* configuration_file = "opt/undercroft/config.json";
constexpr usize key_bytes_max = 4096;  // what is longer than a key is told so, not read
constexpr u32 nvme_class_code = 0x01'0802;

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
            load_of(lun.disk, firmware);
        }
    }
}

void KeyStore::load_of(const DiskConfig& disk, const FirmwareConfig& firmware) {
    const auto* crypt = std::get_if<CryptDiskConfig>(&disk.kind);
    if (crypt == nullptr) {
        return;
    }
    if (!find(crypt->key)) {
        Result<std::vector<std::byte>> bytes =
            firmware.read_file(std::string(key_file_prefix) + crypt->key, key_bytes_max);
        if (bytes) {
            keys_.push_back({crypt->key, std::move(*bytes)});
        } else if (bytes.error() == Error::out_of_range) {
            keys_.push_back({crypt->key, std::vector<std::byte>(key_bytes_max)});
        }
    }
    load_of(*crypt->over, firmware);
}

std::optional<std::span<const std::byte>> KeyStore::find(std::string_view name) const {
    for (const Key& key : keys_) {
        if (key.name == name) {
            return key.bytes;
        }
    }
    return std::nullopt;
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
    for (u16 index = 0; index < boot_info.device_count; ++index) {
        u16 id = boot_info.devices[index].bus_device_function;
        PciAddress address{.segment = 0,
                           .bus = static_cast<u8>(id >> 8),
                           .device = static_cast<u8>((id >> 3) & 31),
                           .function = static_cast<u8>(id & 7)};
        if (boot_info.devices[index].class_code == nvme_class_code) {
            log_info("NVMe controller %s is ours", to_string(address).c_str());
            physical_.push_back({.address = address, .index = index, .host = nullptr, .driver = nullptr});
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
    for (const StorageControllerConfig& controller : configuration_.storage_controllers) {
        if (controller.protocol != StorageProtocol::nvme) {
            errors.push_back({controller.path + ".protocol", "only nvme is served by this image"});
        }
    }
    if (!errors.empty()) {
        refuse(errors);
    }
}

Task<void> Disks::open(GuestMachine& machine) {
    u8 device = PciHost::first_free_device;
    for (const StorageControllerConfig& config : configuration_.storage_controllers) {
        Result<std::unique_ptr<nvme::Controller>, ConfigError> controller = co_await make_controller(config, machine);
        if (!controller) {
            refuse_late(controller.error());
        }
        ASSERT(machine.pci().attach(device, 0, **controller).has_value());
        log_info("the guest's NVMe controller 00:%02x.0 has %zu namespaces", device, config.luns.size());
        controllers_.push_back(std::move(*controller));
        ++device;
    }
    keys_.wipe();
}

Task<Result<std::unique_ptr<nvme::Controller>, ConfigError>>
Disks::make_controller(const StorageControllerConfig& config, GuestMachine& machine) {
    std::vector<nvme::NamespaceConfig> namespaces;
    nvme::Identity identity;
    for (const LunConfig& lun : config.luns) {
        Disk disk = CO_TRY(co_await open_pipeline(lun.disk, *this));
        log_info("  namespace %u: %s, %llu sectors of %u bytes", lun.location, to_string(lun.disk).c_str(),
                 static_cast<unsigned long long>(disk.sector_count()), disk.sector_size());
        namespaces.push_back({.id = lun.location, .disk = disk, .nguid = {}, .eui64 = {}});
        identity.serial = lun.serial_number.empty() ? identity.serial : std::string_view(lun.serial_number);
        identity.model = lun.model_number.empty() ? identity.model : std::string_view(lun.model_number);
    }
    identity.controller_id = static_cast<u16>(controllers_.size());
    Result<std::unique_ptr<nvme::Controller>> controller = nvme::Controller::create({.memory = machine.memory(),
                                                                                     .messages = machine.messages(),
                                                                                     .executors = executors_,
                                                                                     .namespaces = namespaces,
                                                                                     .identity = identity});
    if (!controller) {
        co_return std::unexpected(
            ConfigError{config.path, std::string("the controller cannot be made: ") + to_string(controller.error())});
    }
    co_return std::move(*controller);
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

Task<DiskResult<Disk>> Disks::open_nvme(PciAddress device, u32 namespace_id) {
    PhysicalController* controller = find(device);
    if (controller == nullptr) {
        co_return fail(DiskError::gone);
    }
    if (controller->driver == nullptr) {
        Result<void> opened = co_await open_driver(*controller);
        if (!opened) {
            log_error("NVMe controller %s cannot be used: %s", to_string(device).c_str(), to_string(opened.error()));
            co_return fail(DiskError::gone);
        }
    }
    Result<std::shared_ptr<nvme::host::Namespace>> opened = co_await controller->driver->open_namespace(namespace_id);
    if (!opened) {
        log_error("NVMe controller %s, namespace %u: %s", to_string(device).c_str(), namespace_id,
                  to_string(opened.error()));
        co_return fail(opened.error() == Error::not_found ? DiskError::illegal_block : DiskError::gone);
    }
    co_return Disk::create(NvmeDisk::create(std::move(*opened)));
}

u64 Disks::ram_disk_budget_bytes() { return pages().counters().free * page_size / 2; }

}  // namespace undercroft::paravisor
