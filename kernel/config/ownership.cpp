// Nothing that holds data may be behind two disks at once.
#include "kernel/config/object_reader.hpp"

namespace undercroft {

namespace {

// What only one disk may have; nothing for disks that share nothing, or only read.
std::optional<std::string> owned_thing(const DiskConfig& disk) {
    if (const auto* nvme = std::get_if<NvmeDiskConfig>(&disk.kind)) {
        return "namespace " + decimal(nvme->namespace_id) + " of " + to_string(nvme->device);
    }
    if (const auto* vmbus = std::get_if<VmbusDiskConfig>(&disk.kind)) {
        return "disk " + decimal(vmbus->sub_device) + " of " + to_string(vmbus->instance_id);
    }
    auto file = [](const std::string& path, bool read_only) {
        return read_only ? std::nullopt : std::optional<std::string>("file " + quoted(path));
    };
    if (const auto* it = std::get_if<FileDiskConfig>(&disk.kind)) {
        return file(it->path, it->read_only);
    }
    if (const auto* it = std::get_if<BlockDeviceConfig>(&disk.kind)) {
        return file(it->path, it->read_only);
    }
    if (const auto* it = std::get_if<Vhd1DiskConfig>(&disk.kind)) {
        return file(it->path, it->read_only);
    }
    if (const auto* it = std::get_if<SqliteDiskConfig>(&disk.kind)) {
        return file(it->path, false);
    }
    const auto* diff = std::get_if<SqliteDiffConfig>(&disk.kind);
    return diff == nullptr ? std::nullopt : file(diff->path, false);
}

// Two owners of one namespace would overwrite each other.
class Owners {
public:
    explicit Owners(ConfigReport& report) : report_(report) {}

    void add(const DiskConfig& disk, const LunConfig& lun) {
        if (std::optional<std::string> thing = owned_thing(disk)) {
            for (const Owner& owner : owners_) {
                if (owner.thing == *thing) {
                    report_.error(disk.path, *thing + " is used by " + owner.lun->path + " already", disk.span);
                }
            }
            owners_.push_back({.thing = std::move(*thing), .lun = &lun});
        }
        for (const DiskConfig& below : disks_below(disk)) {
            add(below, lun);
        }
    }

private:
    struct Owner {
        std::string thing;
        const LunConfig* lun;
    };
    ConfigReport& report_;
    std::vector<Owner> owners_;
};

}  // namespace

void check_owners(ConfigReport& report, const std::vector<StorageControllerConfig>& controllers) {
    Owners owners(report);
    for (const StorageControllerConfig& controller : controllers) {
        for (const LunConfig& lun : controller.luns) {
            for_each_disk(lun, [&](const DiskConfig& disk) { owners.add(disk, lun); });
        }
    }
}

}  // namespace undercroft
