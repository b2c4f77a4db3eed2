// The allocation functions of the monitor, which never allocates. They exist because newlib's printf refers to malloc (for
// asprintf) and virtual destructors to operator delete; a call is a bug and ends in a panic.
#include "kernel/base/assert.hpp"

#include <reent.h>
#include <stddef.h>

#include <new>

extern "C" {

[[noreturn]] void* malloc(size_t size) { PANIC("malloc of %zu bytes where there is no heap", size); }
[[noreturn]] void free(void*) { PANIC("free where there is no heap"); }
[[noreturn]] void* _malloc_r(struct _reent*, size_t size) { PANIC("malloc of %zu bytes where there is no heap", size); }
[[noreturn]] void* _calloc_r(struct _reent*, size_t, size_t) { PANIC("calloc where there is no heap"); }
[[noreturn]] void* _realloc_r(struct _reent*, void*, size_t) { PANIC("realloc where there is no heap"); }
[[noreturn]] void _free_r(struct _reent*, void*) { PANIC("free where there is no heap"); }

}  // extern "C"

void operator delete(void*) noexcept { PANIC("operator delete where there is no heap"); }
void operator delete(void*, size_t) noexcept { PANIC("operator delete where there is no heap"); }
void operator delete(void*, size_t, std::align_val_t) noexcept { PANIC("operator delete where there is no heap"); }
