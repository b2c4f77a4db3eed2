// Single words in memory that the guest writes at the same time: each access happens once and is not torn.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::nvme {

// SAFETY: callers pass addresses inside guest RAM that are aligned to the word; the builtins are atomic whatever the
// guest does.
inline u32 load_guest_u32(const std::byte* address) {
    return __atomic_load_n(reinterpret_cast<const u32*>(address), __ATOMIC_ACQUIRE);
}
inline u64 load_guest_u64(const std::byte* address) {
    return __atomic_load_n(reinterpret_cast<const u64*>(address), __ATOMIC_RELAXED);
}
inline void store_guest_u32(std::byte* address, u32 value) {
    __atomic_store_n(reinterpret_cast<u32*>(address), value, __ATOMIC_RELEASE);
}

}  // namespace undercroft::nvme
