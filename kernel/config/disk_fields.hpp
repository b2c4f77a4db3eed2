// What JSON objects and one-line disks have in common: a kind, named fields, and disks below. The kinds are described
// once (disk_kinds.cpp) and read through `DiskFields`, so that both forms have the same fields, the same bounds and the
// same errors. Private to kernel/config.
#pragma once

#include "kernel/config/object_reader.hpp"

namespace undercroft {

/// How deep in its tree a disk is.
struct DiskDepth {
    usize disks = 0;
    usize crypts = 0;
};

/// What a field was given as.
struct FieldValue {
    enum class Type : u8 {
        absent,
        text,     ///< of an object
        number,   ///< of an object
        boolean,  ///< of an object; `number` is 0 or 1
        other,    ///< of an object
        word,     ///< of a line: a text, a number or a size, as the field wants it
        flag,     ///< of a line: an option without a value
    };
    Type type = Type::absent;
    std::string text = {};
    u64 number = 0;
    const char* type_name = "";  ///< of `other`, for messages
};

/// The fields of one disk. The readers below report a value of the wrong kind or outside its bounds, and give nothing
/// then; `required_...` report a missing one as well.
class DiskFields {
public:
    explicit DiskFields(ConfigReport& report, DiskDepth depth) : report_(report), depth_(depth) {}
    DiskFields(const DiskFields&) = delete;
    DiskFields& operator=(const DiskFields&) = delete;
    virtual ~DiskFields() = default;

    DiskDepth depth() const { return depth_; }

    std::optional<std::string> text(std::string_view name);
    std::string required_text(std::string_view name);
    std::optional<u64> integer(std::string_view name, u64 min, u64 max) {
        return optional_number(name, min, max, &DiskFields::as_integer);
    }
    std::optional<u64> required_integer(std::string_view name, u64 min, u64 max) {
        return required_number(name, min, max, &DiskFields::as_integer);
    }
    /// Bytes: a number, or a text such as "64M".
    std::optional<u64> size(std::string_view name, u64 min, u64 max) {
        return optional_number(name, min, max, &DiskFields::as_size);
    }
    std::optional<u64> required_size(std::string_view name, u64 min, u64 max) {
        return required_number(name, min, max, &DiskFields::as_size);
    }
    /// A text such as "10ms" or "10ms/100ms".
    std::optional<DelayTimeConfig> delay_time(std::string_view name);
    bool flag(std::string_view name);
    /// One of `names`, as its index.
    std::optional<usize> choice(std::string_view name, std::span<const std::string_view> names, const char* what);

    /// Reports `message` about the field `name`.
    virtual void error(std::string_view name, std::string message) = 0;
    /// About the disk as a whole.
    virtual void error(std::string message) = 0;
    /// The disk below. Null where it has errors.
    virtual DiskBelow below(DiskDepth depth) = 0;
    /// The disks of a `striped` or `layered` one; those with errors are left out.
    virtual std::vector<DiskConfig> members(DiskDepth depth) = 0;
    /// The rules of a `fault` disk, as far as they are sound.
    virtual std::vector<FaultRuleConfig> fault_rules() = 0;

protected:
    virtual FieldValue find(std::string_view name) = 0;
    ConfigReport& report() const { return report_; }

private:
    using NumberReader = std::optional<u64> (DiskFields::*)(std::string_view name, const FieldValue& value, u64 min,
                                                            u64 max);
    std::optional<u64> optional_number(std::string_view name, u64 min, u64 max, NumberReader reader);
    std::optional<u64> required_number(std::string_view name, u64 min, u64 max, NumberReader reader);
    std::optional<u64> as_size(std::string_view name, const FieldValue& value, u64 min, u64 max);
    std::optional<u64> as_integer(std::string_view name, const FieldValue& value, u64 min, u64 max);

    ConfigReport& report_;
    DiskDepth depth_;
};

enum class DisksBelow : u8 { none, one, several };

/// One kind of disk.
struct DiskKindDescription {
    std::string_view name;
    /// What follows in the line, in order; `a/b` is one word that is split at its last slash.
    std::span<const std::string_view> arguments;
    /// What may be given as `;name` or `;name=value` there.
    std::span<const std::string_view> options;
    DisksBelow below;
    std::string_view usage;
    DiskKind (*read)(DiskFields& fields);
};

/// Every kind that may be written, by name; null for any other.
const DiskKindDescription* find_disk_kind(std::string_view name);
/// `unknown disk kind "nvm"; did you mean "nvme"?`
std::string unknown_disk_kind(std::string_view name);

/// Reports a tree that is too deep.
bool check_disk_depth(ConfigReport& report, const std::string& path, LineSpan span, DiskDepth depth);

/// Reads a line that stands at `path`.
std::optional<DiskConfig> read_disk_line(ConfigReport& report, std::string_view line, const std::string& path,
                                         DiskDepth depth);
/// Reads an object, or a line.
std::optional<DiskConfig> read_disk_value(ConfigReport& report, const JsonValue& value, const std::string& path,
                                          DiskDepth depth);

/// Reads `write-fail-io@0-7/count=1+flush-hold`. On failure: the offset in `text`, and what is wrong.
struct FaultSpecError {
    usize offset;
    usize length;
    std::string message;
};
Result<std::vector<FaultRuleConfig>, FaultSpecError> parse_fault_rules(std::string_view text);

inline constexpr std::string_view crypt_cipher = "xts-aes-256";
inline constexpr std::string_view blob_formats[] = {"flat", "vhd1"};

}  // namespace undercroft
