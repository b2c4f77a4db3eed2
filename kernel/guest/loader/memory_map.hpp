// The memory map that the guest is told (e820): its RAM, less what belongs to a PC's firmware.
#pragma once

#include "kernel/guest/memory.hpp"
#include "kernel/spec/linux_boot.hpp"

namespace undercroft {

struct MemoryMap {
    static constexpr usize entries_max = 2 * guest_memory_ranges_max + 4;

    linux_boot::E820Entry entries[entries_max] = {};
    usize count = 0;

    void add(u64 begin, u64 end, linux_boot::E820Type type);
};

/// RAM entries for `memory` with the holes of kernel/guest/address_map.hpp cut out, and the reserved pieces, in order
/// of their addresses.
MemoryMap memory_map_of(const GuestMemory& memory);

}  // namespace undercroft
