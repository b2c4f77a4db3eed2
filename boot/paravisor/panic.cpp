// How the image ends when it is broken: what, where, a backtrace, and exit status 11. Also the common entry of
// exceptions and interrupts.
#include <stdarg.h>
#include <stdio.h>

#include <atomic>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/interrupts.hpp"
#include "boot/exit_status.hpp"
#include "boot/paravisor/image_layout.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/log.hpp"
#include "kernel/vtl/hypercalls.hpp"
#include "kernel/vtl/virtual_processor.hpp"

namespace undercroft {

namespace {

constexpr u64 exceptions = 32;
constexpr int backtrace_frames_max = 24;

/// Straight to the monitor: the log's own level and sink do not matter any more.
[[gnu::format(printf, 1, 2)]] void print(const char* format, ...) {
    char line[log_line_bytes_max];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    usize size = length < 0 ? 0 : static_cast<usize>(length);
    hypercalls::debug_log(LogLevel::error, {line, size < sizeof(line) ? size : sizeof(line) - 1});
}

bool is_image_memory(u64 address) {
    return address >= reinterpret_cast<u64>(image_text_begin) &&
           address < vtl2::image_virtual + vtl2::device_window_bytes;
}

void print_backtrace(u64 frame) {
    for (int depth = 0; depth < backtrace_frames_max && is_image_memory(frame) && is_aligned(frame, 8); ++depth) {
        // SAFETY: frame pointers are kept in all code of the image; a wrong one faults, and a fault inside a panic ends
        // the machine.
        const u64* words = reinterpret_cast<const u64*>(frame);
        if (words[1] == 0) {
            return;
        }
        print("  called from %#llx", static_cast<unsigned long long>(words[1]));
        if (words[0] <= frame) {
            return;
        }
        frame = words[0];
    }
}

void exit_if_nested() {
    static constinit std::atomic<int> depth{0};
    if (depth.fetch_add(1) > 0) {
        hypercalls::platform_exit(ExitStatus::image_panic);
    }
}

[[noreturn]] void die_of_exception(const arch::InterruptFrame& frame) {
    exit_if_nested();
    auto hex = [](u64 value) { return static_cast<unsigned long long>(value); };
    print("image panic: exception %llu, error code %#llx, on VP %u", hex(frame.vector), hex(frame.error_code),
          VirtualProcessor::current().index());
    print("  rip %#llx cs %#llx rflags %#llx cr2 %#llx", hex(frame.rip), hex(frame.cs), hex(frame.rflags),
          hex(arch::read_cr2()));
    print("  rax %#llx rbx %#llx rcx %#llx rdx %#llx", hex(frame.rax), hex(frame.rbx), hex(frame.rcx), hex(frame.rdx));
    print("  rsi %#llx rdi %#llx rbp %#llx rsp %#llx", hex(frame.rsi), hex(frame.rdi), hex(frame.rbp), hex(frame.rsp));
    print("  r8 %#llx r9 %#llx r10 %#llx r11 %#llx", hex(frame.r8), hex(frame.r9), hex(frame.r10), hex(frame.r11));
    print("  r12 %#llx r13 %#llx r14 %#llx r15 %#llx", hex(frame.r12), hex(frame.r13), hex(frame.r14), hex(frame.r15));
    print_backtrace(frame.rbp);
    hypercalls::platform_exit(ExitStatus::image_panic);
}

}  // namespace

void panic(const char* file, int line, const char* format, ...) {
    exit_if_nested();
    char text[log_line_bytes_max];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    print("image panic: %s:%d: %s", file, line, text);
    print_backtrace(reinterpret_cast<u64>(__builtin_frame_address(0)));
    hypercalls::platform_exit(ExitStatus::image_panic);
}

}  // namespace undercroft

void handle_interrupt(undercroft::arch::InterruptFrame* frame) {
    if (frame->vector < undercroft::exceptions) {
        undercroft::die_of_exception(*frame);
    }
    undercroft::VirtualProcessor::current().note_interrupt(static_cast<undercroft::u8>(frame->vector));
}
