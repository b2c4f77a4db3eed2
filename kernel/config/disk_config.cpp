// Disks: the nested objects, OpenHCL's `physical_devices`, and the one-line grammar. All three end in the same checks.
#include "kernel/config/object_reader.hpp"

#include <algorithm>

namespace undercroft {

namespace {

constexpr std::string_view disk_kinds[] = {"crypt", "mem", "nvme"};
constexpr std::string_view crypt_cipher = "xts-aes-256";
constexpr std::string_view ciphers[] = {crypt_cipher};
constexpr usize text_length_max = 1024;
constexpr u32 crypt_sector_bytes_max = 4096;
constexpr u32 sector_bytes_max = 64 * kib;

struct Depth {
    usize disks = 0;
    usize crypts = 0;
};

bool check_depth(ConfigReport& report, const std::string& path, Depth depth) {
    if (depth.disks >= disk_nesting_max) {
        report.error(path, "more than " + decimal(disk_nesting_max) + " disks inside each other");
        return false;
    }
    return true;
}

void check_cipher(ConfigReport& report, const std::string& path, std::string_view cipher) {
    if (cipher != crypt_cipher) {
        report.error(path, "unknown cipher " + quoted(cipher) + suggestion(cipher, ciphers));
    }
}

void check_key_name(ConfigReport& report, const std::string& path, std::string_view key) {
    if (!is_key_name(key)) {
        report.error(path, "is no name of a key: 1 to " + decimal(key_name_length_max) +
                               " letters, digits, '-', '_' or '.', not beginning with '.'");
    }
}

std::optional<PciAddress> check_device(ConfigReport& report, const std::string& path, std::string_view text) {
    if (std::optional<PciAddress> address = parse_pci_address(text)) {
        return address;
    }
    report.error(path, parse_guid(text)
                           ? "is a VMBus instance id; devices are named by PCI address here, such as \"0000:00:03.0\""
                           : quoted(text) + " is no PCI address such as \"0000:00:03.0\"");
    return std::nullopt;
}

void check_memory(ConfigReport& report, const std::string& path, u64 size_bytes, u32 sector_size) {
    if (size_bytes == 0 || size_bytes > ram_disk_bytes_max) {
        report.error(path, "must be from 1 byte to 4096G");
    } else if (size_bytes % sector_size != 0) {
        report.error(path, "is no whole number of sectors of " + decimal(sector_size) + " bytes");
    }
}

// What only shows once the whole of a crypt disk is known.
void check_crypt(ConfigReport& report, const std::string& path, const CryptDiskConfig& crypt, Depth depth) {
    if (depth.crypts >= crypt_nesting_max) {
        report.error(path, "more than " + decimal(crypt_nesting_max) + " crypt disks inside each other");
    }
    if (crypt.over != nullptr) {
        const auto* memory = std::get_if<RamDiskConfig>(&crypt.over->kind);
        if (memory != nullptr && memory->sector_size > crypt_sector_bytes_max) {
            report.error(path, "encryption is for sectors of at most " + decimal(crypt_sector_bytes_max) + " bytes");
        }
    }
}

std::optional<DiskConfig> read_disk_at(ConfigReport& report, const JsonValue& value, const std::string& path,
                                       Depth depth);
std::optional<DiskConfig> read_disk_line(ConfigReport& report, std::string_view text, const std::string& path,
                                         Depth depth);

std::optional<DiskConfig> read_crypt(ConfigReport& report, const JsonValue& value, std::string path, Depth depth) {
    ObjectReader object(report, value, std::move(path));
    CryptDiskConfig crypt;
    if (std::optional<std::string> cipher = object.text("cipher", text_length_max)) {
        check_cipher(report, object.path_of("cipher"), *cipher);
    }
    if (std::optional<std::string> key = object.required_text("key", text_length_max)) {
        check_key_name(report, object.path_of("key"), *key);
        crypt.key = std::move(*key);
    }
    if (const JsonValue* over = object.require("over")) {
        Depth below{.disks = depth.disks + 1, .crypts = depth.crypts + 1};
        if (std::optional<DiskConfig> disk = read_disk_at(report, *over, object.path_of("over"), below)) {
            crypt.over = std::make_unique<DiskConfig>(std::move(*disk));
        }
    }
    check_crypt(report, object.path(), crypt, depth);
    object.finish();
    return DiskConfig{.path = object.path(), .kind = std::move(crypt)};
}

std::optional<DiskConfig> read_nvme(ConfigReport& report, const JsonValue& value, std::string path) {
    ObjectReader object(report, value, std::move(path));
    NvmeDiskConfig nvme{};
    if (std::optional<std::string> device = object.required_text("device", text_length_max)) {
        nvme.device = check_device(report, object.path_of("device"), *device).value_or(PciAddress{});
    }
    nvme.namespace_id = static_cast<u32>(object.required_integer("namespace", 1, namespace_id_max).value_or(0));
    object.finish();
    return DiskConfig{.path = object.path(), .kind = nvme};
}

std::optional<DiskConfig> read_memory(ConfigReport& report, const JsonValue& value, std::string path) {
    ObjectReader object(report, value, std::move(path));
    RamDiskConfig memory{.size_bytes = 0, .sector_size = 512};
    if (std::optional<u64> size = object.integer("sector_size", 512, sector_bytes_max)) {
        memory.sector_size = static_cast<u32>(*size);
        if ((memory.sector_size & (memory.sector_size - 1)) != 0) {
            report.error(object.path_of("sector_size"), "must be a power of two");
        }
    }
    const JsonValue* size = object.require("size");
    std::optional<u64> bytes;
    if (size != nullptr && size->IsUint64()) {
        bytes = size->GetUint64();
    } else if (size != nullptr && size->IsString()) {
        bytes = parse_size({size->GetString(), size->GetStringLength()});
    }
    if (bytes) {
        memory.size_bytes = *bytes;
        check_memory(report, object.path_of("size"), memory.size_bytes, memory.sector_size);
    } else if (size != nullptr) {
        report.error(object.path_of("size"), "must be a number of bytes, or a string such as \"64M\"");
    }
    object.finish();
    return DiskConfig{.path = object.path(), .kind = memory};
}

std::optional<DiskConfig> read_disk_object(ConfigReport& report, const JsonValue& value, const std::string& path,
                                           Depth depth) {
    if (value.MemberCount() != 1) {
        report.error(path, "must have one property, the kind of the disk; it has " + decimal(value.MemberCount()));
        return std::nullopt;
    }
    const auto& member = *value.MemberBegin();
    std::string_view kind(member.name.GetString(), member.name.GetStringLength());
    if (kind == "crypt") {
        return read_crypt(report, member.value, path + ".crypt", depth);
    }
    if (kind == "nvme") {
        return read_nvme(report, member.value, path + ".nvme");
    }
    if (kind == "mem") {
        return read_memory(report, member.value, path + ".mem");
    }
    report.error(path, "unknown disk kind " + quoted(kind) + suggestion(kind, disk_kinds));
    return std::nullopt;
}

std::optional<DiskConfig> read_disk_at(ConfigReport& report, const JsonValue& value, const std::string& path,
                                       Depth depth) {
    if (!check_depth(report, path, depth)) {
        return std::nullopt;
    }
    if (value.IsString()) {
        return read_disk_line(report, {value.GetString(), value.GetStringLength()}, path, depth);
    }
    if (value.IsObject()) {
        return read_disk_object(report, value, path, depth);
    }
    report.error(path, std::string("must be an object or a string, not ") + type_name(value));
    return std::nullopt;
}

// The grammar. `text` is what is left of the line.

std::string_view take_word(std::string_view& text, char separator) {
    usize position = text.find(separator);
    std::string_view word = text.substr(0, position);
    text = position == std::string_view::npos ? std::string_view() : text.substr(position + 1);
    return word;
}

std::optional<DiskConfig> read_crypt_line(ConfigReport& report, std::string_view text, const std::string& path,
                                          Depth depth) {
    std::string_view cipher = take_word(text, ':');
    std::string_view key = take_word(text, ':');
    if (text.empty()) {
        report.error(path, "\"crypt\" is followed by cipher, key and disk: crypt:xts-aes-256:KEY:DISK");
        return std::nullopt;
    }
    check_cipher(report, path, cipher);
    if (!is_key_name(key)) {
        check_key_name(report, path + ": key " + quoted(key), key);
    }
    CryptDiskConfig crypt{.key = std::string(key), .over = nullptr};
    Depth below{.disks = depth.disks + 1, .crypts = depth.crypts + 1};
    if (std::optional<DiskConfig> disk = read_disk_line(report, text, path, below)) {
        crypt.over = std::make_unique<DiskConfig>(std::move(*disk));
    }
    check_crypt(report, path, crypt, depth);
    return DiskConfig{.path = path, .kind = std::move(crypt)};
}

std::optional<DiskConfig> read_nvme_line(ConfigReport& report, std::string_view text, const std::string& path) {
    std::string_view device = take_word(text, '/');
    std::optional<PciAddress> address = check_device(report, path, device);
    std::optional<u64> id = parse_decimal(text);
    if (!id) {
        report.error(path, "\"nvme\" is followed by address and namespace: nvme:0000:00:03.0/1");
        return std::nullopt;
    }
    if (*id == 0 || *id > namespace_id_max) {
        report.error(path, "namespace ids go from 1 to " + decimal(namespace_id_max));
        return std::nullopt;
    }
    if (!address) {
        return std::nullopt;
    }
    return DiskConfig{.path = path, .kind = NvmeDiskConfig{.device = *address, .namespace_id = static_cast<u32>(*id)}};
}

std::optional<DiskConfig> read_disk_line(ConfigReport& report, std::string_view text, const std::string& path,
                                         Depth depth) {
    if (text.size() > text_length_max) {
        report.error(path, "is longer than " + decimal(text_length_max) + " characters");
        return std::nullopt;
    }
    if (!check_depth(report, path, depth)) {
        return std::nullopt;
    }
    std::string_view kind = take_word(text, ':');
    if (kind == "crypt") {
        return read_crypt_line(report, text, path, depth);
    }
    if (kind == "nvme") {
        return read_nvme_line(report, text, path);
    }
    if (kind == "mem") {
        std::optional<u64> size = parse_size(text);
        if (!size) {
            report.error(path, "\"mem\" is followed by a size: mem:64M");
            return std::nullopt;
        }
        check_memory(report, path, *size, 512);
        return DiskConfig{.path = path, .kind = RamDiskConfig{.size_bytes = *size, .sector_size = 512}};
    }
    report.error(path, "unknown disk kind " + quoted(kind) + suggestion(kind, disk_kinds));
    return std::nullopt;
}

std::optional<DiskConfig> read_physical_device(ConfigReport& report, const JsonValue& value, std::string path) {
    constexpr std::string_view device_types[] = {"nvme", "vscsi"};
    ObjectReader object(report, value, std::move(path));
    NvmeDiskConfig nvme{};
    if (std::optional<std::string> type = object.required_text("device_type", text_length_max)) {
        if (equals_ignoring_case(*type, "vscsi")) {
            report.error(object.path_of("device_type"), "SCSI devices are not supported; give an NVMe");
        } else if (!equals_ignoring_case(*type, "nvme")) {
            report.error(object.path_of("device_type"),
                         "unknown device type " + quoted(*type) + suggestion(*type, device_types));
        }
    }
    if (std::optional<std::string> device = object.required_text("device_path", text_length_max)) {
        nvme.device = check_device(report, object.path_of("device_path"), *device).value_or(PciAddress{});
    }
    nvme.namespace_id = static_cast<u32>(object.required_integer("sub_device_path", 1, namespace_id_max).value_or(0));
    object.finish();
    return DiskConfig{.path = object.path(), .kind = nvme};
}

}  // namespace

std::optional<DiskConfig> read_disk(ConfigReport& report, const JsonValue& value, const std::string& path) {
    usize errors = report.error_count();
    std::optional<DiskConfig> disk = read_disk_at(report, value, path, {});
    return report.error_count() == errors ? std::move(disk) : std::nullopt;
}

std::optional<DiskConfig> read_physical_devices(ConfigReport& report, const JsonValue& value, std::string path) {
    constexpr std::string_view types[] = {"single", "striped"};
    usize errors = report.error_count();
    ObjectReader object(report, value, std::move(path));
    std::vector<DiskConfig> disks;
    auto add = [&](const JsonValue& device, std::string device_path) {
        if (std::optional<DiskConfig> disk = read_physical_device(report, device, std::move(device_path))) {
            disks.push_back(std::move(*disk));
        }
    };
    std::optional<std::string> type = object.required_text("type", text_length_max);
    if (const JsonValue* device = object.find("device")) {
        add(*device, object.path_of("device"));
    }
    if (const JsonValue* devices = object.array("devices")) {
        for (rapidjson::SizeType index = 0; index < devices->Size(); ++index) {
            add((*devices)[index], object.path_of("devices") + "[" + decimal(index) + "]");
        }
    }
    if (type && equals_ignoring_case(*type, "single")) {
        if (disks.size() != 1) {
            report.error(object.path(), "\"single\" is one device; there are " + decimal(disks.size()));
        }
    } else if (type && equals_ignoring_case(*type, "striped")) {
        if (disks.size() < 2) {
            report.error(object.path(), "\"striped\" is two devices at least; there are " + decimal(disks.size()));
        }
        report.error(object.path_of("type"), "striped disks are not supported by this version");
    } else if (type) {
        report.error(object.path_of("type"), "unknown type " + quoted(*type) + suggestion(*type, types));
    }
    object.finish();
    if (report.error_count() != errors || disks.empty()) {
        return std::nullopt;
    }
    return std::move(disks.front());
}

Result<DiskConfig, ConfigErrors> parse_disk(std::string_view text, const std::string& path) {
    ConfigReport report;
    std::optional<DiskConfig> disk = read_disk_line(report, text, path, {});
    if (!disk || report.error_count() > 0) {
        return std::unexpected(report.take_errors());
    }
    return std::move(*disk);
}

std::string to_string(const DiskConfig& disk) {
    if (const auto* nvme = std::get_if<NvmeDiskConfig>(&disk.kind)) {
        return "nvme:" + to_string(nvme->device) + "/" + decimal(nvme->namespace_id);
    }
    if (const auto* memory = std::get_if<RamDiskConfig>(&disk.kind)) {
        return "mem:" + decimal(memory->size_bytes);
    }
    const auto* crypt = std::get_if<CryptDiskConfig>(&disk.kind);
    return "crypt:" + std::string(crypt_cipher) + ":" + crypt->key + ":" + to_string(*crypt->over);
}

}  // namespace undercroft
