// A PCI function that the monitor assigned to VTL2, as its driver wants it: BAR 0 as registers, memory it can reach,
// and its MSI-X vectors on the executor that asks.
// The monitor keeps the MSI-X table, and of the command register all but bus master and memory decode.
#pragma once

#include "drivers/device.hpp"
#include "kernel/memory/page_allocator.hpp"
#include "kernel/vtl/address_map.hpp"
#include "kernel/vtl/virtual_processor.hpp"

namespace undercroft {

/// Registers that are mapped: plain loads and stores of their width.
class MappedRegisters final : public RegisterSpace {
public:
    MappedRegisters(volatile std::byte* base, u64 size_bytes) : base_(base), size_bytes_(size_bytes) {}
    u64 size_bytes() const override { return size_bytes_; }
    u32 read32(u64 offset_bytes) override { return *at<u32>(offset_bytes); }
    u64 read64(u64 offset_bytes) override { return *at<u64>(offset_bytes); }
    void write32(u64 offset_bytes, u32 value) override { *at<u32>(offset_bytes) = value; }
    void write64(u64 offset_bytes, u64 value) override { *at<u64>(offset_bytes) = value; }

private:
    template <typename T>
    volatile T* at(u64 offset_bytes) const {
        ASSERT(is_aligned(offset_bytes, sizeof(T)) && offset_bytes + sizeof(T) <= size_bytes_);
        // SAFETY: the window is mapped uncached for `size_bytes_`, and offset and alignment were checked.
        return reinterpret_cast<volatile T*>(base_ + offset_bytes);
    }
    volatile std::byte* base_;
    u64 size_bytes_;
};

class PciDeviceHost final : public DeviceHost {
public:
    /// Device memory that one function may have at most.
    static constexpr usize dma_bytes_max = 4 * mib;

    /// Maps BAR 0 of assigned device `index` and allows it to decode memory. `not_found` where it has no BAR 0; errors
    /// of the monitor.
    static Result<std::unique_ptr<PciDeviceHost>> open(u16 index, const vtl2::AssignedDevice& device,
                                                       PageAllocator& pages, const AddressMap& addresses);

    RegisterSpace& registers() override { return registers_; }
    Result<DmaBuffer> allocate_dma(usize size_bytes) override;
    Result<DeviceRange> device_range(const std::byte* data, usize size_bytes) override;
    u16 interrupt_count() const override { return interrupt_count_; }
    /// `out_of_memory` when the processor's vectors are used up; errors of the monitor.
    Result<std::unique_ptr<InterruptBinding>> bind_interrupt(u16 index) override;
    Result<void> set_bus_master(bool enabled) override;

private:
    PciDeviceHost(u16 index, const vtl2::AssignedDevice& device, u64 bar_offset, PageAllocator& pages,
                  const AddressMap& addresses);
    static void release_dma(void* context, std::byte* data, usize size_bytes);

    u16 index_;
    u16 interrupt_count_;
    MappedRegisters registers_;
    PageAllocator& pages_;
    const AddressMap& addresses_;
    std::atomic<usize> dma_bytes_{0};
};

}  // namespace undercroft
