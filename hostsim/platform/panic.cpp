// `panic` of the host: what, where and a backtrace on standard error, then abort(), so that a debugger or a sanitizer
// sees it.
#include <execinfo.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kernel/base/assert.hpp"

namespace undercroft {

namespace {
constexpr int backtrace_frames_max = 64;
}

void panic(const char* file, int line, const char* format, ...) {
    // What cannot be printed is lost; there is nothing else to do about it here.
    (void)fflush(stdout);
    (void)fprintf(stderr, "panic at %s:%d: ", file, line);
    va_list arguments;
    va_start(arguments, format);
    (void)vfprintf(stderr, format, arguments);
    va_end(arguments);
    (void)fputc('\n', stderr);
    void* frames[backtrace_frames_max];
    int count = backtrace(frames, backtrace_frames_max);
    backtrace_symbols_fd(frames, count, STDERR_FILENO);
    abort();
}

}  // namespace undercroft
