// Formatting and dispatch of log lines.
#include "kernel/base/log.hpp"

#include <stdarg.h>
#include <stdio.h>

#include <atomic>

namespace undercroft {

namespace {

std::atomic<LogSink> current_sink{nullptr};
std::atomic<LogLevel> current_level{LogLevel::info};

int format_line(char* buffer, usize size, const char* format, va_list arguments) {
#if defined(UNDERCROFT_IMAGE)
    return vsniprintf(buffer, size, format, arguments);
#else
    return vsnprintf(buffer, size, format, arguments);
#endif
}

}  // namespace

void set_log_sink(LogSink sink) { current_sink.store(sink, std::memory_order_release); }

void set_log_level(LogLevel level) { current_level.store(level, std::memory_order_relaxed); }

LogLevel log_level() { return current_level.load(std::memory_order_relaxed); }

void log_line(LogLevel level, const char* format, ...) {
    LogSink sink = current_sink.load(std::memory_order_acquire);
    if (sink == nullptr) {
        return;
    }
    char buffer[log_line_bytes_max];
    va_list arguments;
    va_start(arguments, format);
    int wanted = format_line(buffer, sizeof(buffer), format, arguments);
    va_end(arguments);
    if (wanted < 0) {
        return;
    }
    usize length = static_cast<usize>(wanted);
    if (length >= sizeof(buffer)) {
        length = sizeof(buffer) - 1;
        buffer[length - 3] = buffer[length - 2] = buffer[length - 1] = '.';
    }
    sink(level, std::string_view(buffer, length));
}

}  // namespace undercroft
