// Logging with levels: one line a call, formatted as printf does (integers and strings only: the image has no floating
// point printf). The environment provides the sink; a line never waits and never allocates.
#pragma once

#include <string_view>

#include "kernel/base/types.hpp"

namespace undercroft {

enum class LogLevel : u8 { error, warning, info, debug };

/// Longest line that is kept; what is longer is cut, and says so with "...".
inline constexpr usize log_line_bytes_max = 256;

/// Receives each line, without newline. Called from any virtual processor; must be safe for that.
using LogSink = void (*)(LogLevel level, std::string_view line);

/// Where lines go from now on. Until the first call they are dropped.
void set_log_sink(LogSink sink);

/// Lines above this level are dropped before they are formatted. The default is `info`.
void set_log_level(LogLevel level);
LogLevel log_level();

/// A u64 as `%llu` and `%llx` take it in every environment.
constexpr unsigned long long wide(u64 value) { return value; }

void log_line(LogLevel level, const char* format, ...) __attribute__((format(printf, 2, 3)));

}  // namespace undercroft

#define UNDERCROFT_LOG(level, ...)                                                                                     \
    do {                                                                                                               \
        if ((level) <= ::undercroft::log_level())                                                                      \
            ::undercroft::log_line((level), __VA_ARGS__);                                                              \
    } while (false)

#define log_error(...) UNDERCROFT_LOG(::undercroft::LogLevel::error, __VA_ARGS__)
#define log_warning(...) UNDERCROFT_LOG(::undercroft::LogLevel::warning, __VA_ARGS__)
#define log_info(...) UNDERCROFT_LOG(::undercroft::LogLevel::info, __VA_ARGS__)
#define log_debug(...) UNDERCROFT_LOG(::undercroft::LogLevel::debug, __VA_ARGS__)
