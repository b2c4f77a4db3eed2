// Reading JSON objects against what they should hold. A reader remembers which properties were asked for, so that at
// the end it can name those that nobody knows. It reports and goes on: a document's errors are found all at once.
// Private to kernel/config.
#pragma once

#include <rapidjson/document.h>

#include <optional>
#include <span>

#include "kernel/config/configuration.hpp"

namespace undercroft {

using JsonValue = rapidjson::Value;

/// Properties that one object may have: what compares them with each other stays quick.
inline constexpr usize object_properties_max = 64;

/// Collects what is wrong.
class ConfigReport {
public:
    void error(std::string path, std::string message, LineSpan span = {});
    void warning(std::string path, std::string message);
    /// How many errors there were so far: whether a part of the document was sound.
    usize error_count() const { return error_count_; }
    ConfigErrors take_errors();
    ConfigErrors take_warnings() { return std::move(warnings_); }

private:
    ConfigErrors errors_;
    ConfigErrors warnings_;
    usize error_count_ = 0;
};

/// The candidate that `text` was most likely meant to be, or nothing where none is near.
std::optional<std::string_view> nearest(std::string_view text, std::span<const std::string_view> candidates);
/// `; did you mean "x"?`, or `; known are "x", "y"`.
std::string suggestion(std::string_view text, std::span<const std::string_view> candidates);
/// What kind of value it is: "a string", "an object".
const char* type_name(const JsonValue& value);
bool equals_ignoring_case(std::string_view left, std::string_view right);

class ObjectReader {
public:
    /// Reports a value that is no object, and properties that are given twice.
    ObjectReader(ConfigReport& report, const JsonValue& value, std::string path);
    ObjectReader(const ObjectReader&) = delete;
    ObjectReader& operator=(const ObjectReader&) = delete;

    bool is_object() const { return value_ != nullptr; }
    const std::string& path() const { return path_; }
    std::string path_of(std::string_view name) const;
    ConfigReport& report() const { return report_; }

    /// The property `name`; null where it is not given, or is `null`.
    const JsonValue* find(std::string_view name);
    /// As `find`; reports where there is none.
    const JsonValue* require(std::string_view name);

    // Each reports a value of the wrong type or outside the bounds, and gives nothing then.
    std::optional<std::string> text(std::string_view name, usize length_max);
    std::optional<std::string> required_text(std::string_view name, usize length_max);
    std::optional<u64> integer(std::string_view name, u64 min, u64 max);
    std::optional<u64> required_integer(std::string_view name, u64 min, u64 max);
    std::optional<bool> boolean(std::string_view name);
    const JsonValue* array(std::string_view name);
    const JsonValue* required_array(std::string_view name);

    /// Accepts `name` and says that it has no effect.
    void accept_without_effect(std::string_view name, const char* reason);
    /// Reports every property that was not asked for.
    void finish();

private:
    std::optional<std::string> as_text(const JsonValue* value, std::string_view name, usize length_max);
    std::optional<u64> as_integer(const JsonValue* value, std::string_view name, u64 min, u64 max);
    const JsonValue* as_array(const JsonValue* value, std::string_view name);

    ConfigReport& report_;
    const JsonValue* value_;
    std::string path_;
    std::vector<std::string_view> known_;
};

/// Reads a `disk` property: an object, or a text in the one-line grammar. Nothing where it has errors.
std::optional<DiskConfig> read_disk(ConfigReport& report, const JsonValue& value, const std::string& path);
/// Reads a `physical_devices` property; `chunk_kib` is the LUN's `chunk_size_in_kb`, 0 where it has none.
std::optional<DiskConfig> read_physical_devices(ConfigReport& report, const JsonValue& value, std::string path,
                                                u64 chunk_kib);
/// Reports what is behind two disks at once.
void check_owners(ConfigReport& report, const std::vector<StorageControllerConfig>& controllers);

}  // namespace undercroft
