// Splitting header lines and reading their values.
#include "hostsim/backends/http_headers.hpp"

#include <charconv>

namespace undercroft {

namespace {

constexpr usize entity_tag_chars_max = 256;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_name(std::string_view text, std::string_view lower_case_name) {
    if (text.size() != lower_case_name.size()) {
        return false;
    }
    for (usize index = 0; index < text.size(); ++index) {
        if (lower(text[index]) != lower_case_name[index]) {
            return false;
        }
    }
    return true;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blanks = " \t\r\n";
    usize first = text.find_first_not_of(blanks);
    if (first == std::string_view::npos) {
        return {};
    }
    return text.substr(first, text.find_last_not_of(blanks) - first + 1);
}

// A number that is followed by `end`, and takes both off `text`.
std::optional<u64> take_number(std::string_view& text, std::string_view end) {
    u64 value = 0;
    auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    std::string_view rest = text.substr(static_cast<usize>(stop - text.data()));
    if (error != std::errc() || !rest.starts_with(end)) {
        return std::nullopt;
    }
    text = rest.substr(end.size());
    return value;
}

}  // namespace

std::optional<ContentRange> parse_content_range(std::string_view value) {
    constexpr std::string_view unit = "bytes ";
    if (value.size() < unit.size() || !is_name(value.substr(0, unit.size()), unit)) {
        return std::nullopt;
    }
    value = trimmed(value.substr(unit.size()));
    std::optional<u64> first = take_number(value, "-");
    std::optional<u64> last = first ? take_number(value, "/") : std::nullopt;
    std::optional<u64> total = last ? take_number(value, "") : std::nullopt;
    if (!total || !value.empty() || *first > *last || *last >= *total) {
        return std::nullopt;
    }
    return ContentRange{.first = *first, .last = *last, .total = *total};
}

const char* redirect_problem(std::string_view from, std::string_view to) {
    auto is_scheme = [](std::string_view url, std::string_view scheme) {
        return url.size() >= scheme.size() && is_name(url.substr(0, scheme.size()), scheme);
    };
    constexpr std::string_view secure = "https://";
    if (!is_scheme(to, "http://") && !is_scheme(to, secure)) {
        return "the server redirects to something that is neither HTTP nor HTTPS";
    }
    if (is_scheme(from, secure) && !is_scheme(to, secure)) {
        return "the server redirects from HTTPS to HTTP, which is not followed";
    }
    return nullptr;
}

void ResponseHeaders::take(std::string_view line) {
    if (line.starts_with("HTTP/")) {
        *this = {};
        return;
    }
    usize colon = line.find(':');
    if (colon == std::string_view::npos) {
        return;
    }
    std::string_view name = line.substr(0, colon);
    std::string_view value = trimmed(line.substr(colon + 1));
    if (is_name(name, "content-range")) {
        content_range = parse_content_range(value);
        content_range_is_bad = !content_range;
    } else if (is_name(name, "etag")) {
        entity_tag = value.starts_with('"') && value.size() <= entity_tag_chars_max ? std::string(value) : "";
    } else if (is_name(name, "content-encoding")) {
        is_encoded = !is_name(value, "identity");
    }
}

}  // namespace undercroft
