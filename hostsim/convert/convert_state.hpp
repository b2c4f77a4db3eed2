// The note by which a copy that was stopped goes on: which disks, how large, how far. A small text file of lines
// `name value`; replaced whole, so that it is the old or the new one whenever the power fails.
#pragma once

#include <optional>
#include <string>

#include "kernel/base/result.hpp"

namespace undercroft {

struct ConvertState {
    std::string source;  ///< as given on the command line
    std::string target;
    u64 total_bytes = 0;
    u64 done_bytes = 0;
};

/// The file's content for `state`, and back. Nothing for a text that is no such note.
std::string convert_state_text(const ConvertState& state);
std::optional<ConvertState> parse_convert_state(const std::string& text);

/// Reads the note at `path`: nothing where there is no file. On failure: what is wrong with it.
Result<std::optional<ConvertState>, std::string> read_convert_state(const std::string& path);
/// Writes it, durable.
Result<void, std::string> write_convert_state(const std::string& path, const ConvertState& state);

}  // namespace undercroft
