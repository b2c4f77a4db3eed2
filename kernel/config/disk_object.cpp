// Disks as JSON objects: one property, the kind, whose value has the kind's fields; and OpenHCL's `physical_devices`.
#include <algorithm>

#include "kernel/config/disk_fields.hpp"

namespace undercroft {

namespace {

constexpr usize short_text_max = 1024;
constexpr u64 default_chunk_kib = 128;

std::string_view text_of(const JsonValue& value) { return {value.GetString(), value.GetStringLength()}; }

std::string indexed(const std::string& path, usize index) { return path + "[" + decimal(index) + "]"; }

FieldValue field_value(const JsonValue& value) {
    if (value.IsString()) {
        return {.type = FieldValue::Type::text, .text = std::string(text_of(value))};
    }
    if (value.IsUint64()) {
        return {.type = FieldValue::Type::number, .number = value.GetUint64()};
    }
    if (value.IsBool()) {
        return {.type = FieldValue::Type::boolean, .number = value.GetBool() ? u64{1} : u64{0}};
    }
    return {.type = FieldValue::Type::other,
            .type_name = value.IsNumber() ? "a number that is negative, too large or a fraction" : type_name(value)};
}

class ObjectFields final : public DiskFields {
public:
    ObjectFields(ObjectReader& object, DiskDepth depth) : DiskFields(object.report(), depth), object_(object) {}

    void error(std::string_view name, std::string message) override {
        report().error(object_.path_of(name), std::move(message));
    }
    void error(std::string message) override { report().error(object_.path(), std::move(message)); }

    DiskBelow below(DiskDepth depth) override {
        const JsonValue* over = object_.require("over");
        if (over == nullptr) {
            return {};
        }
        std::optional<DiskConfig> disk = read_disk_value(report(), *over, object_.path_of("over"), depth);
        return disk ? DiskBelow(std::move(*disk)) : DiskBelow();
    }

    std::vector<DiskConfig> members(DiskDepth depth) override {
        std::vector<DiskConfig> disks;
        const JsonValue* array = object_.required_array("over");
        if (array == nullptr) {
            return disks;
        }
        if (array->Size() < 2 || array->Size() > striped_members_max) {
            error("over",
                  "has from 2 to " + decimal(striped_members_max) + " disks; there are " + decimal(array->Size()));
            return disks;
        }
        for (rapidjson::SizeType index = 0; index < array->Size(); ++index) {
            std::string path = indexed(object_.path_of("over"), index);
            if (std::optional<DiskConfig> disk = read_disk_value(report(), (*array)[index], path, depth)) {
                disks.push_back(std::move(*disk));
            }
        }
        return disks;
    }

    std::vector<FaultRuleConfig> fault_rules() override {
        std::vector<FaultRuleConfig> rules;
        const JsonValue* value = object_.require("rules");
        std::string path = object_.path_of("rules");
        if (value == nullptr) {
            return rules;
        }
        if (!value->IsArray()) {
            add_rules(rules, *value, path);
            return rules;
        }
        if (value->Size() == 0 || value->Size() > fault_rules_max) {
            error("rules", "has from 1 to " + decimal(fault_rules_max) + " rules; there are " + decimal(value->Size()));
            return rules;
        }
        for (rapidjson::SizeType index = 0; index < value->Size(); ++index) {
            add_rules(rules, (*value)[index], indexed(path, index));
        }
        if (rules.size() > fault_rules_max) {
            error("rules", "has more than " + decimal(fault_rules_max) + " rules");
        }
        return rules;
    }

protected:
    FieldValue find(std::string_view name) override {
        const JsonValue* value = object_.find(name);
        return value == nullptr ? FieldValue{} : field_value(*value);
    }

private:
    void add_rules(std::vector<FaultRuleConfig>& rules, const JsonValue& value, const std::string& path) const {
        if (!value.IsString()) {
            report().error(path,
                           std::string("must be a text such as \"write-fail@0-7/count=1\", not ") + type_name(value));
            return;
        }
        Result<std::vector<FaultRuleConfig>, FaultSpecError> parsed = parse_fault_rules(text_of(value));
        if (!parsed) {
            report().error(path, std::move(parsed.error().message),
                           {.column = static_cast<u32>(parsed.error().offset + 1),
                            .length = static_cast<u32>(parsed.error().length)});
            return;
        }
        std::ranges::move(*parsed, std::back_inserter(rules));
    }

