// How one asks, over whatever carries bytes: a line a request, a line an answer.
//
//     request = [ "#" digits " " ] path [ "=" value ] "\n"
//     answer  = [ "#" digits " " ] ( '{"value":' json ',"settings":{' path ':' takes ... '}}' | '{"error":' text '}' ) "\n"
//
// The path is names with slashes between them; empty, it is the root. The number comes back as it was, so that a client
// that takes over a line tells its answer from one that somebody else did not wait for. After a change the answer has
// the value as it is now. JSON is RFC 8259, without line breaks. Empty lines are answered by nothing.
#pragma once

#include <optional>

#include "kernel/inspect/node.hpp"

namespace undercroft::inspect {

/// Longest request, without its end.
inline constexpr usize request_bytes_max = 4096;

struct Request {
    std::string tag = {};   ///< "#12 ", or empty
    std::string path = {};  ///< without slashes at its ends
    std::optional<std::string> value = {};
};

/// On failure: what is wrong with the line.
Result<Request, std::string> parse_request(std::string_view line);

/// The answer to `line` (without its end), with its end; empty where there is none. `answer_bytes_max` bounds the
/// value: what is larger is an error that says so.
std::string answer(std::string_view line, FunctionRef<void(Node&)> root, usize answer_bytes_max);

/// Cuts what arrives into lines, and keeps no more than one request of it: the rest of a longer one is dropped, and it
/// is answered as an error.
class LineReader {
public:
    /// Takes `bytes`, and calls `on_line` for each line that is complete. A line that is too long arrives cut to one
    /// byte more than `request_bytes_max`.
    void feed(std::string_view bytes, FunctionRef<void(std::string_view line)> on_line);

private:
    std::string line_;
};

}  // namespace undercroft::inspect
