// The configuration: one JSON document (RFC 8259), the same for image and host. It is read whole, every error in it is
// reported with its path, and only a document without errors becomes a `Configuration`. docs/configuration.md describes
// the document, docs/config.schema.json is its schema. Leaves out what needs more than the document: whether a key
// exists, whether a device answers (storage/pipeline.hpp).
#pragma once

#include "kernel/config/disk_config.hpp"

namespace undercroft {

inline constexpr usize config_bytes_max = 64 * kib;
inline constexpr usize config_depth_max = 64;   ///< objects and arrays inside each other
inline constexpr usize config_errors_max = 64;  ///< reported at once; what is more is counted
inline constexpr usize storage_controllers_max = 8;
inline constexpr usize nvme_luns_max = 64;  ///< LUNs (namespaces) of one NVMe controller
inline constexpr usize scsi_controllers_max = 4;
inline constexpr usize scsi_luns_max = 64;
inline constexpr usize ide_controllers_max = 1;  ///< with two channels of two drives
inline constexpr usize floppy_controllers_max = 1;
inline constexpr u32 floppy_drives = 2;
inline constexpr u32 ide_channels = 2;
inline constexpr u32 ide_drives_per_channel = 2;
inline constexpr usize drive_media_max = 16;       ///< of one drive, beside its `disk`
inline constexpr usize virtio_block_luns_max = 1;  ///< a virtio block device is one disk, at location 0

/// What the guest sees at one place of a controller. Empty texts were not given.
struct LunConfig {
    std::string path;
    u32 location = 0;  ///< NVMe: the namespace id; SCSI: the LUN; IDE: the drive of its channel; virtio-blk: 0
    u32 channel = 0;   ///< IDE alone
    bool is_dvd = false;
    std::string device_id;
    std::string vendor_id;
    std::string product_id;
    std::string product_revision_level;
    std::string serial_number;
    std::string model_number;
    DiskConfig disk;  ///< an `EmptyDriveConfig` only where `is_dvd`
    /// What may be put into a DVD or floppy drive in its place, while the guest runs.
    std::vector<DiskConfig> media;
};

/// Calls `visit` with every disk of a LUN: what is behind it, and what may be put into it.
template <typename Visit>
void for_each_disk(const LunConfig& lun, Visit&& visit) {
    visit(lun.disk);
    for (const DiskConfig& medium : lun.media) {
        visit(medium);
    }
}

enum class StorageProtocol : u8 { nvme, scsi, ide, virtio_block, floppy };

struct StorageControllerConfig {
    std::string path;
    StorageProtocol protocol;
    Guid instance_id;
    std::vector<LunConfig> luns;
};

struct Configuration {
    std::vector<StorageControllerConfig> storage_controllers;
    ConfigErrors warnings;  ///< properties that were understood and have no effect
};

/// Reads and validates a document. On failure: every error found, in the document's order.
Result<Configuration, ConfigErrors> parse_configuration(std::string_view json);

}  // namespace undercroft
