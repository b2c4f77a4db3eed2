// VTL2's four views of memory: virtual, guest physical, what a device uses, and guest addresses. All are linear
// (vtl2_extension.hpp), so each translation is an addition; each checks its range.
#pragma once

#include "kernel/base/result.hpp"
#include "kernel/guest/memory.hpp"
#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft {

/// A device address and how many bytes from there on are contiguous.
struct DeviceWindow {
    u64 address;
    u64 size_bytes;
};

class AddressMap {
public:
    constexpr AddressMap() = default;
    explicit AddressMap(const vtl2::BootInfo& boot_info);

    /// Guest physical address of `data`, which must lie in VTL2's own memory: what hypercalls take. Our own bug
    /// otherwise.
    u64 guest_physical(const void* data) const;
    /// The same for VTL2's memory or guest RAM; `out_of_range` elsewhere.
    Result<u64> guest_physical_of_any(const std::byte* data, u64 size_bytes) const;
    /// Where a device finds `data`, in VTL2's memory or guest RAM; `out_of_range` elsewhere.
    Result<DeviceWindow> device_window(const std::byte* data) const;
    /// Guest RAM as VTL2 maps it.
    Result<GuestMemory> guest_memory() const;

    /// VTL2's own memory from `begin` to `end` (offsets from its base).
    static std::span<std::byte> own_memory(u64 begin, u64 end);

private:
    u64 memory_bytes_ = 0;
    u64 memory_device_address_ = 0;
    u32 range_count_ = 0;
    vtl2::GuestRange ranges_[vtl2::guest_ranges_max] = {};
};

}  // namespace undercroft
