// Key hygiene: a wipe that the compiler may not drop, and a comparison whose time does not depend on the bytes.
// Leaves out registers and the stack: what a cipher keeps there is overwritten by the next caller, and never leaves VTL2.
#pragma once

#include <cstddef>
#include <span>

#include "kernel/base/types.hpp"

namespace undercroft {

/// Overwrites `secret` with zeros. The stores happen even when nothing reads the memory again.
inline void secure_wipe(std::span<std::byte> secret) {
    // SAFETY: a volatile store is an observable side effect, so it is never elided; the span is valid by contract.
    volatile std::byte* bytes = secret.data();
    for (usize i = 0; i < secret.size(); ++i)
        bytes[i] = std::byte{0};
}

/// Whether both hold the same bytes. Takes the same time wherever they differ; unequal lengths are unequal at once.
inline bool equal_in_constant_time(std::span<const std::byte> left, std::span<const std::byte> right) {
    if (left.size() != right.size())
        return false;
    // Volatile, so that no difference found early can end the loop early.
    volatile u8 difference = 0;
    for (usize i = 0; i < left.size(); ++i) {
        difference = static_cast<u8>(difference | std::to_integer<u8>(left[i] ^ right[i]));
    }
    return difference == 0;
}

}  // namespace undercroft
