// MemoryTable.
#include "hostsim/servers/vhost_user/memory_table.hpp"

#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstring>

namespace undercroft::vhost_user {

Result<std::unique_ptr<MemoryTable>> MemoryTable::create(const Received& message) {
    std::optional<MemoryTableHeader> header = message.as<MemoryTableHeader>();
    if (!header || header->count == 0 || header->count > memory_regions_max ||
        message.header.size < sizeof(*header) + header->count * sizeof(MemoryRegion) ||
        message.descriptors.size() != header->count) {
        return fail(Error::malformed);
    }
    std::unique_ptr<MemoryTable> table(new MemoryTable);
    for (usize index = 0; index < header->count; ++index) {
        MemoryRegion region{};
        std::memcpy(&region, message.payload + sizeof(*header) + index * sizeof(region), sizeof(region));
        u64 bytes = region.size_bytes + region.map_offset;
        struct stat file{};
        int descriptor = message.descriptors[index].get();
        if (bytes < region.size_bytes || region.size_bytes == 0 ||
            region.user_address + region.size_bytes < region.user_address) {
            return fail(Error::malformed);
        }
        // One that is too small now is told; for one that the frontend makes smaller later there is the guard.
        if (fstat(descriptor, &file) != 0 || static_cast<u64>(file.st_size) < bytes) {
            return fail(Error::out_of_range);
        }
        void* base = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, descriptor, 0);
        if (base == MAP_FAILED) {
            return fail(Error::out_of_memory);
        }
        table->mappings_[table->count_++] = {.region = region, .base = base, .bytes = bytes, .guard = nullptr};
        table->mappings_[table->count_ - 1].guard = TRY(MappingGuard::create(base, bytes));
    }
    GuestMemoryRange ranges[memory_regions_max];
    for (usize index = 0; index < table->count_; ++index) {
        const Mapping& mapping = table->mappings_[index];
        ranges[index] = {.guest_address = mapping.region.guest_address,
                         .size_bytes = mapping.region.size_bytes,
                         .data = static_cast<std::byte*>(mapping.base) + mapping.region.map_offset};
    }
    std::span<GuestMemoryRange> all(ranges, table->count_);
    std::ranges::sort(all, {}, &GuestMemoryRange::guest_address);
    table->guest_ = TRY(GuestMemory::create(all));
    return table;
}

MemoryTable::~MemoryTable() {
    for (usize index = 0; index < count_; ++index) {
        mappings_[index].guard = nullptr;
        munmap(mappings_[index].base, mappings_[index].bytes);
    }
}

bool MemoryTable::is_intact() const {
    return std::ranges::none_of(std::span(mappings_, count_),
                                [](const Mapping& mapping) { return mapping.guard->is_broken(); });
}

std::optional<u64> MemoryTable::guest_address_of(u64 user_address) const {
    for (usize index = 0; index < count_; ++index) {
        const MemoryRegion& region = mappings_[index].region;
        if (user_address >= region.user_address && user_address - region.user_address < region.size_bytes) {
            return region.guest_address + (user_address - region.user_address);
        }
    }
    return std::nullopt;
}

}  // namespace undercroft::vhost_user
