// Memory that simulated devices can reach: host memory at device addresses that differ from its host addresses, handed
// out in pages. What is freed is filled with a pattern and kept apart for as long as possible, so that a device that
// writes there late is noticed (`check_freed`).
#pragma once

#include <memory>
#include <mutex>
#include <vector>

#include "drivers/device.hpp"
#include "kernel/guest/memory.hpp"

namespace undercroft {

class DmaArena {
public:
    /// Device address of the first byte: no multiple of anything larger than a page, and far from any host address.
    static constexpr u64 base_address = 0x12'3456'7000;

    explicit DmaArena(usize size_bytes);
    DmaArena(const DmaArena&) = delete;
    DmaArena& operator=(const DmaArena&) = delete;

    /// The whole arena, as a device sees memory.
    const GuestMemory& memory() const { return memory_; }
    Result<DmaBuffer> allocate(usize size_bytes);
    Result<DeviceRange> find(const std::byte* data, usize size_bytes) const;
    usize total_pages() const { return count_; }
    usize free_pages() const;
    /// Whether nothing was written to freed memory since it was freed, as far as that is tracked.
    bool check_freed() const;
    /// For a device that was cut off from memory while it was running: a real one cannot write any more, a simulated
    /// one does not know.
    void stop_tracking();
    /// Tracks again what is freed from now on: once no device runs any more that was cut off.
    void start_tracking();

private:
    static void release(void* context, std::byte* data, usize size_bytes);

    struct alignas(page_size) Page {
        std::byte bytes[page_size];
    };
    mutable std::mutex mutex_;  // drivers allocate on any executor
    std::unique_ptr<Page[]> pages_;
    usize count_;
    std::vector<bool> used_;
    std::vector<bool> freed_;
    bool tracking_ = true;
    usize next_ = 0;  // first fit from here on, so that what was freed last is used again last
    GuestMemory memory_;
};

}  // namespace undercroft
