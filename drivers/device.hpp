// What a driver needs of the device it drives and of the place it runs in: registers, memory the device can reach, and interrupts. Behind it stand a PCI
// function that the monitor assigned to VTL2 (image), or a simulated device (host). Drivers know nothing else of their environment.
#pragma once

#include <memory>
#include <span>

#include "kernel/async/task.hpp"
#include "kernel/async/wait_queue.hpp"
#include "kernel/base/result.hpp"

namespace undercroft {

/// A window of device registers. Offsets are bytes from its start; accesses are naturally aligned. Reads of a device that is gone give all ones.
/// Out-of-range offsets are our own bug and assert.
class RegisterSpace {
public:
    virtual ~RegisterSpace() = default;
    virtual u64 size_bytes() const = 0;
    virtual u32 read32(u64 offset_bytes) = 0;
    virtual u64 read64(u64 offset_bytes) = 0;
    virtual void write32(u64 offset_bytes, u32 value) = 0;
    virtual void write64(u64 offset_bytes, u64 value) = 0;
};

/// Memory that driver and device share: zeroed, page-aligned, contiguous for the device. Owned by whoever holds it; freed on destruction.
class DmaBuffer {
public:
    using Release = void (*)(void* context, std::byte* data, usize size_bytes);

    DmaBuffer() = default;
    DmaBuffer(std::byte* data, usize size_bytes, u64 device_address, Release release, void* context)
        : data_(data), size_bytes_(size_bytes), device_address_(device_address), release_(release), context_(context) {}
    DmaBuffer(DmaBuffer&& other) noexcept { *this = std::move(other); }
    DmaBuffer& operator=(DmaBuffer&& other) noexcept {
        reset();
        data_ = std::exchange(other.data_, nullptr);
        size_bytes_ = std::exchange(other.size_bytes_, 0);
        device_address_ = other.device_address_;
        release_ = other.release_;
        context_ = other.context_;
        return *this;
    }
    ~DmaBuffer() { reset(); }

    std::byte* data() const { return data_; }
    usize size_bytes() const { return size_bytes_; }
    /// The address the device uses for byte 0.
    u64 device_address() const { return device_address_; }
    std::span<std::byte> bytes() const { return {data_, size_bytes_}; }

private:
    void reset() {
        if (data_ != nullptr) {
            release_(context_, data_, size_bytes_);
            data_ = nullptr;
        }
    }
    std::byte* data_ = nullptr;
    usize size_bytes_ = 0;
    u64 device_address_ = 0;
    Release release_ = nullptr;
    void* context_ = nullptr;
};

/// A contiguous piece of device address space.
struct DeviceRange {
    u64 address;
    usize size_bytes;
};

/// An interrupt of the device that was bound to one executor. While it lives, each interrupt notifies `arrived` there (and may do so for no reason).
class InterruptBinding {
public:
    virtual ~InterruptBinding() = default;
    /// Notified, on the executor it was bound to, after each interrupt. An interrupt that came while nobody waited is remembered once.
    virtual Task<Result<void>> wait(WaitLimits limits) = 0;
};

/// One device as its driver sees it.
class DeviceHost {
public:
    virtual ~DeviceHost() = default;

    virtual RegisterSpace& registers() = 0;
    /// `size_bytes` of shared memory (rounded up to pages). `out_of_memory` past the budget.
    virtual Result<DmaBuffer> allocate_dma(usize size_bytes) = 0;
    /// Where the device finds the memory at `data`: the longest contiguous piece from its start, at most `size_bytes`. `out_of_range` where the device may not
    /// reach it (then the driver bounces).
    virtual Result<DeviceRange> device_range(const std::byte* data, usize size_bytes) = 0;
    /// Number of interrupt vectors the device has.
    virtual u16 interrupt_count() const = 0;
    /// Binds vector `index` to the calling executor.
    virtual Result<std::unique_ptr<InterruptBinding>> bind_interrupt(u16 index) = 0;
    /// Allows (or forbids) the device to read and write memory by itself: PCI command register, bus master.
    virtual Result<void> set_bus_master(bool enabled) = 0;
};

}  // namespace undercroft
