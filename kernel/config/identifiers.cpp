// Parsing of the small texts.
#include "kernel/config/identifiers.hpp"

#include <charconv>

namespace undercroft {

namespace {

constexpr usize quoted_length_max = 200;  // what a line of a log has room for

std::optional<u64> parse_number(std::string_view text, int base, usize digits_max) {
    u64 value = 0;
    if (text.empty() || text.size() > digits_max) {
        return std::nullopt;
    }
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (error != std::errc() || end != text.data() + text.size()) {
        return std::nullopt;
    }
    return value;
}

// Takes what is before the last `separator`'s following text: "a:b:c" by ':' gives "c" and leaves "a:b".
std::string_view take_last(std::string_view& text, char separator) {
    usize position = text.rfind(separator);
    if (position == std::string_view::npos) {
        return std::exchange(text, {});
    }
    std::string_view last = text.substr(position + 1);
    text = text.substr(0, position);
    return last;
}

void append_hexadecimal(std::string& text, u32 value, usize digits) {
    constexpr std::string_view characters = "0123456789abcdef";
    while (digits-- > 0) {
        text += characters[value >> (4 * digits) & 15];
    }
}

struct TimeUnit {
    std::string_view suffix;
    u64 nanoseconds;
};
constexpr TimeUnit time_units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1'000'000}, {"s", 1'000'000'000}};

}  // namespace

std::optional<PciAddress> parse_pci_address(std::string_view text) {
    if (text.find('.') == std::string_view::npos || text.find(':') == std::string_view::npos) {
        return std::nullopt;
    }
    std::optional<u64> function = parse_number(take_last(text, '.'), 16, 1);
    std::optional<u64> device = parse_number(take_last(text, ':'), 16, 2);
    bool has_segment = text.find(':') != std::string_view::npos;
    std::optional<u64> bus = parse_number(take_last(text, ':'), 16, 2);
    std::optional<u64> segment = has_segment ? parse_number(text, 16, 4) : 0;
    if (!function || !device || !bus || !segment || *function > 7 || *device > 31) {
        return std::nullopt;
    }
    return PciAddress{.segment = static_cast<u16>(*segment),
                      .bus = static_cast<u8>(*bus),
                      .device = static_cast<u8>(*device),
                      .function = static_cast<u8>(*function)};
}

std::string to_string(const PciAddress& address) {
    std::string text;
    append_hexadecimal(text, address.segment, 4);
    text += ':';
    append_hexadecimal(text, address.bus, 2);
    text += ':';
    append_hexadecimal(text, address.device, 2);
    text += '.';
    append_hexadecimal(text, address.function, 1);
    return text;
}

std::optional<Guid> parse_guid(std::string_view text) {
    if (text.size() == 38 && text.front() == '{' && text.back() == '}') {
        text = text.substr(1, 36);
    }
    if (text.size() != 36) {
        return std::nullopt;
    }
    Guid guid;
    usize filled = 0;
    for (usize position = 0; position < text.size();) {
        bool at_dash = position == 8 || position == 13 || position == 18 || position == 23;
        if (at_dash) {
            if (text[position++] != '-') {
                return std::nullopt;
            }
            continue;
        }
        std::optional<u64> byte = parse_number(text.substr(position, 2), 16, 2);
        if (!byte) {
            return std::nullopt;
        }
        guid.bytes[filled++] = static_cast<u8>(*byte);
        position += 2;
    }
    return guid;
}

std::string to_string(const Guid& guid) {
    std::string text;
    for (usize index = 0; index < guid.bytes.size(); ++index) {
        bool dash = index == 4 || index == 6 || index == 8 || index == 10;
        text += dash ? "-" : "";
        append_hexadecimal(text, guid.bytes[index], 2);
    }
    return text;
}

bool is_key_name(std::string_view text) {
    if (text.empty() || text.size() > key_name_length_max || text.front() == '.') {
        return false;
    }
    for (char character : text) {
        bool letter = (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z');
        bool digit = character >= '0' && character <= '9';
        if (!letter && !digit && character != '-' && character != '_' && character != '.') {
            return false;
        }
    }
    return true;
}

std::optional<u64> parse_decimal(std::string_view text) { return parse_number(text, 10, 20); }

std::optional<u64> parse_size(std::string_view text) {
    constexpr std::string_view suffixes = "KMGTkmgt";
    u32 shift = 0;
    if (!text.empty()) {
        if (usize index = suffixes.find(text.back()); index != std::string_view::npos) {
            shift = 10 * (static_cast<u32>(index) % 4 + 1);
            text.remove_suffix(1);
        }
    }
    std::optional<u64> value = parse_decimal(text);
    if (!value || *value > ~u64{0} >> shift) {
        return std::nullopt;
    }
    return *value << shift;
}

std::string size_text(u64 bytes) {
    constexpr std::string_view suffixes = "KMGT";
    usize suffix = 0;
    while (suffix < suffixes.size() && bytes != 0 && bytes % kib == 0) {
        bytes /= kib;
        ++suffix;
    }
    return suffix == 0 ? decimal(bytes) : decimal(bytes) + suffixes[suffix - 1];
}

std::optional<u64> parse_duration(std::string_view text) {
    if (text == "0") {
        return 0;
    }
    for (const TimeUnit& unit : time_units) {
        // "10ms" ends in "s" as well: the shorter suffix comes last, and then letters remain.
        if (text.ends_with(unit.suffix)) {
            std::optional<u64> value = parse_decimal(text.substr(0, text.size() - unit.suffix.size()));
            if (value && *value <= ~u64{0} / unit.nanoseconds) {
                return *value * unit.nanoseconds;
            }
        }
    }
    return std::nullopt;
}

std::string duration_text(u64 nanoseconds) {
    const TimeUnit* best = &time_units[0];
    for (const TimeUnit& unit : time_units) {
        if (nanoseconds % unit.nanoseconds == 0) {
            best = &unit;
        }
    }
    return nanoseconds == 0 ? "0" : decimal(nanoseconds / best->nanoseconds) + std::string(best->suffix);
}

std::string decimal(u64 value) {
    char digits[20];
    return std::string(digits, std::to_chars(digits, digits + sizeof(digits), value).ptr);
}

std::string quoted(std::string_view text) {
    std::string result = "\"";
    for (char character : text.substr(0, quoted_length_max)) {
        result += character >= ' ' && character != 0x7f ? character : '?';
    }
    return result + (text.size() > quoted_length_max ? "...\"" : "\"");
}

}  // namespace undercroft
