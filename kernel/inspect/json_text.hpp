// Texts in JSON (RFC 8259).
#pragma once

#include <string>
#include <string_view>

namespace undercroft::inspect {

/// Appends `text` in quotes. What is no UTF-8 becomes U+FFFD, so that the result is a document for every reader.
void append_json_text(std::string& json, std::string_view text);

}  // namespace undercroft::inspect
