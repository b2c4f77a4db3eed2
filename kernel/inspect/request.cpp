// Requests and answers as lines.
#include "kernel/inspect/request.hpp"

#include <algorithm>

#include "kernel/config/identifiers.hpp"
#include "kernel/inspect/json_text.hpp"

namespace undercroft::inspect {

namespace {

constexpr usize tag_digits_max = 20;

std::string error_answer(std::string_view tag, std::string_view why) {
    std::string answer(tag);
    answer += "{\"error\":";
    append_json_text(answer, why);
    answer += "}\n";
    return answer;
}

/// The tag that begins `line`, with its space; empty where there is none.
std::string_view tag_of(std::string_view line) {
    usize digits = line.starts_with('#') ? line.find_first_not_of("0123456789", 1) : 0;
    bool is_tag = digits > 1 && digits != std::string_view::npos && digits <= tag_digits_max + 1 && line[digits] == ' ';
    return is_tag ? line.substr(0, digits + 1) : std::string_view();
}

std::string_view without_slashes(std::string_view path) {
    while (path.starts_with('/')) {
        path.remove_prefix(1);
    }
    while (path.ends_with('/')) {
        path.remove_suffix(1);
    }
    return path;
}

}  // namespace

Result<Request, std::string> parse_request(std::string_view line) {
    if (line.size() > request_bytes_max) {
        return std::unexpected("a request has at most " + decimal(request_bytes_max) + " bytes");
    }
    if (std::ranges::any_of(line, [](char c) { return static_cast<u8>(c) < ' '; })) {
        return std::unexpected(std::string("a request has no control characters"));
    }
    Request request{.tag = std::string(tag_of(line))};
    line.remove_prefix(request.tag.size());
    if (line.starts_with('#')) {
        return std::unexpected(std::string("'#' is followed by up to 20 digits and a space"));
    }
    usize equals = line.find('=');
    request.path = without_slashes(line.substr(0, equals));
    if (equals != std::string_view::npos) {
        request.value = line.substr(equals + 1);
    }
    return request;
}

std::string answer(std::string_view line, FunctionRef<void(Node&)> root, usize answer_bytes_max) {
    if (line.empty()) {
        return {};
    }
    Result<Request, std::string> request = parse_request(line);
    if (!request) {
        return error_answer(tag_of(line), request.error());
    }
    if (request->value) {
        Walk change({.path = request->path, .value = &*request->value}, answer_bytes_max);
        if (Result<std::string, std::string> changed = change.run(root); !changed) {
            return error_answer(request->tag, changed.error());
        }
    }
    Walk walk({.path = request->path}, answer_bytes_max);
    Result<std::string, std::string> json = walk.run(root);
    if (!json) {
        return error_answer(request->tag, json.error());
    }
    std::string text = request->tag + "{\"value\":" + *json + ",\"settings\":{";
    for (const Walk::Setting& setting : walk.settings()) {
        text += text.back() == '{' ? "" : ",";
        append_json_text(text, setting.path);
        text += ':';
        append_json_text(text, setting.takes);
    }
    return text + "}}\n";
}

void LineReader::feed(std::string_view bytes, FunctionRef<void(std::string_view line)> on_line) {
    while (!bytes.empty()) {
        usize end = bytes.find('\n');
        std::string_view piece = bytes.substr(0, end);
        line_ += piece.substr(0, std::min(piece.size(), request_bytes_max + 1 - line_.size()));
        if (end == std::string_view::npos) {
            return;
        }
        bytes.remove_prefix(end + 1);
        std::string line = std::exchange(line_, {});
        if (line.ends_with('\r')) {
            line.pop_back();
        }
        on_line(line);
    }
}

}  // namespace undercroft::inspect
