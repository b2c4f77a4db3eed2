// Escaping, and a check of UTF-8 (RFC 3629, section 4).
#include "kernel/inspect/json_text.hpp"

#include "kernel/base/types.hpp"

namespace undercroft::inspect {

namespace {

constexpr std::string_view replacement = "\xef\xbf\xbd";

bool is_continuation(std::string_view text, usize index, u8 first, u8 last) {
    return index < text.size() && static_cast<u8>(text[index]) >= first && static_cast<u8>(text[index]) <= last;
}

/// Bytes of the character that begins `text`, which is not ASCII; 0 where it is none.
usize character_bytes(std::string_view text) {
    u8 lead = static_cast<u8>(text[0]);
    usize bytes = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4) {
        return 0;
    }
    // The second byte's bounds keep overlong forms, surrogates and what lies past U+10FFFF out.
    u8 first = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    u8 last = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    for (usize index = 1; index < bytes; ++index) {
        if (!is_continuation(text, index, index == 1 ? first : u8{0x80}, index == 1 ? last : u8{0xbf})) {
            return 0;
        }
    }
    return bytes;
}

}  // namespace

void append_json_text(std::string& json, std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    json += '"';
    while (!text.empty()) {
        char c = text[0];
        usize taken = 1;
        if (c == '"' || c == '\\') {
            json += '\\';
            json += c;
        } else if (static_cast<u8>(c) < ' ' || c == 0x7f) {
            json += "\\u00";
            json += digits[static_cast<u8>(c) >> 4];
            json += digits[static_cast<u8>(c) & 15];
        } else if (static_cast<u8>(c) < 0x80) {
            json += c;
        } else if (usize bytes = character_bytes(text); bytes > 0) {
            json += text.substr(0, bytes);
            taken = bytes;
        } else {
            json += replacement;
        }
        text.remove_prefix(taken);
    }
    json += '"';
}

}  // namespace undercroft::inspect
