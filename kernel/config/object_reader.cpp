// What a property may be, and the words that errors are made of.
#include "kernel/config/object_reader.hpp"

#include <algorithm>

namespace undercroft {

namespace {

constexpr usize compared_length_max = 60;
constexpr usize listed_max = 8;  // a line of the log is no place for more

char lower(char character) {
    return character >= 'A' && character <= 'Z' ? static_cast<char>(character - 'A' + 'a') : character;
}

std::string_view text_of(const JsonValue& value) { return {value.GetString(), value.GetStringLength()}; }

// How many insertions, deletions and replacements lead from one to the other (Levenshtein), case ignored.
usize edit_distance(std::string_view left, std::string_view right) {
    std::vector<usize> row(right.size() + 1);
    for (usize column = 0; column <= right.size(); ++column) {
        row[column] = column;
    }
    for (usize line = 1; line <= left.size(); ++line) {
        usize diagonal = std::exchange(row[0], line);
        for (usize column = 1; column <= right.size(); ++column) {
            usize replaced = diagonal + (lower(left[line - 1]) == lower(right[column - 1]) ? 0 : 1);
            diagonal = row[column];
            row[column] = std::min({replaced, row[column] + 1, row[column - 1] + 1});
        }
    }
    return row[right.size()];
}

}  // namespace

void ConfigReport::error(std::string path, std::string message, LineSpan span) {
    if (++error_count_ <= config_errors_max) {
        errors_.push_back({.path = std::move(path), .message = std::move(message), .span = span});
    }
}

void ConfigReport::warning(std::string path, std::string message) {
    if (warnings_.size() < config_errors_max) {
        warnings_.push_back({.path = std::move(path), .message = std::move(message)});
    }
}

ConfigErrors ConfigReport::take_errors() {
    if (error_count_ > config_errors_max) {
        errors_.push_back({.path = {}, .message = "and " + decimal(error_count_ - config_errors_max) + " more errors"});
    }
    return std::move(errors_);
}

bool equals_ignoring_case(std::string_view left, std::string_view right) {
    return std::equal(left.begin(), left.end(), right.begin(), right.end(),
                      [](char a, char b) { return lower(a) == lower(b); });
}

std::optional<std::string_view> nearest(std::string_view text, std::span<const std::string_view> candidates) {
    std::optional<std::string_view> best;
    usize best_distance = std::max<usize>(2, text.size() / 2) + 1;
    if (text.size() > compared_length_max) {
        return best;
    }
    for (std::string_view candidate : candidates) {
        usize distance = edit_distance(text, candidate);
        if (distance < best_distance && distance < candidate.size()) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

std::string suggestion(std::string_view text, std::span<const std::string_view> candidates) {
    if (std::optional<std::string_view> meant = nearest(text, candidates)) {
        return "; did you mean " + quoted(*meant) + "?";
    }
    if (candidates.size() > listed_max) {
        return "";
    }
    std::string result = "; known are";
    for (usize index = 0; index < candidates.size(); ++index) {
        result += (index == 0 ? " " : ", ") + quoted(candidates[index]);
    }
    return candidates.empty() ? std::string() : result;
}

const char* type_name(const JsonValue& value) {
    if (value.IsString()) {
        return "a string";
    }
    if (value.IsNumber()) {
        return "a number";
    }
    if (value.IsBool()) {
        return "true or false";
    }
    if (value.IsObject()) {
        return "an object";
    }
    return value.IsArray() ? "an array" : "null";
}

ObjectReader::ObjectReader(ConfigReport& report, const JsonValue& value, std::string path)
    : report_(report), value_(value.IsObject() ? &value : nullptr), path_(std::move(path)) {
    if (value_ == nullptr) {
        report_.error(path_,
                      std::string(path_.empty() ? "the document " : "") + "must be an object, not " + type_name(value));
        return;
    }
    if (value.MemberCount() > object_properties_max) {
        report_.error(path_, "has " + decimal(value.MemberCount()) + " properties, and may have " +
                                 decimal(object_properties_max));
        value_ = nullptr;
        return;
    }
    for (auto member = value.MemberBegin(); member != value.MemberEnd(); ++member) {
        for (auto earlier = value.MemberBegin(); earlier != member; ++earlier) {
            if (text_of(earlier->name) == text_of(member->name)) {
                report_.error(path_of(text_of(member->name)), "given twice");
                break;
            }
        }
    }
}

std::string ObjectReader::path_of(std::string_view name) const {
    std::string shown = quoted(name);
    shown = shown.substr(1, shown.size() - 2);
    return path_.empty() ? shown : path_ + "." + shown;
}

const JsonValue* ObjectReader::find(std::string_view name) {
    known_.push_back(name);
    if (value_ == nullptr) {
        return nullptr;
    }
    for (auto member = value_->MemberBegin(); member != value_->MemberEnd(); ++member) {
        if (text_of(member->name) == name) {
            return member->value.IsNull() ? nullptr : &member->value;
        }
    }
    return nullptr;
}

const JsonValue* ObjectReader::require(std::string_view name) {
    const JsonValue* value = find(name);
    if (value == nullptr && value_ != nullptr) {
        report_.error(path_of(name), "missing");
    }
    return value;
}

std::optional<std::string> ObjectReader::as_text(const JsonValue* value, std::string_view name, usize length_max) {
    if (value == nullptr) {
        return std::nullopt;
    }
    if (!value->IsString()) {
        report_.error(path_of(name), std::string("must be a string, not ") + type_name(*value));
        return std::nullopt;
    }
    std::string_view text = text_of(*value);
    if (text.size() > length_max) {
        report_.error(path_of(name),
                      "has " + decimal(text.size()) + " characters, and may have " + decimal(length_max));
        return std::nullopt;
    }
    if (!std::all_of(text.begin(), text.end(), [](char character) { return character >= ' ' && character < 0x7f; })) {
        report_.error(path_of(name), "may hold printable ASCII characters only");
        return std::nullopt;
    }
    return std::string(text);
}

std::optional<u64> ObjectReader::as_integer(const JsonValue* value, std::string_view name, u64 min, u64 max) {
    if (value == nullptr) {
        return std::nullopt;
    }
    if (!value->IsNumber()) {
        report_.error(path_of(name), std::string("must be a whole number, not ") + type_name(*value));
        return std::nullopt;
    }
    if (!value->IsUint64() || value->GetUint64() < min || value->GetUint64() > max) {
        report_.error(path_of(name), "must be a whole number from " + decimal(min) + " to " + decimal(max));
        return std::nullopt;
    }
    return value->GetUint64();
}

const JsonValue* ObjectReader::as_array(const JsonValue* value, std::string_view name) {
    if (value != nullptr && !value->IsArray()) {
        report_.error(path_of(name), std::string("must be an array, not ") + type_name(*value));
        return nullptr;
    }
    return value;
}

std::optional<std::string> ObjectReader::text(std::string_view name, usize length_max) {
    return as_text(find(name), name, length_max);
}

std::optional<std::string> ObjectReader::required_text(std::string_view name, usize length_max) {
    return as_text(require(name), name, length_max);
}

std::optional<u64> ObjectReader::integer(std::string_view name, u64 min, u64 max) {
    return as_integer(find(name), name, min, max);
}

std::optional<u64> ObjectReader::required_integer(std::string_view name, u64 min, u64 max) {
    return as_integer(require(name), name, min, max);
}

std::optional<bool> ObjectReader::boolean(std::string_view name) {
    const JsonValue* value = find(name);
    if (value == nullptr) {
        return std::nullopt;
    }
    if (!value->IsBool()) {
        report_.error(path_of(name), std::string("must be true or false, not ") + type_name(*value));
        return std::nullopt;
    }
    return value->GetBool();
}

const JsonValue* ObjectReader::array(std::string_view name) { return as_array(find(name), name); }

const JsonValue* ObjectReader::required_array(std::string_view name) { return as_array(require(name), name); }

void ObjectReader::accept_without_effect(std::string_view name, const char* reason) {
    if (find(name) != nullptr) {
        report_.warning(path_of(name), std::string("has no effect: ") + reason);
    }
}

void ObjectReader::finish() {
    if (value_ == nullptr) {
        return;
    }
    for (auto member = value_->MemberBegin(); member != value_->MemberEnd(); ++member) {
        std::string_view name = text_of(member->name);
        if (std::find(known_.begin(), known_.end(), name) == known_.end()) {
            report_.error(path_of(name), "unknown property" + suggestion(name, known_));
        }
    }
}

}  // namespace undercroft
