// Assertions are for our own bugs and stay on in release. What a guest, device, disk or network says is never asserted.
#pragma once

namespace undercroft {

/// Ends the program: prints what and where, and a backtrace where one can be had. Each environment (monitor, image,
/// host) provides it.
[[noreturn]] void panic(const char* file, int line, const char* format, ...) __attribute__((format(printf, 3, 4)));

}  // namespace undercroft

#define PANIC(...) ::undercroft::panic(__FILE_NAME__, __LINE__, __VA_ARGS__)

#define ASSERT(condition)                                                                                              \
    do {                                                                                                               \
        if (!(condition)) [[unlikely]]                                                                                 \
            PANIC("assertion failed: %s", #condition);                                                                 \
    } while (false)
