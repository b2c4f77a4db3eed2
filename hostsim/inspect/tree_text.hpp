// Answers of `inspect` as text for people: a line a value, what lies below it indented, units as the names say them, and
// settings apart from what can only be read.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "kernel/base/result.hpp"

namespace undercroft {

/// An answer, without its tag: the value as JSON, or why there is none.
struct InspectAnswer {
    std::string json;      ///< of the value alone
    std::string settings;  ///< path to what it takes, as JSON
};
/// `malformed`-like problems and what the program refused come as text.
Result<InspectAnswer, std::string> parse_answer(std::string_view line);

/// Numbers by their paths, of one look.
using NumbersSeen = std::map<std::string, u64, std::less<>>;

struct TreeTextOptions {
    std::string path = {};           ///< of the value, as it was asked for
    const NumbersSeen* before = {};  ///< of an earlier look: what grew since is shown a second
    u64 elapsed_ns = 0;              ///< since then
};

/// `answer` as text; `seen` takes its numbers.
std::string tree_text(const InspectAnswer& answer, const TreeTextOptions& options, NumbersSeen& seen);

}  // namespace undercroft
