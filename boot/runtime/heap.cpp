// malloc and its relatives, newlib's reentrant spellings of them, and operator new and delete, over the kernel's allocator.
// newlib's own allocator is not linked then. operator new never returns without memory: there are no exceptions to throw.
#include "boot/runtime/runtime.hpp"
#include "kernel/base/assert.hpp"

#include <errno.h>
#include <reent.h>
#include <string.h>

#include <new>

using undercroft::runtime_allocate;
using undercroft::runtime_allocation_size;
using undercroft::runtime_release;
using undercroft::usize;

namespace {

constexpr usize alignment_bytes_min = 16;

void* allocate(usize size, usize alignment = alignment_bytes_min) {
    return runtime_allocate(size == 0 ? 1 : size, alignment < alignment_bytes_min ? alignment_bytes_min : alignment);
}

void release(void* allocation) {
    if (allocation != nullptr) {
        runtime_release(allocation);
    }
}

void* allocate_zeroed(usize count, usize size) {
    usize total = 0;
    if (__builtin_mul_overflow(count, size, &total)) {
        return nullptr;
    }
    void* allocation = allocate(total);
    return allocation == nullptr ? nullptr : memset(allocation, 0, total);
}

void* reallocate(void* allocation, usize size) {
    if (allocation == nullptr) {
        return allocate(size);
    }
    usize usable = runtime_allocation_size(allocation);
    if (size != 0 && size <= usable) {
        return allocation;
    }
    void* larger = allocate(size);
    if (larger != nullptr) {
        memcpy(larger, allocation, size < usable ? size : usable);
        release(allocation);
    }
    return larger;
}

void* allocate_or_panic(usize size, usize alignment = alignment_bytes_min) {
    void* allocation = allocate(size, alignment);
    if (allocation == nullptr) {
        PANIC("out of memory: operator new of %zu bytes", size);
    }
    return allocation;
}

}  // namespace

extern "C" {

void* malloc(size_t size) { return allocate(size); }
void free(void* allocation) { release(allocation); }
void* calloc(size_t count, size_t size) { return allocate_zeroed(count, size); }
void* realloc(void* allocation, size_t size) { return reallocate(allocation, size); }
void* memalign(size_t alignment, size_t size) { return allocate(size, alignment); }
void* aligned_alloc(size_t alignment, size_t size) { return allocate(size, alignment); }

void* _malloc_r(struct _reent*, size_t size) { return allocate(size); }
void _free_r(struct _reent*, void* allocation) { release(allocation); }
void* _calloc_r(struct _reent*, size_t count, size_t size) { return allocate_zeroed(count, size); }
void* _realloc_r(struct _reent*, void* allocation, size_t size) { return reallocate(allocation, size); }
void* _memalign_r(struct _reent*, size_t alignment, size_t size) { return allocate(size, alignment); }

int posix_memalign(void** result, size_t alignment, size_t size) {
    *result = allocate(size, alignment);
    return *result == nullptr ? ENOMEM : 0;
}

}  // extern "C"

void* operator new(size_t size) { return allocate_or_panic(size); }
void* operator new[](size_t size) { return allocate_or_panic(size); }
void* operator new(size_t size, std::align_val_t alignment) {
    return allocate_or_panic(size, static_cast<usize>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment) {
    return allocate_or_panic(size, static_cast<usize>(alignment));
}
void* operator new(size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new(size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return allocate(size, static_cast<usize>(alignment));
}
void* operator new[](size_t size, std::align_val_t alignment, const std::nothrow_t&) noexcept {
    return allocate(size, static_cast<usize>(alignment));
}

void operator delete(void* allocation) noexcept { release(allocation); }
void operator delete[](void* allocation) noexcept { release(allocation); }
void operator delete(void* allocation, size_t) noexcept { release(allocation); }
void operator delete[](void* allocation, size_t) noexcept { release(allocation); }
void operator delete(void* allocation, std::align_val_t) noexcept { release(allocation); }
void operator delete[](void* allocation, std::align_val_t) noexcept { release(allocation); }
void operator delete(void* allocation, size_t, std::align_val_t) noexcept { release(allocation); }
void operator delete[](void* allocation, size_t, std::align_val_t) noexcept { release(allocation); }
void operator delete(void* allocation, const std::nothrow_t&) noexcept { release(allocation); }
void operator delete[](void* allocation, const std::nothrow_t&) noexcept { release(allocation); }
