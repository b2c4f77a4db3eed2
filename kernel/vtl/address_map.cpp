// Translations between VTL2's views of memory.
#include "kernel/vtl/address_map.hpp"

#include "kernel/base/assert.hpp"

namespace undercroft {

AddressMap::AddressMap(const vtl2::BootInfo& boot_info)
    : memory_bytes_(boot_info.memory_bytes), memory_device_address_(boot_info.memory_device_address) {
    ASSERT(boot_info.guest_range_count <= vtl2::guest_ranges_max);
    range_count_ = boot_info.guest_range_count;
    for (u32 index = 0; index < range_count_; ++index) {
        ranges_[index] = boot_info.guest_ranges[index];
    }
}

u64 AddressMap::guest_physical(const void* data) const {
    u64 offset = reinterpret_cast<u64>(data) - vtl2::image_virtual;
    ASSERT(offset < memory_bytes_);
    return vtl2::memory_base + offset;
}

Result<u64> AddressMap::guest_physical_of_any(const std::byte* data, u64 size_bytes) const {
    u64 address = reinterpret_cast<u64>(data);
    u64 offset = address - vtl2::image_virtual;
    if (offset < memory_bytes_ && size_bytes <= memory_bytes_ - offset) {
        return vtl2::memory_base + offset;
    }
    for (u32 index = 0; index < range_count_; ++index) {
        u64 guest_offset = address - vtl2::guest_virtual - ranges_[index].guest_address;
        if (guest_offset < ranges_[index].size_bytes && size_bytes <= ranges_[index].size_bytes - guest_offset) {
            return ranges_[index].guest_address + guest_offset;
        }
    }
    return fail(Error::out_of_range);
}

Result<DeviceWindow> AddressMap::device_window(const std::byte* data) const {
    u64 address = reinterpret_cast<u64>(data);
    u64 offset = address - vtl2::image_virtual;
    if (offset < memory_bytes_) {
        return DeviceWindow{memory_device_address_ + offset, memory_bytes_ - offset};
    }
    for (u32 index = 0; index < range_count_; ++index) {
        const vtl2::GuestRange& range = ranges_[index];
        u64 guest_offset = address - vtl2::guest_virtual - range.guest_address;
        if (guest_offset < range.size_bytes) {
            return DeviceWindow{range.device_address + guest_offset, range.size_bytes - guest_offset};
        }
    }
    return fail(Error::out_of_range);
}

Result<GuestMemory> AddressMap::guest_memory() const {
    GuestMemoryRange ranges[vtl2::guest_ranges_max];
    for (u32 index = 0; index < range_count_; ++index) {
        // SAFETY: the monitor maps guest RAM at guest_virtual, and it stays mapped.
        auto* data = reinterpret_cast<std::byte*>(vtl2::guest_virtual + ranges_[index].guest_address);
        ranges[index] = {ranges_[index].guest_address, ranges_[index].size_bytes, data};
    }
    return GuestMemory::create(std::span(ranges, range_count_));
}

std::span<std::byte> AddressMap::own_memory(u64 begin, u64 end) {
    // SAFETY: VTL2's memory is mapped there whole, read and write.
    return {reinterpret_cast<std::byte*>(vtl2::image_virtual + begin), end - begin};
}

}  // namespace undercroft
