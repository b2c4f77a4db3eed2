// What a disk is made of: the tree that both the JSON objects and the one-line grammar describe, and that
// storage/pipeline.hpp builds. Holds what was said, checked as far as the words alone allow; leaves out whether a key, a
// device or a file exists.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "kernel/base/result.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

/// A piece of a one-line disk; `column` counts bytes from 1, and is 0 where the disk was no line.
struct LineSpan {
    u32 column = 0;
    u32 length = 0;
};

/// What is wrong, and where in the document: `storage_controllers[0].luns[1].disk.crypt.key`. The path is empty for the
/// document as a whole; `span` is where in the line that stands at the path.
struct ConfigError {
    std::string path = {};
    std::string message;
    LineSpan span = {};
};

using ConfigErrors = std::vector<ConfigError>;

/// `path: message`, `path, column 7: message`, or what there is of it.
std::string to_string(const ConfigError& error);
/// For a terminal: two lines, the part of `line` around the error and carets under it; empty where `error` has no place
/// in a line.
std::string caret_lines(const ConfigError& error, std::string_view line);

inline constexpr usize disk_line_bytes_max = 4096;
inline constexpr usize disk_text_bytes_max = 4096;  ///< of a path, an address or the name of a key
inline constexpr usize disk_nesting_max = 16;       ///< disks inside each other
inline constexpr usize crypt_nesting_max = 2;       ///< crypt disks inside each other
inline constexpr usize striped_members_max = 64;
inline constexpr usize fault_rules_max = 16;
inline constexpr u64 ram_disk_bytes_max = 4096 * gib;
inline constexpr u64 disk_bytes_max = (u64{1} << 63) - 1;
inline constexpr u64 delay_ns_max = 3'600'000'000'000;  ///< an hour
inline constexpr u64 delay_p99_factor_max = 50;         ///< of the 99th percentile, in averages
/// From 1; all ones means every namespace (NVMe 2.0, section 3.2.1.2).
inline constexpr u32 namespace_id_max = 0xffff'fffe;

struct DiskConfig;
bool operator==(const DiskConfig& left, const DiskConfig& right);

/// The disk below a layer: owned, and compared by what it is.
class DiskBelow {
public:
    DiskBelow();
    explicit DiskBelow(DiskConfig disk);
    DiskBelow(DiskBelow&&) noexcept;
    DiskBelow& operator=(DiskBelow&&) noexcept;
    ~DiskBelow();

    DiskConfig* get() const { return disk_.get(); }
    DiskConfig& operator*() const { return *disk_; }
    DiskConfig* operator->() const { return disk_.get(); }
    explicit operator bool() const { return disk_ != nullptr; }
    friend bool operator==(const DiskBelow& left, const DiskBelow& right) {
        return left && right ? *left == *right : !left && !right;
    }

private:
    std::unique_ptr<DiskConfig> disk_;
};

/// A namespace of a physical NVMe controller: `nvme:0000:00:03.0/1`.
struct NvmeDiskConfig {
    PciAddress device;
    u32 namespace_id = 0;
    friend bool operator==(const NvmeDiskConfig&, const NvmeDiskConfig&) = default;
};

/// A disk of a controller that a hypervisor offers over VMBus, as OpenHCL's settings name it: `vscsi:GUID/LUN`, and
/// `nvme:GUID/NAMESPACE`.
struct VmbusDiskConfig {
    enum class Type : u8 { nvme, vscsi };
    Type type = Type::nvme;
    Guid instance_id;
    u32 sub_device = 0;
    friend bool operator==(const VmbusDiskConfig&, const VmbusDiskConfig&) = default;
};

/// A drive without a medium; only of a DVD drive.
struct EmptyDriveConfig {
    friend bool operator==(const EmptyDriveConfig&, const EmptyDriveConfig&) = default;
};

/// A disk in memory: `mem:64M;sector_size=4096`.
struct RamDiskConfig {
    u64 size_bytes = 0;
    u32 sector_size = 512;
    friend bool operator==(const RamDiskConfig&, const RamDiskConfig&) = default;
};

