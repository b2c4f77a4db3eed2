// The walk down a tree of disks, for checking and for opening.
#include "storage/pipeline.hpp"

#include "kernel/crypto/wipe.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/layers/crypt_disk.hpp"

namespace undercroft {

namespace {

using OpenResult = Result<Disk, ConfigError>;

std::optional<std::string> key_problem(const CryptDiskConfig& crypt, PipelineEnvironment& environment) {
    std::optional<std::span<const std::byte>> key = environment.key(crypt.key);
    if (!key) {
        return "there is no key \"" + crypt.key + "\"";
    }
    if (key->size() != XtsCipher::key_bytes) {
        return "key \"" + crypt.key + "\" has " + decimal(key->size()) + " bytes, and must have " +
               decimal(XtsCipher::key_bytes);
    }
    if (equal_in_constant_time(key->first(XtsCipher::key_bytes / 2), key->last(XtsCipher::key_bytes / 2))) {
        return "key \"" + crypt.key + "\" has two equal halves, which XTS forbids";
    }
    return std::nullopt;
}

std::string key_path(const DiskConfig& disk) { return disk.path.empty() ? "key" : disk.path + ".key"; }

std::unexpected<ConfigError> failure(const DiskConfig& disk, std::string message) {
    return std::unexpected(ConfigError{.path = disk.path, .message = std::move(message)});
}

OpenResult wrap(const DiskConfig& disk, std::shared_ptr<DiskInterface> implementation) {
    DiskResult<Disk> handle = Disk::create(std::move(implementation));
    if (!handle) {
        return failure(disk, "contradicts itself");
    }
    return std::move(*handle);
}

OpenResult open_memory(const DiskConfig& disk, const RamDiskConfig& memory, PipelineEnvironment& environment) {
    DiskResult<std::shared_ptr<RamDisk>> opened =
        RamDisk::create({.sectors = memory.size_bytes / memory.sector_size,
                         .sector_size = memory.sector_size,
                         .memory_budget_bytes = environment.ram_disk_budget_bytes(),
                         .id = {}});
    if (!opened) {
        return failure(disk, std::string("cannot be made: ") + to_string(opened.error()));
    }
    return wrap(disk, std::move(*opened));
}

Task<OpenResult> open_nvme(const DiskConfig& disk, const NvmeDiskConfig& nvme, PipelineEnvironment& environment) {
    DiskResult<Disk> opened = co_await environment.open_nvme(nvme.device, nvme.namespace_id);
    if (!opened) {
        co_return failure(disk, "namespace " + decimal(nvme.namespace_id) + " of " + to_string(nvme.device) +
                                    " cannot be opened: " + to_string(opened.error()));
    }
    co_return std::move(*opened);
}

Task<OpenResult> open_at(const DiskConfig& disk, PipelineEnvironment& environment, usize nesting);

Task<OpenResult> open_crypt(const DiskConfig& disk, const CryptDiskConfig& crypt, PipelineEnvironment& environment,
                            usize nesting) {
    if (std::optional<std::string> problem = key_problem(crypt, environment)) {
        co_return std::unexpected(ConfigError{.path = key_path(disk), .message = std::move(*problem)});
    }
    Disk below = CO_TRY(co_await open_at(*crypt.over, environment, nesting + 1));
    std::span<const std::byte, XtsCipher::key_bytes> key(*environment.key(crypt.key));
    DiskResult<std::shared_ptr<CryptDisk>> opened = CryptDisk::create(below, key, environment.bounce(nesting));
    if (!opened) {
        bool large = below.sector_size() > XtsCipher::unit_bytes_max;
        co_return failure(disk, large ? "the disk below has sectors of " + decimal(below.sector_size()) +
                                            " bytes; encryption is for at most " + decimal(XtsCipher::unit_bytes_max)
                                      : std::string("cannot be made: ") + to_string(opened.error()));
    }
    co_return wrap(disk, std::move(*opened));
}

Task<OpenResult> open_at(const DiskConfig& disk, PipelineEnvironment& environment, usize nesting) {
    if (const auto* nvme = std::get_if<NvmeDiskConfig>(&disk.kind)) {
        return open_nvme(disk, *nvme, environment);
    }
    if (const auto* memory = std::get_if<RamDiskConfig>(&disk.kind)) {
        return Task<OpenResult>::ready(open_memory(disk, *memory, environment));
    }
    return open_crypt(disk, *std::get_if<CryptDiskConfig>(&disk.kind), environment, nesting);
}

}  // namespace

ConfigErrors check_pipeline(const DiskConfig& disk, PipelineEnvironment& environment) {
    ConfigErrors errors;
    const DiskConfig* at = &disk;
    while (const auto* crypt = std::get_if<CryptDiskConfig>(&at->kind)) {
        if (std::optional<std::string> problem = key_problem(*crypt, environment)) {
            errors.push_back({.path = key_path(*at), .message = std::move(*problem)});
        }
        at = crypt->over.get();
    }
    return errors;
}

ConfigErrors check_pipelines(const Configuration& configuration, PipelineEnvironment& environment) {
    ConfigErrors errors;
    for (const StorageControllerConfig& controller : configuration.storage_controllers) {
        for (const LunConfig& lun : controller.luns) {
            for (ConfigError& error : check_pipeline(lun.disk, environment)) {
                errors.push_back(std::move(error));
            }
        }
    }
    return errors;
}

Task<Result<Disk, ConfigError>> open_pipeline(const DiskConfig& disk, PipelineEnvironment& environment) {
    return open_at(disk, environment, 0);
}

Task<Result<Disk, ConfigErrors>> build_pipeline(const DiskConfig& disk, PipelineEnvironment& environment) {
    ConfigErrors errors = check_pipeline(disk, environment);
    if (!errors.empty()) {
        co_return std::unexpected(std::move(errors));
    }
    OpenResult opened = co_await open_pipeline(disk, environment);
    if (!opened) {
        errors.push_back(std::move(opened.error()));
        co_return std::unexpected(std::move(errors));
    }
    co_return std::move(*opened);
}

}  // namespace undercroft
