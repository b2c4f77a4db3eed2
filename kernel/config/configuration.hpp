// The configuration: one JSON document (RFC 8259), the same for image and host. It is read whole, every error in it is
// reported with its path, and only a document without errors becomes a `Configuration`. docs/configuration.md describes
// the document, docs/config.schema.json is its schema. Leaves out what needs more than the document: whether a key
// exists, whether a device answers (storage/pipeline.hpp).
#pragma once

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "kernel/base/result.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

/// What is wrong, and where in the document: `storage_controllers[0].luns[1].disk.crypt.key`. The path is empty for the
/// document as a whole.
struct ConfigError {
    std::string path;
    std::string message;
};

using ConfigErrors = std::vector<ConfigError>;

/// `path: message`, or the message alone.
std::string to_string(const ConfigError& error);

inline constexpr usize config_bytes_max = 64 * kib;
inline constexpr usize config_depth_max = 32;   ///< objects and arrays inside each other
inline constexpr usize config_errors_max = 64;  ///< reported at once; what is more is counted
inline constexpr usize storage_controllers_max = 8;
inline constexpr usize nvme_luns_max = 64;  ///< LUNs (namespaces) of one NVMe controller
inline constexpr u32 namespace_id_max =
    0xffff'fffe;                               ///< from 1; all ones means every namespace (NVMe 2.0, section 3.2.1.2)
inline constexpr usize disk_nesting_max = 16;  ///< disks inside each other
inline constexpr usize crypt_nesting_max = 2;  ///< crypt disks inside each other
inline constexpr u64 ram_disk_bytes_max = 4096 * gib;

struct DiskConfig;

/// A namespace of a physical NVMe controller: `{"nvme": {"device": "0000:00:03.0", "namespace": 1}}`.
struct NvmeDiskConfig {
    PciAddress device;
    u32 namespace_id = 0;
};

/// A disk in memory: `{"mem": {"size": "64M", "sector_size": 512}}`.
struct RamDiskConfig {
    u64 size_bytes = 0;
    u32 sector_size = 512;
};

/// AES-256-XTS over another disk: `{"crypt": {"key": "demo", "over": {...}}}`. The key is named; its bytes are
/// elsewhere.
struct CryptDiskConfig {
    std::string key;
    std::unique_ptr<DiskConfig> over;
};

struct DiskConfig {
    std::string path;  ///< where in the document it was described, for errors that come later
    std::variant<NvmeDiskConfig, RamDiskConfig, CryptDiskConfig> kind;
};

/// What the guest sees at one place of a controller. Empty texts were not given.
struct LunConfig {
    std::string path;
    u32 location = 0;  ///< NVMe: the namespace id
    std::string device_id;
    std::string vendor_id;
    std::string product_id;
    std::string product_revision_level;
    std::string serial_number;
    std::string model_number;
    DiskConfig disk;
};

enum class StorageProtocol : u8 { nvme, scsi, ide };

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

/// Reads and validates one disk in the one-line grammar: `crypt:xts-aes-256:KEY:DISK`, `nvme:PCI/NAMESPACE`,
/// `mem:SIZE`. `path` is what errors are reported under.
Result<DiskConfig, ConfigErrors> parse_disk(std::string_view text, const std::string& path = {});

/// The one-line grammar's form of `disk`.
std::string to_string(const DiskConfig& disk);

}  // namespace undercroft
