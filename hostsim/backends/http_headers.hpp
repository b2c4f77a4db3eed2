// The headers of an HTTP response that a range request looks at (RFC 9110), from lines that nobody has checked.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kernel/base/types.hpp"

namespace undercroft {

/// "Content-Range: bytes FIRST-LAST/TOTAL" (section 14.4), with all three numbers.
struct ContentRange {
    u64 first = 0;
    u64 last = 0;
    u64 total = 0;
};

/// Parses the header's value; nothing where it is anything else than the form above, or contradicts itself.
std::optional<ContentRange> parse_content_range(std::string_view value);

/// Why a redirect from one URL to another is not followed; null where it is.
const char* redirect_problem(std::string_view from, std::string_view to);

struct ResponseHeaders {
    std::optional<ContentRange> content_range;
    std::string entity_tag;  ///< strong ones alone (section 8.8.3), with their quotes
    bool content_range_is_bad = false;
    bool is_encoded = false;  ///< Content-Encoding other than identity

    /// Takes in one line as it came, with its line end. A status line starts over.
    void take(std::string_view line);
};

}  // namespace undercroft
