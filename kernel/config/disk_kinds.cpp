// The kinds of disks: their fields, and the bounds of each. Both forms are read through the same functions.
#include <algorithm>

#include "kernel/config/disk_fields.hpp"

namespace undercroft {

namespace {

using namespace std::string_view_literals;

constexpr u32 crypt_sector_bytes_max = 4096;
constexpr u32 sector_bytes_max = 64 * kib;
constexpr u64 chunk_bytes_max = gib;

DiskDepth deeper(DiskDepth depth, bool crypt = false) {
    return {.disks = depth.disks + 1, .crypts = depth.crypts + (crypt ? 1 : 0)};
}

u32 read_sector_size(DiskFields& fields, u32 max) {
    u64 size = fields.integer("sector_size", 512, max).value_or(512);
    if ((size & (size - 1)) != 0) {
        fields.error("sector_size", "must be a power of two");
    }
    return static_cast<u32>(size);
}

// 512 or 4096: what image files have.
u32 read_file_sector_size(DiskFields& fields) {
    u64 size = fields.integer("sector_size", 512, 4096).value_or(512);
    if (size != 512 && size != 4096) {
        fields.error("sector_size", "must be 512 or 4096");
    }
    return static_cast<u32>(size);
}

std::optional<u64> read_create(DiskFields& fields, u32 sector_size) {
    std::optional<u64> bytes = fields.size("create", 1, disk_bytes_max);
    if (bytes && *bytes % sector_size != 0) {
        fields.error("create", "is no whole number of sectors of " + decimal(sector_size) + " bytes");
    }
    return bytes;
}

// What is made is empty; who only reads it has nothing to read.
void check_create(DiskFields& fields, bool read_only, const std::optional<u64>& create) {
    if (read_only && create) {
        fields.error("create", "does not go with \"ro\"");
    }
}

DiskKind read_nvme(DiskFields& fields) {
    std::string device = fields.required_text("device");
    u32 id = static_cast<u32>(fields.required_integer("namespace", 1, namespace_id_max).value_or(1));
    if (std::optional<Guid> guid = parse_guid(device)) {
        return VmbusDiskConfig{.type = VmbusDiskConfig::Type::nvme, .instance_id = *guid, .sub_device = id};
    }
    std::optional<PciAddress> address = parse_pci_address(device);
    if (!address && !device.empty()) {
        fields.error("device", quoted(device) + " is no PCI address such as \"0000:00:03.0\"");
    }
    return NvmeDiskConfig{.device = address.value_or(PciAddress{}), .namespace_id = id};
}

DiskKind read_vscsi(DiskFields& fields) {
    std::string device = fields.required_text("device");
    u32 lun = static_cast<u32>(fields.required_integer("lun", 0, 0xffff'ffff).value_or(0));
    std::optional<Guid> guid = parse_guid(device);
    if (!guid && !device.empty()) {
        fields.error("device", quoted(device) + " is no VMBus instance id, which is a GUID");
    }
    return VmbusDiskConfig{
        .type = VmbusDiskConfig::Type::vscsi, .instance_id = guid.value_or(Guid{}), .sub_device = lun};
}

DiskKind read_memory(DiskFields& fields) {
    u32 sector_size = read_sector_size(fields, sector_bytes_max);
    u64 size = fields.required_size("size", 1, ram_disk_bytes_max).value_or(0);
    if (size % sector_size != 0) {
        fields.error("size", "is no whole number of sectors of " + decimal(sector_size) + " bytes");
    }
    return RamDiskConfig{.size_bytes = size, .sector_size = sector_size};
}

DiskKind read_memory_diff(DiskFields& fields) { return MemoryDiffConfig{.over = fields.below(deeper(fields.depth()))}; }

DiskKind read_crypt(DiskFields& fields) {
    constexpr std::string_view ciphers[] = {crypt_cipher};
    fields.choice("cipher", ciphers, "cipher");
    CryptDiskConfig crypt{.key = fields.required_text("key")};
    crypt.over = fields.below(deeper(fields.depth(), true));
    if (fields.depth().crypts >= crypt_nesting_max) {
        fields.error("more than " + decimal(crypt_nesting_max) + " crypt disks inside each other");
    }
    const auto* memory = crypt.over ? std::get_if<RamDiskConfig>(&crypt.over->kind) : nullptr;
    if (memory != nullptr && memory->sector_size > crypt_sector_bytes_max) {
        fields.error("encryption is for sectors of at most " + decimal(crypt_sector_bytes_max) + " bytes");
    }
    return crypt;
}

DiskKind read_striped(DiskFields& fields) {
    StripedDiskConfig striped;
    striped.chunk_bytes = fields.size("chunk", 512, chunk_bytes_max).value_or(striped.chunk_bytes);
    if ((striped.chunk_bytes & (striped.chunk_bytes - 1)) != 0) {
        fields.error("chunk", "must be a power of two");
    }
    striped.over = fields.members(deeper(fields.depth()));
    return striped;
}

DiskKind read_reservations(DiskFields& fields) {
    return ReservationsConfig{.over = fields.below(deeper(fields.depth()))};
}

DiskKind read_delay(DiskFields& fields) {
    DelayDiskConfig delay;
    std::optional<DelayTimeConfig> all = fields.delay_time("all");
    delay.all = all.value_or(DelayTimeConfig{});
    delay.read = fields.delay_time("read");
    delay.write = fields.delay_time("write");
    delay.flush = fields.delay_time("flush");
    delay.unmap = fields.delay_time("unmap");
    delay.seed = fields.integer("seed", 0, ~u64{0}).value_or(delay.seed);
    delay.over = fields.below(deeper(fields.depth()));
    return delay;
}

DiskKind read_fault(DiskFields& fields) {
    FaultDiskConfig fault;
    fault.rules = fields.fault_rules();
    fault.seed = fields.integer("seed", 0, ~u64{0}).value_or(fault.seed);
    fault.over = fields.below(deeper(fields.depth()));
    return fault;
}

DiskKind read_file(DiskFields& fields) {
    FileDiskConfig file;
    file.path = fields.required_text("path");
    file.direct = fields.flag("direct");
    file.read_only = fields.flag("ro");
    file.sector_size = read_file_sector_size(fields);
    file.create_bytes = read_create(fields, file.sector_size);
    check_create(fields, file.read_only, file.create_bytes);
    return file;
}

DiskKind read_block(DiskFields& fields) {
    return BlockDeviceConfig{.path = fields.required_text("path"), .read_only = fields.flag("ro")};
}

DiskKind read_vhd1(DiskFields& fields) {
    Vhd1DiskConfig vhd;
    vhd.path = fields.required_text("path");
    vhd.direct = fields.flag("direct");
    vhd.read_only = fields.flag("ro");
    vhd.create_bytes = read_create(fields, 512);
    check_create(fields, vhd.read_only, vhd.create_bytes);
    return vhd;
}

DiskKind read_blob(DiskFields& fields) {
    BlobDiskConfig blob;
    if (std::optional<usize> format = fields.choice("format", blob_formats, "format")) {
        blob.format = static_cast<BlobDiskConfig::Format>(*format);
    }
    blob.url = fields.required_text("url");
    bool web = blob.url.starts_with("http://") || blob.url.starts_with("https://");
    if (!blob.url.empty() && (!web || blob.url.find(' ') != std::string::npos)) {
        fields.error("url", "must be an address that begins with http:// or https:// and has no spaces");
    }
    return blob;
}

DiskKind read_sqlite(DiskFields& fields) {
    SqliteDiskConfig sqlite;
    sqlite.path = fields.required_text("path");
    sqlite.sector_size = read_file_sector_size(fields);
    sqlite.create_bytes = read_create(fields, sqlite.sector_size);
    if (sqlite.sector_size != 512 && !sqlite.create_bytes) {
        fields.error("sector_size", "goes with \"create\": a file that exists knows its own");
    }
    return sqlite;
}

DiskKind read_sqlite_diff(DiskFields& fields) {
    SqliteDiffConfig diff;
    diff.path = fields.required_text("path");
    diff.create = fields.flag("create");
    diff.over = fields.below(deeper(fields.depth()));
    return diff;
}

DiskKind read_auto_cache(DiskFields& fields) {
    AutoCacheConfig cache;
    cache.key = fields.text("key").value_or("");
    cache.over = fields.below(deeper(fields.depth()));
    return cache;
}

constexpr std::string_view nvme_arguments[] = {"device/namespace"};
constexpr std::string_view vscsi_arguments[] = {"device/lun"};
constexpr std::string_view size_argument[] = {"size"};
constexpr std::string_view sector_option[] = {"sector_size"};
constexpr std::string_view crypt_arguments[] = {"cipher", "key"};
constexpr std::string_view chunk_option[] = {"chunk"};
constexpr std::string_view delay_arguments[] = {"all"};
constexpr std::string_view delay_options[] = {"read", "write", "flush", "unmap", "seed"};
constexpr std::string_view fault_arguments[] = {"rules"};
constexpr std::string_view seed_option[] = {"seed"};
constexpr std::string_view path_argument[] = {"path"};
constexpr std::string_view file_options[] = {"direct", "ro", "create", "sector_size"};
constexpr std::string_view block_options[] = {"ro"};
constexpr std::string_view vhd_options[] = {"direct", "ro", "create"};
constexpr std::string_view blob_arguments[] = {"format", "url"};
constexpr std::string_view sqlite_options[] = {"create", "sector_size"};
constexpr std::string_view create_option[] = {"create"};
constexpr std::string_view key_argument[] = {"key"};

constexpr DiskKindDescription kinds[] = {
    {"nvme"sv, nvme_arguments, {}, DisksBelow::none, "nvme:0000:00:03.0/1"sv, read_nvme},
    {"mem"sv, size_argument, sector_option, DisksBelow::none, "mem:64M"sv, read_memory},
    {"crypt"sv, crypt_arguments, {}, DisksBelow::one, "crypt:xts-aes-256:KEY:DISK"sv, read_crypt},
    {"memdiff"sv, {}, {}, DisksBelow::one, "memdiff:DISK"sv, read_memory_diff},
    {"striped"sv, {}, chunk_option, DisksBelow::several, "striped:(DISK,DISK)"sv, read_striped},
    {"prwrap"sv, {}, {}, DisksBelow::one, "prwrap:DISK"sv, read_reservations},
    {"delay"sv, delay_arguments, delay_options, DisksBelow::one, "delay:10ms:DISK"sv, read_delay},
    {"fault"sv, fault_arguments, seed_option, DisksBelow::one, "fault:write-fail:DISK"sv, read_fault},
    {"file"sv, path_argument, file_options, DisksBelow::none, "file:PATH"sv, read_file},
    {"block"sv, path_argument, block_options, DisksBelow::none, "block:/dev/sdb"sv, read_block},
    {"vhd1"sv, path_argument, vhd_options, DisksBelow::none, "vhd1:PATH"sv, read_vhd1},
    {"blob"sv, blob_arguments, {}, DisksBelow::none, "blob:flat:URL"sv, read_blob},
    {"sql"sv, path_argument, sqlite_options, DisksBelow::none, "sql:PATH"sv, read_sqlite},
    {"sqldiff"sv, path_argument, create_option, DisksBelow::one, "sqldiff:PATH:DISK"sv, read_sqlite_diff},
    {"autocache"sv, key_argument, {}, DisksBelow::one, "autocache:KEY:DISK"sv, read_auto_cache},
    {"vscsi"sv, vscsi_arguments, {}, DisksBelow::none, "vscsi:GUID/LUN"sv, read_vscsi},
};

}  // namespace

const DiskKindDescription* find_disk_kind(std::string_view name) {
    const auto* found = std::ranges::find(kinds, name, &DiskKindDescription::name);
    return found == std::end(kinds) ? nullptr : found;
}

std::string unknown_disk_kind(std::string_view name) {
    std::string_view names[std::size(kinds)];
    std::ranges::transform(kinds, names, &DiskKindDescription::name);
    std::optional<std::string_view> meant = nearest(name, names);
    return "unknown disk kind " + quoted(name) +
           (meant ? "; did you mean " + quoted(*meant) + "?" : "; a disk is written such as \"mem:64M\"");
}

bool check_disk_depth(ConfigReport& report, const std::string& path, LineSpan span, DiskDepth depth) {
    if (depth.disks >= disk_nesting_max) {
        report.error(path, "more than " + decimal(disk_nesting_max) + " disks inside each other", span);
        return false;
    }
    return true;
}

}  // namespace undercroft