/// Memory over another disk, which is never written: `memdiff:DISK`.
struct MemoryDiffConfig {
    DiskBelow over = {};
    friend bool operator==(const MemoryDiffConfig&, const MemoryDiffConfig&) = default;
};

/// AES-256-XTS over another disk: `crypt:xts-aes-256:KEY:DISK`. The key is named; its bytes are elsewhere.
struct CryptDiskConfig {
    std::string key = {};
    DiskBelow over = {};
    friend bool operator==(const CryptDiskConfig&, const CryptDiskConfig&) = default;
};

/// Persistent reservations kept in memory over another disk: `prwrap:DISK`.
struct ReservationsConfig {
    DiskBelow over = {};
    friend bool operator==(const ReservationsConfig&, const ReservationsConfig&) = default;
};

/// How long an operation waits, as `10ms` or `10ms/100ms`.
struct DelayTimeConfig {
    u64 average_ns = 0;
    u64 p99_ns = 0;  ///< 0: as the average; else `average_ns` to `delay_p99_factor_max` times that
    friend bool operator==(const DelayTimeConfig&, const DelayTimeConfig&) = default;
};

/// Waiting before each operation: `delay:10ms;write=20ms/1s:DISK`. What is not given is as `all`.
struct DelayDiskConfig {
    DelayTimeConfig all;
    std::optional<DelayTimeConfig> read = {};
    std::optional<DelayTimeConfig> write = {};
    std::optional<DelayTimeConfig> flush = {};
    std::optional<DelayTimeConfig> unmap = {};
    u64 seed = 1;
    DiskBelow over = {};
    friend bool operator==(const DelayDiskConfig&, const DelayDiskConfig&) = default;
};

/// One kind of trouble: `write-fail-medium_write@2048-4095/skip=5/count=3/one_in=10`.
struct FaultRuleConfig {
    enum class Operation : u8 { any, read, write, flush, unmap, zero, status, compare };
    enum class Action : u8 { fail, hold, delay, corrupt, tear };
    Operation operation = Operation::any;
    Action action = Action::fail;
    std::optional<u8> error = {};  ///< index into `fault_error_names`; `fail` always has one, `tear` may
    u64 delay_ns = 0;              ///< of `delay`
    u64 first_sector = 0;          ///< operations that touch these sectors
    u64 last_sector = ~u64{0};     ///< inclusive
    u64 skip = 0;                  ///< so many pass first
    u64 count = 0;                 ///< how often it happens; 0: without end
    u64 one_in = 1;                ///< of those left, one in so many
    friend bool operator==(const FaultRuleConfig&, const FaultRuleConfig&) = default;
};

/// The errors that `fail` and `tear` can give, as they are written: the names of `DiskError`, in its order.
std::span<const std::string_view> fault_error_names();

/// Trouble made on purpose: `fault:RULE+RULE;seed=7:DISK`.
struct FaultDiskConfig {
    std::vector<FaultRuleConfig> rules = {};
    u64 seed = 1;
    DiskBelow over = {};
    friend bool operator==(const FaultDiskConfig&, const FaultDiskConfig&) = default;
};

/// Several disks of one size as one: `striped;chunk=128K:(DISK,DISK)`.
struct StripedDiskConfig {
    u64 chunk_bytes = 128 * kib;
    std::vector<DiskConfig> over;
    friend bool operator==(const StripedDiskConfig&, const StripedDiskConfig&);
};

/// A flat image file: `file:PATH;direct;create=1G`.
struct FileDiskConfig {
    std::string path = {};
    bool direct = false;  ///< past the page cache
    bool read_only = false;
    std::optional<u64> create_bytes = {};  ///< makes the file, this large, where there is none
    u32 sector_size = 512;                 ///< 512 or 4096
    friend bool operator==(const FileDiskConfig&, const FileDiskConfig&) = default;
};

/// A block device of the host: `block:/dev/sdb`.
struct BlockDeviceConfig {
    std::string path = {};
    bool read_only = false;
    friend bool operator==(const BlockDeviceConfig&, const BlockDeviceConfig&) = default;
};

