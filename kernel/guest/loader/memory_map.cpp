// Cuts the PC's holes out of the guest's RAM.
#include "kernel/guest/loader/memory_map.hpp"

#include <algorithm>

#include "kernel/guest/address_map.hpp"

namespace undercroft {

using linux_boot::E820Type;

void MemoryMap::add(u64 begin, u64 end, E820Type type) {
    if (begin < end && count < entries_max) {
        entries[count++] = {begin, end - begin, static_cast<u32>(type)};
    }
}

MemoryMap memory_map_of(const GuestMemory& memory) {
    MemoryMap map;
    for (const GuestMemoryRange& range : memory.ranges()) {
        u64 begin = range.guest_address;
        u64 end = begin + range.size_bytes;
        if (begin < address_map::high_ram_begin) {
            map.add(begin, std::min(end, address_map::low_ram_end), E820Type::ram);
            map.add(address_map::low_ram_end, address_map::legacy_hole_begin, E820Type::reserved);
            map.add(address_map::acpi_tables_begin, address_map::acpi_tables_end, E820Type::reserved);
            begin = address_map::high_ram_begin;
        }
        map.add(begin, end, E820Type::ram);
    }
    return map;
}

}  // namespace undercroft