    ObjectReader& object_;
};

std::optional<DiskConfig> read_disk_object(ConfigReport& report, const JsonValue& value, const std::string& path,
                                           DiskDepth depth) {
    if (value.MemberCount() != 1) {
        report.error(path, "must have one property, the kind of the disk; it has " + decimal(value.MemberCount()));
        return std::nullopt;
    }
    const auto& member = *value.MemberBegin();
    const DiskKindDescription* kind = find_disk_kind(text_of(member.name));
    if (kind == nullptr) {
        report.error(path, unknown_disk_kind(text_of(member.name)));
        return std::nullopt;
    }
    usize errors = report.error_count();
    ObjectReader object(report, member.value, path + "." + std::string(kind->name));
    if (!object.is_object()) {
        return std::nullopt;
    }
    ObjectFields fields(object, depth);
    DiskConfig disk{.path = object.path(), .span = {}, .kind = kind->read(fields)};
    object.finish();
    return report.error_count() == errors ? std::optional(std::move(disk)) : std::nullopt;
}

// The devices of OpenHCL's settings are those that a hypervisor offers over VMBus; a PCI address says the same of a
// controller that VTL2 drives itself.
std::optional<DiskConfig> read_physical_device(ConfigReport& report, const JsonValue& value, std::string path) {
    constexpr std::string_view device_types[] = {"nvme", "vscsi"};
    usize errors = report.error_count();
    ObjectReader object(report, value, std::move(path));
    std::optional<std::string> type = object.required_text("device_type", short_text_max);
    bool scsi = type && equals_ignoring_case(*type, "vscsi");
    if (type && !scsi && !equals_ignoring_case(*type, "nvme")) {
        report.error(object.path_of("device_type"),
                     "unknown device type " + quoted(*type) + suggestion(*type, device_types));
    }
    std::optional<std::string> device = object.required_text("device_path", short_text_max);
    std::optional<Guid> guid = device ? parse_guid(*device) : std::nullopt;
    std::optional<PciAddress> address = device && !scsi ? parse_pci_address(*device) : std::nullopt;
    if (device && !guid && !address) {
        report.error(object.path_of("device_path"),
                     quoted(*device) + (scsi ? " is no VMBus instance id, which is a GUID"
                                             : " is neither a PCI address such as \"0000:00:03.0\" nor a GUID"));
    }
    u64 min = scsi ? 0 : 1;
    u32 child = static_cast<u32>(object.required_integer("sub_device_path", min, namespace_id_max).value_or(min));
    object.finish();
    if (report.error_count() != errors) {
        return std::nullopt;
    }
    if (address) {
        return DiskConfig{
            .path = object.path(), .span = {}, .kind = NvmeDiskConfig{.device = *address, .namespace_id = child}};
    }
    return DiskConfig{.path = object.path(),
                      .span = {},
                      .kind = VmbusDiskConfig{.type = scsi ? VmbusDiskConfig::Type::vscsi : VmbusDiskConfig::Type::nvme,
                                              .instance_id = guid.value_or(Guid{}),
                                              .sub_device = child}};
}

/// `device` and `devices`, whichever is there; how many there were goes into `count`.
std::vector<DiskConfig> read_devices(ObjectReader& object, usize& count) {
    std::vector<DiskConfig> disks;
    auto add = [&](const JsonValue& device, std::string path) {
        ++count;
        if (std::optional<DiskConfig> disk = read_physical_device(object.report(), device, std::move(path))) {
            disks.push_back(std::move(*disk));
        }
    };
    if (const JsonValue* device = object.find("device")) {
        add(*device, object.path_of("device"));
    }
    const JsonValue* devices = object.array("devices");
    if (devices != nullptr && devices->Size() > striped_members_max) {
        object.report().error(object.path_of("devices"), "has more than " + decimal(striped_members_max) + " devices");
    } else if (devices != nullptr) {
        for (rapidjson::SizeType index = 0; index < devices->Size(); ++index) {
            add((*devices)[index], indexed(object.path_of("devices"), index));
        }
    }
    return disks;
}

}  // namespace

std::optional<DiskConfig> read_disk_value(ConfigReport& report, const JsonValue& value, const std::string& path,
                                          DiskDepth depth) {
    if (value.IsString()) {
        return read_disk_line(report, text_of(value), path, depth);
    }
    if (!value.IsObject()) {
        report.error(path, std::string("must be an object or a string, not ") + type_name(value));
        return std::nullopt;
    }
    return check_disk_depth(report, path, {}, depth) ? read_disk_object(report, value, path, depth) : std::nullopt;
}

std::optional<DiskConfig> read_disk(ConfigReport& report, const JsonValue& value, const std::string& path) {
    usize errors = report.error_count();
    std::optional<DiskConfig> disk = read_disk_value(report, value, path, {});
    return report.error_count() == errors ? std::move(disk) : std::nullopt;
}

std::optional<DiskConfig> read_physical_devices(ConfigReport& report, const JsonValue& value, std::string path,
                                                u64 chunk_kib) {
    constexpr std::string_view types[] = {"single", "striped"};
    usize errors = report.error_count();
    usize count = 0;
    ObjectReader object(report, value, std::move(path));
    std::optional<std::string> type = object.required_text("type", short_text_max);
    std::vector<DiskConfig> disks = read_devices(object, count);
    bool single = type && equals_ignoring_case(*type, "single");
    bool striped = type && equals_ignoring_case(*type, "striped");
    if (single && count != 1) {
        report.error(object.path(), "\"single\" is one device; there are " + decimal(count));
    } else if (striped && count < 2) {
        report.error(object.path(), "\"striped\" is two devices at least; there are " + decimal(count));
    } else if (type && !single && !striped) {
        report.error(object.path_of("type"), "unknown type " + quoted(*type) + suggestion(*type, types));
    }
    object.finish();
    if (report.error_count() != errors || disks.empty()) {
        return std::nullopt;
    }
    if (single) {
        return std::move(disks.front());
    }
    StripedDiskConfig stripes;
    stripes.chunk_bytes = (chunk_kib == 0 ? default_chunk_kib : chunk_kib) * kib;
    stripes.over = std::move(disks);
    return DiskConfig{.path = object.path(), .span = {}, .kind = std::move(stripes)};
}

}  // namespace undercroft
