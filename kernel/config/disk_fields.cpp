// Turning what was given into numbers, sizes and times.
#include "kernel/config/disk_fields.hpp"

namespace undercroft {

namespace {

bool is_textual(const FieldValue& value) {
    return value.type == FieldValue::Type::text || value.type == FieldValue::Type::word;
}

std::string wrong_type(const char* wanted, const FieldValue& value) {
    const char* given = value.type_name;
    switch (value.type) {
    case FieldValue::Type::absent:
    case FieldValue::Type::other:
        break;
    case FieldValue::Type::word:
        return "takes no value";
    case FieldValue::Type::flag:
        return "needs a value";
    case FieldValue::Type::text:
        given = "a string";
        break;
    case FieldValue::Type::number:
        given = "a number";
        break;
    case FieldValue::Type::boolean:
        given = "true or false";
        break;
    }
    return std::string("must be ") + wanted + ", not " + given;
}

}  // namespace

std::optional<std::string> DiskFields::text(std::string_view name) {
    FieldValue value = find(name);
    if (value.type == FieldValue::Type::absent) {
        return std::nullopt;
    }
    if (!is_textual(value)) {
        error(name, wrong_type("a string", value));
        return std::nullopt;
    }
    if (value.text.size() > disk_text_bytes_max) {
        error(name, "is longer than " + decimal(disk_text_bytes_max) + " bytes");
        return std::nullopt;
    }
    for (char character : value.text) {
        if (static_cast<u8>(character) < ' ' || character == 0x7f) {
            error(name, "may hold no control characters");
            return std::nullopt;
        }
    }
    return std::move(value.text);
}

std::string DiskFields::required_text(std::string_view name) {
    usize errors = report_.error_count();
    std::optional<std::string> value = text(name);
    if ((!value || value->empty()) && report_.error_count() == errors) {
        error(name, "missing");
    }
    return std::move(value).value_or("");
}

std::optional<u64> DiskFields::as_integer(std::string_view name, const FieldValue& value, u64 min, u64 max) {
    std::optional<u64> number;
    if (value.type == FieldValue::Type::number) {
        number = value.number;
    } else if (value.type == FieldValue::Type::word) {
        number = parse_decimal(value.text);
    } else {
        error(name, wrong_type("a whole number", value));
        return std::nullopt;
    }
    if (!number || *number < min || *number > max) {
        error(name, "must be a whole number from " + decimal(min) + " to " + decimal(max));
        return std::nullopt;
    }
    return number;
}

std::optional<u64> DiskFields::as_size(std::string_view name, const FieldValue& value, u64 min, u64 max) {
    std::optional<u64> bytes;
    if (value.type == FieldValue::Type::number) {
        bytes = value.number;
    } else if (is_textual(value)) {
        bytes = parse_size(value.text);
    }
    if (!bytes) {
        error(name, "must be a number of bytes, or one with K, M, G or T such as \"64M\"");
        return std::nullopt;
    }
    if (*bytes < min || *bytes > max) {
        error(name, "must be from " + size_text(min) + " to " + size_text(max));
        return std::nullopt;
    }
    return bytes;
}

std::optional<u64> DiskFields::optional_number(std::string_view name, u64 min, u64 max, NumberReader reader) {
    FieldValue value = find(name);
    return value.type == FieldValue::Type::absent ? std::nullopt : (this->*reader)(name, value, min, max);
}

std::optional<u64> DiskFields::required_number(std::string_view name, u64 min, u64 max, NumberReader reader) {
    FieldValue value = find(name);
    if (value.type == FieldValue::Type::absent) {
        error(name, "missing");
        return std::nullopt;
    }
    return (this->*reader)(name, value, min, max);
}

std::optional<DelayTimeConfig> DiskFields::delay_time(std::string_view name) {
    std::optional<std::string> given = text(name);
    if (!given) {
        return std::nullopt;
    }
    usize slash = given->find('/');
    std::string_view words = *given;
    std::optional<u64> average = parse_duration(words.substr(0, slash));
    std::optional<u64> p99 = slash == std::string::npos ? 0 : parse_duration(words.substr(slash + 1));
    if (!average || *average > delay_ns_max || !p99) {
        error(name, "must be a time of at most an hour, in ns, us, ms or s, such as \"10ms\"; or average and 99th "
                    "percentile, such as \"10ms/100ms\"");
        return std::nullopt;
    }
    if (*p99 != 0 &&
        (*p99 < *average || *p99 / delay_p99_factor_max > *average || *p99 > *average * delay_p99_factor_max)) {
        error(name, "the 99th percentile must be from the average to " + decimal(delay_p99_factor_max) + " times that");
        return std::nullopt;
    }
    return DelayTimeConfig{.average_ns = *average, .p99_ns = *p99};
}

bool DiskFields::flag(std::string_view name) {
    FieldValue value = find(name);
    if (value.type == FieldValue::Type::absent) {
        return false;
    }
    if (value.type != FieldValue::Type::boolean && value.type != FieldValue::Type::flag) {
        error(name, wrong_type("true or false", value));
        return false;
    }
    return value.number != 0;
}

std::optional<usize> DiskFields::choice(std::string_view name, std::span<const std::string_view> names,
                                        const char* what) {
    std::optional<std::string> given = text(name);
    if (!given) {
        return std::nullopt;
    }
    for (usize index = 0; index < names.size(); ++index) {
        if (names[index] == *given) {
            return index;
        }
    }
    error(name, std::string("unknown ") + what + " " + quoted(*given) + suggestion(*given, names));
    return std::nullopt;
}

}  // namespace undercroft
