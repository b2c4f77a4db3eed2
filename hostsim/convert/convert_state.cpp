// Reading and writing the note.
#include "hostsim/convert/convert_state.hpp"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

#include <charconv>
#include <fstream>
#include <iterator>

#include "hostsim/backends/file_open.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

constexpr std::string_view first_line = "undercroft-convert 1";

// The next line, which must begin with `name` and a blank; takes it off `text`.
std::optional<std::string_view> take_line(std::string_view& text, std::string_view name) {
    usize end = text.find('\n');
    if (end == std::string_view::npos || !text.starts_with(name) || text.size() <= name.size() ||
        text[name.size()] != ' ') {
        return std::nullopt;
    }
    std::string_view value = text.substr(name.size() + 1, end - name.size() - 1);
    text.remove_prefix(end + 1);
    return value;
}

std::optional<u64> take_number(std::string_view& text, std::string_view name) {
    std::optional<std::string_view> value = take_line(text, name);
    u64 number = 0;
    if (!value ||
        std::from_chars(value->data(), value->data() + value->size(), number).ptr != value->data() + value->size() ||
        value->empty()) {
        return std::nullopt;
    }
    return number;
}

}  // namespace

std::string convert_state_text(const ConvertState& state) {
    return std::string(first_line) + "\nsource " + state.source + "\ntarget " + state.target + "\ntotal " +
           decimal(state.total_bytes) + "\ndone " + decimal(state.done_bytes) + "\n";
}

std::optional<ConvertState> parse_convert_state(const std::string& text) {
    std::string_view rest = text;
    if (!rest.starts_with(first_line) || rest.size() <= first_line.size() || rest[first_line.size()] != '\n') {
        return std::nullopt;
    }
    rest.remove_prefix(first_line.size() + 1);
    std::optional<std::string_view> source = take_line(rest, "source");
    std::optional<std::string_view> target = source ? take_line(rest, "target") : std::nullopt;
    std::optional<u64> total = target ? take_number(rest, "total") : std::nullopt;
    std::optional<u64> done = total ? take_number(rest, "done") : std::nullopt;
    if (!done || !rest.empty() || *done > *total) {
        return std::nullopt;
    }
    return ConvertState{
        .source = std::string(*source), .target = std::string(*target), .total_bytes = *total, .done_bytes = *done};
}

Result<std::optional<ConvertState>, std::string> read_convert_state(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
        return std::optional<ConvertState>();
    }
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    std::optional<ConvertState> state = parse_convert_state(text);
    if (!state) {
        return fail(path + " is no note of a copy: remove it, or name another with --state");
    }
    return state;
}

Result<void, std::string> write_convert_state(const std::string& path, const ConvertState& state) {
    std::string text = convert_state_text(state);
    std::string next = path + ".new";
    FileDescriptor file(open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
    bool written = file && write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size()) &&
                   fsync(file.get()) == 0 && rename(next.c_str(), path.c_str()) == 0 && sync_folder_of(path);
    if (!written) {
        return fail("the copy cannot note how far it is in " + path + ": " + system_error_text(errno));
    }
    return {};
}

}  // namespace undercroft
