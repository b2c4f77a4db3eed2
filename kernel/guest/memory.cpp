// Address checks and copies of guest memory.
#include "kernel/guest/memory.hpp"

#include <cstring>

namespace undercroft {

Result<GuestMemory> GuestMemory::create(std::span<const GuestMemoryRange> ranges) {
    if (ranges.size() > guest_memory_ranges_max) {
        return fail(Error::invalid_argument);
    }
    GuestMemory memory;
    u64 previous_end = 0;
    for (const GuestMemoryRange& range : ranges) {
        bool aligned = is_aligned(range.guest_address, page_size) && is_aligned(range.size_bytes, page_size);
        if (!aligned || range.size_bytes == 0 || range.data == nullptr || range.guest_address < previous_end ||
            range.guest_address + range.size_bytes < range.guest_address) {
            return fail(Error::invalid_argument);
        }
        previous_end = range.guest_address + range.size_bytes;
        memory.ranges_[memory.count_++] = range;
    }
    return memory;
}

u64 GuestMemory::total_bytes() const {
    u64 total = 0;
    for (const GuestMemoryRange& range : ranges()) {
        total += range.size_bytes;
    }
    return total;
}

Result<std::span<std::byte>> GuestMemory::resolve(u64 guest_address, u64 size_bytes) const {
    for (const GuestMemoryRange& range : ranges()) {
        if (guest_address < range.guest_address) {
            continue;
        }
        u64 offset = guest_address - range.guest_address;
        if (offset < range.size_bytes && size_bytes <= range.size_bytes - offset) {
            return std::span<std::byte>(range.data + offset, size_bytes);
        }
    }
    return fail(Error::out_of_range);
}

Result<void> GuestMemory::read(u64 guest_address, std::span<std::byte> into) const {
    std::span<std::byte> memory = TRY(resolve(guest_address, into.size()));
    std::memcpy(into.data(), memory.data(), into.size());
    return {};
}

Result<void> GuestMemory::write(u64 guest_address, std::span<const std::byte> from) const {
    std::span<std::byte> memory = TRY(resolve(guest_address, from.size()));
    std::memcpy(memory.data(), from.data(), from.size());
    return {};
}

}  // namespace undercroft
