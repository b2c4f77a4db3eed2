// The document: from bytes to JSON within bounds, then controllers and LUNs.
#include "kernel/config/configuration.hpp"

#include <rapidjson/error/en.h>

#include <algorithm>

#include "kernel/config/object_reader.hpp"

namespace undercroft {

namespace {

constexpr std::string_view protocols[] = {"NVME", "SCSI", "IDE", "VIRTIO_BLK",
                                          "FLOPPY"};  // in the order of StorageProtocol
constexpr u64 chunk_kib_max = mib;
constexpr usize long_text_max = 1024;  // where something of the right kind will say more about a text

// Lengths that the protocols have room for (NVMe 2.0 figure 275; SPC-4 section 6.6.2).
constexpr usize serial_number_length_max = 20;
constexpr usize model_number_length_max = 40;
constexpr usize vendor_id_length_max = 8;
constexpr usize product_id_length_max = 16;
constexpr usize product_revision_length_max = 4;
constexpr usize device_id_length_max = 64;

std::string indexed(const std::string& path, usize index) { return path + "[" + decimal(index) + "]"; }

// Where a LUN may be, and how many a controller may have.
struct ProtocolBounds {
    u32 location_min;
    u32 location_max;
    usize luns_max;
    usize controllers_max;
};

ProtocolBounds bounds_of(StorageProtocol protocol) {
    switch (protocol) {
    case StorageProtocol::scsi:
        return {0, scsi_luns_max - 1, scsi_luns_max, scsi_controllers_max};
    case StorageProtocol::ide:
        return {0, ide_drives_per_channel - 1, usize{ide_channels} * ide_drives_per_channel, ide_controllers_max};
    case StorageProtocol::virtio_block:
        return {0, 0, virtio_block_luns_max, storage_controllers_max};
    case StorageProtocol::floppy:
        return {0, floppy_drives - 1, floppy_drives, floppy_controllers_max};
    case StorageProtocol::nvme:
        break;
    }
    return {1, namespace_id_max, nvme_luns_max, storage_controllers_max};
}

// OpenHCL's settings count chunks in KiB; 0 is what tools write that have none.
u64 read_chunk_kib(ObjectReader& lun) {
    u64 chunk = lun.integer("chunk_size_in_kb", 0, chunk_kib_max).value_or(0);
    if ((chunk & (chunk - 1)) != 0) {
        lun.report().error(lun.path_of("chunk_size_in_kb"), "must be a power of two");
    }
    return chunk;
}

std::optional<DiskConfig> read_backing(ObjectReader& lun, bool is_dvd) {
    const JsonValue* disk = lun.find("disk");
    const JsonValue* physical = lun.find("physical_devices");
    u64 chunk_kib = read_chunk_kib(lun);
    if (disk != nullptr && physical != nullptr) {
        lun.report().error(lun.path(), "has both \"disk\" and \"physical_devices\"; one says what is behind it");
        return std::nullopt;
    }
    if (physical != nullptr) {
        std::string path = lun.path_of("physical_devices");
        std::optional<DiskConfig> device = read_physical_devices(lun.report(), *physical, path, chunk_kib);
        if (device && chunk_kib != 0 && !std::holds_alternative<StripedDiskConfig>(device->kind)) {
            lun.report().warning(lun.path_of("chunk_size_in_kb"), "has no effect: only striped disks have chunks");
        }
        return device;
    }
    if (disk != nullptr) {
        return read_disk(lun.report(), *disk, lun.path_of("disk"));
    }
    if (is_dvd) {
        return DiskConfig{.path = lun.path(), .span = {}, .kind = EmptyDriveConfig{}};
    }
    if (lun.is_object()) {
        lun.report().error(lun.path_of("disk"), "missing; only a DVD drive may be empty");
    }
    return std::nullopt;
}

std::vector<DiskConfig> read_media(ObjectReader& lun, bool is_removable) {
    std::vector<DiskConfig> media;
    const JsonValue* array = lun.array("media");
    if (array == nullptr) {
        return media;
    }
    std::string path = lun.path_of("media");
    if (!is_removable) {
        lun.report().error(path, "only DVD and floppy drives have media that can be changed");
        return media;
    }
    if (array->Size() > drive_media_max) {
        lun.report().error(path, "has " + decimal(array->Size()) + " media, and may have " + decimal(drive_media_max));
        return media;
    }
    for (rapidjson::SizeType index = 0; index < array->Size(); ++index) {
        if (std::optional<DiskConfig> medium = read_disk(lun.report(), (*array)[index], indexed(path, index))) {
            media.push_back(std::move(*medium));
        }
    }
    return media;
}

// Properties of OpenHCL's settings that other hosts act on.
void accept_foreign_properties(ObjectReader& lun, StorageProtocol protocol) {
    const char* ours =
        protocol == StorageProtocol::nvme ? "NVMe controllers have nothing like it" : "the disk's own properties count";
    for (std::string_view name : {"odx", "disable_thin_provisioning", "max_transfer_length", "ntfs_guid"}) {
        lun.accept_without_effect(name, ours);
    }
    lun.accept_without_effect("scsi_disk_size_in_bytes", "the disk's own size counts");
    lun.accept_without_effect("fua", "the disk's own properties count");
    lun.accept_without_effect("write_cache", "the disk's own properties count");
}

// Only IDE has channels, and there a drive's place is channel and location together.
u32 read_channel(ObjectReader& lun, StorageProtocol protocol) {
    if (protocol != StorageProtocol::ide) {
        lun.accept_without_effect("channel", "only IDE controllers have channels");
        return 0;
    }
    return static_cast<u32>(lun.required_integer("channel", 0, ide_channels - 1).value_or(0));
}

std::optional<LunConfig> read_lun(ConfigReport& report, const JsonValue& value, std::string path,
                                  StorageProtocol protocol) {
    usize errors = report.error_count();
    ObjectReader object(report, value, std::move(path));
    ProtocolBounds bounds = bounds_of(protocol);
    LunConfig lun;
    lun.path = object.path();
    lun.location =
        static_cast<u32>(object.required_integer("location", bounds.location_min, bounds.location_max).value_or(0));
    lun.channel = read_channel(object, protocol);
    lun.device_id = object.text("device_id", device_id_length_max).value_or("");
    lun.vendor_id = object.text("vendor_id", vendor_id_length_max).value_or("");
    lun.product_id = object.text("product_id", product_id_length_max).value_or("");
    lun.product_revision_level = object.text("product_revision_level", product_revision_length_max).value_or("");
    lun.serial_number = object.text("serial_number", serial_number_length_max).value_or("");
    lun.model_number = object.text("model_number", model_number_length_max).value_or("");
    lun.is_dvd = object.boolean("is_dvd").value_or(false);
    if (lun.is_dvd && protocol == StorageProtocol::nvme) {
        report.error(object.path_of("is_dvd"), "an NVMe controller has no DVDs");
    }
    if (lun.is_dvd && protocol == StorageProtocol::virtio_block) {
        report.error(object.path_of("is_dvd"), "a virtio block device is no DVD drive; SCSI and IDE have them");
    }
    if (lun.is_dvd && protocol == StorageProtocol::floppy) {
        report.error(object.path_of("is_dvd"), "a floppy drive is no DVD drive; SCSI and IDE have them");
    }
    std::optional<DiskConfig> disk = read_backing(object, lun.is_dvd);
    if (disk && lun.is_dvd && std::holds_alternative<StripedDiskConfig>(disk->kind)) {
        report.error(disk->path, "a DVD is one medium; it cannot be striped");
    }
    lun.media = read_media(object, lun.is_dvd || protocol == StorageProtocol::floppy);
    accept_foreign_properties(object, protocol);
    object.finish();
    if (!disk || report.error_count() != errors) {
        return std::nullopt;
    }
    lun.disk = std::move(*disk);
    return lun;
}

std::optional<u64> whole_number(const JsonValue& object, const char* name) {
    if (!object.IsObject()) {
        return std::nullopt;
    }
    auto member = object.FindMember(name);
    bool known = member != object.MemberEnd() && member->value.IsUint64();
    return known ? std::optional<u64>(member->value.GetUint64()) : std::nullopt;
}

void check_locations(ConfigReport& report, const JsonValue& luns, const std::string& path, StorageProtocol protocol) {
    auto channel_of = [&](const JsonValue& lun) {
        return protocol == StorageProtocol::ide ? whole_number(lun, "channel") : std::optional<u64>(0);
    };
    for (rapidjson::SizeType index = 0; index < luns.Size(); ++index) {
        std::optional<u64> location = whole_number(luns[index], "location");
        std::optional<u64> channel = channel_of(luns[index]);
        for (rapidjson::SizeType earlier = 0; location && channel && earlier < index; ++earlier) {
            if (location == whole_number(luns[earlier], "location") && channel == channel_of(luns[earlier])) {
                report.error(indexed(path, index) + ".location", "is used by " + indexed(path, earlier) + " already");
                break;
            }
        }
    }
}

std::optional<StorageProtocol> read_protocol(ObjectReader& controller) {
    std::optional<std::string> text = controller.required_text("protocol", long_text_max);
    if (!text) {
        return std::nullopt;
    }
    for (usize index = 0; index < std::size(protocols); ++index) {
        if (equals_ignoring_case(*text, protocols[index])) {
            return static_cast<StorageProtocol>(index);
        }
    }
    controller.report().error(controller.path_of("protocol"),
                              "unknown protocol " + quoted(*text) + suggestion(*text, protocols));
    return std::nullopt;
}

void read_luns(ObjectReader& object, StorageControllerConfig& controller) {
    const JsonValue* luns = object.required_array("luns");
    if (luns == nullptr) {
        return;
    }
    std::string path = object.path_of("luns");
    usize max = bounds_of(controller.protocol).luns_max;
    if (luns->Size() > max) {
        object.report().error(path, "has " + decimal(luns->Size()) + " LUNs, and may have " + decimal(max));
        return;
    }
    if (controller.protocol == StorageProtocol::virtio_block && luns->Empty()) {
        object.report().error(path, "is empty; a virtio block device is one disk, at location 0");
    }
    for (rapidjson::SizeType index = 0; index < luns->Size(); ++index) {
        if (auto lun = read_lun(object.report(), (*luns)[index], indexed(path, index), controller.protocol)) {
            controller.luns.push_back(std::move(*lun));
        }
    }
    check_locations(object.report(), *luns, path, controller.protocol);
}

std::optional<StorageControllerConfig> read_controller(ConfigReport& report, const JsonValue& value, std::string path) {
    usize errors = report.error_count();
    ObjectReader object(report, value, std::move(path));
    StorageControllerConfig controller{
        .path = object.path(), .protocol = StorageProtocol::nvme, .instance_id = {}, .luns = {}};
    controller.protocol = read_protocol(object).value_or(StorageProtocol::nvme);
    if (std::optional<std::string> text = object.required_text("instance_id", long_text_max)) {
        if (std::optional<Guid> id = parse_guid(*text)) {
            controller.instance_id = *id;
        } else {
            report.error(object.path_of("instance_id"), quoted(*text) + " is no GUID");
        }
    }
    object.accept_without_effect("io_queue_depth", "the guest chooses its queues' depth");
    read_luns(object, controller);
    object.finish();
    return report.error_count() == errors ? std::optional(std::move(controller)) : std::nullopt;
}

void check_uniqueness(ConfigReport& report, const std::vector<StorageControllerConfig>& controllers) {
    usize counts[std::size(protocols)] = {};
    for (usize index = 0; index < controllers.size(); ++index) {
        const StorageControllerConfig& controller = controllers[index];
        for (usize earlier = 0; earlier < index; ++earlier) {
            if (controller.instance_id == controllers[earlier].instance_id) {
                report.error(controller.path + ".instance_id", "is that of " + controllers[earlier].path + " already");
            }
        }
        usize protocol = static_cast<usize>(controller.protocol);
        usize max = bounds_of(controller.protocol).controllers_max;
        if (++counts[protocol] == max + 1) {
            report.error(controller.path, "is one " + std::string(protocols[protocol]) +
                                              " controller too many; there may be " + decimal(max));
        }
    }
    check_owners(report, controllers);
}

void read_version(ObjectReader& document) {
    const JsonValue* version = document.require("version");
    if (version == nullptr) {
        return;
    }
    bool ours = version->IsUint64() && version->GetUint64() == 1;
    bool theirs = version->IsString() && std::string_view(version->GetString(), version->GetStringLength()) == "V1";
    if (!ours && !theirs) {
        document.report().error("version", "must be 1 (or \"V1\")");
    }
}

std::vector<StorageControllerConfig> read_controllers(ObjectReader& parent) {
    std::vector<StorageControllerConfig> controllers;
    const JsonValue* array = parent.required_array("storage_controllers");
    if (array == nullptr) {
        return controllers;
    }
    std::string path = parent.path_of("storage_controllers");
    if (array->Size() > storage_controllers_max) {
        parent.report().error(path, "has " + decimal(array->Size()) + " controllers, and may have " +
                                        decimal(storage_controllers_max));
        return controllers;
    }
    for (rapidjson::SizeType index = 0; index < array->Size(); ++index) {
        if (auto controller = read_controller(parent.report(), (*array)[index], indexed(path, index))) {
            controllers.push_back(std::move(*controller));
        }
    }
    check_uniqueness(parent.report(), controllers);
    return controllers;
}

// OpenHCL's settings keep the controllers one level down.
std::vector<StorageControllerConfig> read_document(ConfigReport& report, const JsonValue& value) {
    ObjectReader document(report, value, {});
    read_version(document);
    document.accept_without_effect("fixed", "it is about OpenHCL itself");
    document.accept_without_effect("namespace_settings", "it is about OpenHCL itself");
    std::vector<StorageControllerConfig> controllers;
    if (const JsonValue* dynamic = document.find("dynamic")) {
        ObjectReader object(report, *dynamic, "dynamic");
        object.accept_without_effect("nic_devices", "there is no network");
        controllers = read_controllers(object);
        object.finish();
        if (document.find("storage_controllers") != nullptr) {
            report.error("storage_controllers", "is given in \"dynamic\" as well");
        }
    } else {
        controllers = read_controllers(document);
    }
    document.finish();
    return controllers;
}

std::string position_in(std::string_view text, usize offset) {
    std::string_view before = text.substr(0, std::min(offset, text.size()));
    usize line = 1 + static_cast<usize>(std::count(before.begin(), before.end(), '\n'));
    usize line_start = before.rfind('\n') + 1;  // npos + 1 is 0
    return "line " + decimal(line) + ", column " + decimal(before.size() - line_start + 1);
}

// Where nesting first goes past the bound; before a parser or anything recursive sees the text.
std::optional<usize> too_deep_at(std::string_view text) {
    usize depth = 0;
    bool in_string = false;
    for (usize offset = 0; offset < text.size(); ++offset) {
        char character = text[offset];
        if (in_string) {
            offset += character == '\\' ? 1 : 0;
            in_string = character != '"';
        } else if (character == '"') {
            in_string = true;
        } else if (character == '{' || character == '[') {
            if (++depth > config_depth_max) {
                return offset;
            }
        } else if ((character == '}' || character == ']') && depth > 0) {
            --depth;
        }
    }
    return std::nullopt;
}

std::unexpected<ConfigErrors> refuse(std::string message) {
    ConfigErrors errors;
    errors.push_back({.path = {}, .message = std::move(message)});
    return std::unexpected(std::move(errors));
}

}  // namespace

Result<Configuration, ConfigErrors> parse_configuration(std::string_view json) {
    if (json.size() > config_bytes_max) {
        return refuse("the document has " + decimal(json.size()) + " bytes, and may have " + decimal(config_bytes_max));
    }
    if (json.starts_with("\xef\xbb\xbf")) {
        json.remove_prefix(3);  // a byte order mark, as Windows tools write it
    }
    if (std::optional<usize> offset = too_deep_at(json)) {
        return refuse(position_in(json, *offset) + ": more than " + decimal(config_depth_max) +
                      " objects and arrays inside each other");
    }
    rapidjson::Document document;
    document.Parse<rapidjson::kParseIterativeFlag | rapidjson::kParseValidateEncodingFlag>(json.data(), json.size());
    if (document.HasParseError()) {
        return refuse(position_in(json, document.GetErrorOffset()) + ": " +
                      rapidjson::GetParseError_En(document.GetParseError()));
    }
    ConfigReport report;
    Configuration configuration;
    configuration.storage_controllers = read_document(report, document);
    if (report.error_count() > 0) {
        return std::unexpected(report.take_errors());
    }
    configuration.warnings = report.take_warnings();
    return configuration;
}

}  // namespace undercroft