/// A VHD1 file of fixed size: `vhd1:PATH;create=1G`.
struct Vhd1DiskConfig {
    std::string path = {};
    bool direct = false;
    bool read_only = false;
    std::optional<u64> create_bytes = {};
    friend bool operator==(const Vhd1DiskConfig&, const Vhd1DiskConfig&) = default;
};

/// An image on a web server, read by ranges: `blob:flat:URL`, `blob:vhd1:URL`.
struct BlobDiskConfig {
    enum class Format : u8 { flat, vhd1 };
    Format format = Format::flat;
    std::string url = {};
    friend bool operator==(const BlobDiskConfig&, const BlobDiskConfig&) = default;
};

/// A SQLite database that holds a whole disk: `sql:PATH;create=1G`.
struct SqliteDiskConfig {
    std::string path = {};
    std::optional<u64> create_bytes = {};
    u32 sector_size = 512;  ///< of one that is made; 512 or 4096
    friend bool operator==(const SqliteDiskConfig&, const SqliteDiskConfig&) = default;
};

/// A SQLite database that holds what differs from another disk: `sqldiff:PATH;create:DISK`.
struct SqliteDiffConfig {
    std::string path = {};
    bool create = false;
    DiskBelow over = {};
    friend bool operator==(const SqliteDiffConfig&, const SqliteDiffConfig&) = default;
};

/// A cache on the host of what was read, found again by its key: `autocache:KEY:DISK`. No key: the disk's id.
struct AutoCacheConfig {
    std::string key = {};
    DiskBelow over = {};
    friend bool operator==(const AutoCacheConfig&, const AutoCacheConfig&) = default;
};

using DiskKind = std::variant<NvmeDiskConfig, RamDiskConfig, CryptDiskConfig, MemoryDiffConfig, StripedDiskConfig,
                              ReservationsConfig, DelayDiskConfig, FaultDiskConfig, FileDiskConfig, BlockDeviceConfig,
                              Vhd1DiskConfig, BlobDiskConfig, SqliteDiskConfig, SqliteDiffConfig, AutoCacheConfig,
                              VmbusDiskConfig, EmptyDriveConfig>;

struct DiskConfig {
    std::string path = {};  ///< where in the document it was described, for errors that come later
    LineSpan span;          ///< and where in the line there
    DiskKind kind;
};

inline DiskBelow::DiskBelow() = default;
inline DiskBelow::DiskBelow(DiskConfig disk) : disk_(std::make_unique<DiskConfig>(std::move(disk))) {}
inline DiskBelow::DiskBelow(DiskBelow&&) noexcept = default;
inline DiskBelow& DiskBelow::operator=(DiskBelow&&) noexcept = default;
inline DiskBelow::~DiskBelow() = default;

/// Whether both describe the same disk; where they were described does not count.
inline bool operator==(const DiskConfig& left, const DiskConfig& right) { return left.kind == right.kind; }
inline bool operator==(const StripedDiskConfig& left, const StripedDiskConfig& right) {
    return left.chunk_bytes == right.chunk_bytes && left.over == right.over;
}

/// The word that begins the one-line form of such a disk: "crypt".
std::string_view kind_name(const DiskConfig& disk);
/// The disks directly below: none, one, or a striped disk's members.
std::span<const DiskConfig> disks_below(const DiskConfig& disk);
/// An error at the place where `disk` was described; `property` is added to the path of an object.
ConfigError error_at(const DiskConfig& disk, std::string message, std::string_view property = {});

/// Reads and validates one disk in the one-line grammar (docs/disks.md). `path` is what errors are reported under.
Result<DiskConfig, ConfigErrors> parse_disk(std::string_view line, const std::string& path = {});

/// The one-line form of `disk`, which `parse_disk` reads back.
std::string to_string(const DiskConfig& disk);
/// The same for logs and clients: URLs without what may be secret in them.
std::string public_text(const DiskConfig& disk);
/// `write-fail-io@0-7/count=1+flush-hold`, as the one-line form has it.
std::string fault_rules_text(std::span<const FaultRuleConfig> rules);
/// `url` without user, password, query and fragment.
std::string public_url(std::string_view url);

}  // namespace undercroft
