// What the C and C++ runtime of an image offers, and what it wants from the image that links it.
//
// boot_runtime         both images: memory functions, printf for integers, failure handlers, constructors
// boot_runtime_heap    VTL2: malloc and operator new over runtime_allocate()
// boot_runtime_no_heap the monitor: the same names, each of which panics
//
// Left out on purpose: files, time, locale, threads, floating point in printf. A use of those fails at link time by name;
// only %f and its like are not caught: they print nothing sensible.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft {

/// Chooses the copy routines for this CPU and runs the image's static constructors. Call once, on the boot CPU, with the
/// stack set up and SSE on, before anything else of C++. Copying works before it, with the portable routines.
/// The linker script provides __init_array_start and __init_array_end around KEEP(*(SORT_BY_INIT_PRIORITY(.init_array.*) *(.init_array))).
void runtime_initialise() noexcept;

// Provided by the image that links boot_runtime_heap, from the kernel's allocator. Callable on every CPU at once.

/// At least `size_bytes` (never 0) bytes aligned to `alignment_bytes` (a power of two, at least 16), or nullptr when there is no more.
[[nodiscard]] void* runtime_allocate(usize size_bytes, usize alignment_bytes) noexcept;
/// Takes back what runtime_allocate() gave; never called with nullptr.
void runtime_release(void* allocation) noexcept;
/// Bytes usable at `allocation`, at least the size asked for.
[[nodiscard]] usize runtime_allocation_size(const void* allocation) noexcept;

}  // namespace undercroft
