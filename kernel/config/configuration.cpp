// The document: from bytes to JSON within bounds, then controllers and LUNs.
#include "kernel/config/configuration.hpp"

#include <rapidjson/error/en.h>

#include <algorithm>

#include "kernel/config/object_reader.hpp"

namespace undercroft {

namespace {

constexpr std::string_view protocols[] = {"NVME", "SCSI", "IDE"};
constexpr usize long_text_max = 1024;  // where something of the right kind will say more about a text

// Lengths that the protocols have room for (NVMe 2.0 figure 275; SPC-4 section 6.6.2).
constexpr usize serial_number_length_max = 20;
constexpr usize model_number_length_max = 40;
constexpr usize vendor_id_length_max = 8;
constexpr usize product_id_length_max = 16;
constexpr usize product_revision_length_max = 4;
constexpr usize device_id_length_max = 64;

std::string indexed(const std::string& path, usize index) { return path + "[" + decimal(index) + "]"; }

std::optional<DiskConfig> read_backing(ObjectReader& lun) {
    const JsonValue* disk = lun.find("disk");
    const JsonValue* physical = lun.find("physical_devices");
    if (disk != nullptr && physical != nullptr) {
        lun.report().error(lun.path(), "has both \"disk\" and \"physical_devices\"; one says what is behind it");
        return std::nullopt;
    }
    if (physical != nullptr) {
        return read_physical_devices(lun.report(), *physical, lun.path_of("physical_devices"));
    }
    if (disk == nullptr) {
        if (lun.is_object()) {
            lun.report().error(lun.path_of("disk"), "missing");
        }
        return std::nullopt;
    }
    return read_disk(lun.report(), *disk, lun.path_of("disk"));
}

// Properties of OpenHCL's settings that other protocols, or other hosts, act on.
void accept_foreign_properties(ObjectReader& lun) {
    constexpr const char* not_nvme = "NVMe controllers have nothing like it";
    lun.accept_without_effect("channel", not_nvme);
    lun.accept_without_effect("chunk_size_in_kb", "only striped disks have chunks");
    lun.accept_without_effect("odx", not_nvme);
    lun.accept_without_effect("disable_thin_provisioning", not_nvme);
    lun.accept_without_effect("max_transfer_length", not_nvme);
    lun.accept_without_effect("scsi_disk_size_in_bytes", "the disk's own size counts");
    lun.accept_without_effect("ntfs_guid", not_nvme);
    lun.accept_without_effect("fua", "the disk's own properties count");
    lun.accept_without_effect("write_cache", "the disk's own properties count");
}

std::optional<LunConfig> read_lun(ConfigReport& report, const JsonValue& value, std::string path,
                                  StorageProtocol protocol) {
    usize errors = report.error_count();
    ObjectReader object(report, value, std::move(path));
    LunConfig lun;
    lun.path = object.path();
    u64 location_min = protocol == StorageProtocol::nvme ? 1 : 0;
    lun.location = static_cast<u32>(object.required_integer("location", location_min, namespace_id_max).value_or(0));
    lun.device_id = object.text("device_id", device_id_length_max).value_or("");
    lun.vendor_id = object.text("vendor_id", vendor_id_length_max).value_or("");
    lun.product_id = object.text("product_id", product_id_length_max).value_or("");
    lun.product_revision_level = object.text("product_revision_level", product_revision_length_max).value_or("");
    lun.serial_number = object.text("serial_number", serial_number_length_max).value_or("");
    lun.model_number = object.text("model_number", model_number_length_max).value_or("");
    if (object.boolean("is_dvd").value_or(false) && protocol == StorageProtocol::nvme) {
        report.error(object.path_of("is_dvd"), "an NVMe controller has no DVDs");
    }
    std::optional<DiskConfig> disk = read_backing(object);
    accept_foreign_properties(object);
    object.finish();
    if (!disk || report.error_count() != errors) {
        return std::nullopt;
    }
    lun.disk = std::move(*disk);
    return lun;
}

void check_locations(ConfigReport& report, const JsonValue& luns, const std::string& path) {
    for (rapidjson::SizeType index = 0; index < luns.Size(); ++index) {
        for (rapidjson::SizeType earlier = 0; earlier < index; ++earlier) {
            auto location_of = [&](rapidjson::SizeType at) -> std::optional<u64> {
                if (!luns[at].IsObject()) {
                    return std::nullopt;
                }
                auto member = luns[at].FindMember("location");
                bool known = member != luns[at].MemberEnd() && member->value.IsUint64();
                return known ? std::optional<u64>(member->value.GetUint64()) : std::nullopt;
            };
            if (location_of(index) && location_of(index) == location_of(earlier)) {
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
    if (equals_ignoring_case(*text, "nvme")) {
        return StorageProtocol::nvme;
    }
    if (equals_ignoring_case(*text, "scsi") || equals_ignoring_case(*text, "ide")) {
        controller.report().error(controller.path_of("protocol"),
                                  *text + " controllers are not supported by this version; use \"NVME\"");
        return equals_ignoring_case(*text, "scsi") ? StorageProtocol::scsi : StorageProtocol::ide;
    }
    controller.report().error(controller.path_of("protocol"),
                              "unknown protocol " + quoted(*text) + suggestion(*text, protocols));
    return std::nullopt;
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
    if (const JsonValue* luns = object.required_array("luns")) {
        std::string luns_path = object.path_of("luns");
        if (luns->Size() > nvme_luns_max) {
            report.error(luns_path, "has " + decimal(luns->Size()) + " LUNs, and may have " + decimal(nvme_luns_max));
        } else {
            for (rapidjson::SizeType index = 0; index < luns->Size(); ++index) {
                if (auto lun = read_lun(report, (*luns)[index], indexed(luns_path, index), controller.protocol)) {
                    controller.luns.push_back(std::move(*lun));
                }
            }
            check_locations(report, *luns, luns_path);
        }
    }
    object.finish();
    return report.error_count() == errors ? std::optional(std::move(controller)) : std::nullopt;
}

const NvmeDiskConfig* physical_namespace(const DiskConfig& disk) {
    const DiskConfig* at = &disk;
    while (const auto* crypt = std::get_if<CryptDiskConfig>(&at->kind)) {
        at = crypt->over.get();
    }
    return std::get_if<NvmeDiskConfig>(&at->kind);
}

// Two owners of one namespace would overwrite each other; two controllers of one identity cannot be told apart.
void check_uniqueness(ConfigReport& report, const std::vector<StorageControllerConfig>& controllers) {
    struct Use {
        const NvmeDiskConfig* nvme;
        const LunConfig* lun;
    };
    std::vector<Use> uses;
    for (usize index = 0; index < controllers.size(); ++index) {
        for (usize earlier = 0; earlier < index; ++earlier) {
            if (controllers[index].instance_id == controllers[earlier].instance_id) {
                report.error(controllers[index].path + ".instance_id",
                             "is that of " + controllers[earlier].path + " already");
            }
        }
        for (const LunConfig& lun : controllers[index].luns) {
            const NvmeDiskConfig* nvme = physical_namespace(lun.disk);
            if (nvme == nullptr) {
                continue;
            }
            for (const Use& use : uses) {
                if (use.nvme->device == nvme->device && use.nvme->namespace_id == nvme->namespace_id) {
                    report.error(lun.disk.path, "namespace " + decimal(nvme->namespace_id) + " of " +
                                                    to_string(nvme->device) + " is used by " + use.lun->path +
                                                    " already");
                }
            }
            uses.push_back({.nvme = nvme, .lun = &lun});
        }
    }
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

std::string to_string(const ConfigError& error) {
    return error.path.empty() ? error.message : error.path + ": " + error.message;
}

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
