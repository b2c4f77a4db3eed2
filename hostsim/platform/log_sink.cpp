// Log lines to standard error.
#include "hostsim/platform/log_sink.hpp"

#include <stdio.h>
#include <unistd.h>

namespace undercroft {

namespace {

const char* name_of(LogLevel level) {
    switch (level) {
    case LogLevel::error:
        return "error";
    case LogLevel::warning:
        return "warning";
    case LogLevel::info:
        return "info";
    case LogLevel::debug:
        return "debug";
    }
    return "?";
}

void write_line(LogLevel level, std::string_view line) {
    char buffer[log_line_bytes_max + 32];
    int length =
        snprintf(buffer, sizeof(buffer), "%-7s %.*s\n", name_of(level), static_cast<int>(line.size()), line.data());
    // One write, so that lines of several threads do not mix. A log that cannot be written is lost; there is nobody to
    // tell.
    [[maybe_unused]] ssize_t written = write(STDERR_FILENO, buffer, static_cast<usize>(length));
}

}  // namespace

void log_to_standard_error() { set_log_sink(&write_line); }

}  // namespace undercroft
