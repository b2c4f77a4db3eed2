// What newlib wants from the system below it, and the few of its functions that are replaced.
#include "boot/runtime/memory.hpp"
#include "boot/runtime/runtime.hpp"
#include "kernel/base/assert.hpp"

#include <reent.h>
#include <stdarg.h>
#include <stdio.h>

using undercroft::CopyMethod;

namespace {

// Written once by runtime_initialise() before other CPUs run.
constinit CopyMethod copy_method = CopyMethod::words;

using Constructor = void (*)();

}  // namespace

extern "C" {

// Bounds of .init_array, from the linker script.
extern Constructor __init_array_start[];
extern Constructor __init_array_end[];

void* memcpy(void* __restrict target, const void* __restrict source, size_t size) {
    undercroft::copy_forward(target, source, size, copy_method);
    return target;
}

void* memmove(void* target, const void* source, size_t size) {
    // Unsigned: a target below the source wraps to a large distance.
    auto distance = reinterpret_cast<uintptr_t>(target) - reinterpret_cast<uintptr_t>(source);
    if (distance >= size) {
        undercroft::copy_forward(target, source, size, copy_method);
    } else {
        undercroft::copy_backward(target, source, size);
    }
    return target;
}

void* memset(void* target, int value, size_t size) {
    undercroft::fill(target, static_cast<undercroft::u8>(value), size, copy_method);
    return target;
}

// One state for all CPUs: the functions that are linked keep nothing in it but errno, which nobody here reads.
struct _reent* __getreent() {
    static constinit struct _reent state{};
    return &state;
}

// The integer-only printf under the standard names: no floating point code, no allocation, 20 KB less.
int vsnprintf(char* __restrict buffer, size_t size, const char* __restrict format, va_list arguments) {
    return vsniprintf(buffer, size, format, arguments);
}

int snprintf(char* __restrict buffer, size_t size, const char* __restrict format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int length = vsniprintf(buffer, size, format, arguments);
    va_end(arguments);
    return length;
}

[[noreturn]] void abort() { PANIC("abort() was called"); }

void __assert_func(const char* file, int line, const char*, const char* expression) {
    undercroft::panic(file, line, "assertion failed: %s", expression);
}

}  // extern "C"

namespace undercroft {

void runtime_initialise() noexcept {
    copy_method = detect_copy_method();
    for (Constructor* constructor = __init_array_start; constructor != __init_array_end; ++constructor) {
        (*constructor)();
    }
}

}  // namespace undercroft
