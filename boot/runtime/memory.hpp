// Copying and filling under the names memcpy, memmove and memset in the image; here under names of their own, so that the
// host tests them.
//
// newlib's memcpy for x86-64 is slow from 256 bytes on (non-temporal stores) and its `rep movsb` below that is slow under
// emulators. Loops of four words are within 30 % of vector code on real CPUs and the best choice under TCG; `rep movsb` wins
// where the CPU reports fast short repeats (FSRM).
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft {

/// Which instructions large copies and fills use.
enum class CopyMethod : u8 { words, repeat_string };

/// The method that suits this CPU: CPUID leaf 7, EDX bit 4 (FSRM).
[[nodiscard]] CopyMethod detect_copy_method() noexcept;

/// Copies `size_bytes` bytes between ranges that do not overlap, or that overlap with the target below the source.
void copy_forward(void* target, const void* source, usize size_bytes, CopyMethod method) noexcept;
/// Copies `size_bytes` bytes between ranges that may overlap with the target above the source.
void copy_backward(void* target, const void* source, usize size_bytes) noexcept;
/// Sets `size_bytes` bytes to `value`.
void fill(void* target, u8 value, usize size_bytes, CopyMethod method) noexcept;

}  // namespace undercroft
