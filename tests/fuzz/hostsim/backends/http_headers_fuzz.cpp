// Header lines as a server may send them: whatever they are, a range that is accepted makes sense, and a redirect that is
// followed stays with HTTP and HTTPS.
#include <string_view>

#include "hostsim/backends/http_headers.hpp"
#include "kernel/base/assert.hpp"

using namespace undercroft;

extern "C" int LLVMFuzzerTestOneInput(const u8* data, size_t size) {
    // SAFETY: bytes as characters.
    std::string_view text(reinterpret_cast<const char*>(data), size);
    if (std::optional<ContentRange> range = parse_content_range(text)) {
        ASSERT(range->first <= range->last && range->last < range->total);
    }
    if (redirect_problem("https://from/", text) == nullptr) {
        ASSERT(text.size() >= 8 && (text[4] | 0x20) == 's');
    }
    ResponseHeaders headers;
    while (!text.empty()) {
        usize end = text.find('\n');
        usize length = end == std::string_view::npos ? text.size() : end + 1;
        headers.take(text.substr(0, length));
        text.remove_prefix(length);
        ASSERT(headers.entity_tag.empty() || headers.entity_tag[0] == '"');
        ASSERT(!headers.content_range || headers.content_range->last < headers.content_range->total);
    }
    return 0;
}
