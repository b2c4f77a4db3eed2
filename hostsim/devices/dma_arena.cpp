// DmaArena.
#include "hostsim/devices/dma_arena.hpp"

#include <algorithm>
#include <cstring>

#include "kernel/base/assert.hpp"

namespace undercroft {

namespace {
constexpr std::byte freed_pattern{0xdf};
}

DmaArena::DmaArena(usize size_bytes)
    : pages_(new Page[size_bytes / page_size]), count_(size_bytes / page_size), used_(count_), freed_(count_) {
    GuestMemoryRange range{.guest_address = base_address, .size_bytes = count_ * page_size, .data = pages_[0].bytes};
    memory_ = GuestMemory::create(std::span(&range, 1)).value();
}

Result<DmaBuffer> DmaArena::allocate(usize size_bytes) {
    std::lock_guard lock(mutex_);
    usize wanted = align_up(size_bytes, page_size) / page_size;
    usize run = 0;
    for (usize step = 0, at = next_; step < count_ + wanted; ++step, ++at) {
        if (at >= count_) {
            at = 0;
            run = 0;
        }
        run = used_[at] ? 0 : run + 1;
        if (run == wanted && wanted > 0) {
            usize first = at + 1 - wanted;
            std::fill_n(used_.begin() + static_cast<std::ptrdiff_t>(first), wanted, true);
            std::fill_n(freed_.begin() + static_cast<std::ptrdiff_t>(first), wanted, false);
            std::memset(pages_[first].bytes, 0, wanted * page_size);
            next_ = at + 1;
            return DmaBuffer(pages_[first].bytes, wanted * page_size, base_address + first * page_size,
                             &DmaArena::release, this);
        }
    }
    return fail(Error::out_of_memory);
}

void DmaArena::release(void* context, std::byte* data, usize size_bytes) {
    auto& arena = *static_cast<DmaArena*>(context);
    std::lock_guard lock(arena.mutex_);
    usize first = static_cast<usize>(data - arena.pages_[0].bytes) / page_size;
    std::memset(data, static_cast<int>(freed_pattern), size_bytes);
    for (usize index = first; index < first + size_bytes / page_size; ++index) {
        ASSERT(arena.used_[index]);
        arena.used_[index] = false;
        arena.freed_[index] = arena.tracking_;
    }
}

Result<DeviceRange> DmaArena::find(const std::byte* data, usize size_bytes) const {
    const std::byte* begin = pages_[0].bytes;
    const std::byte* end = begin + count_ * page_size;
    if (data < begin || data >= end) {
        return fail(Error::out_of_range);
    }
    return DeviceRange{.address = base_address + static_cast<u64>(data - begin),
                       .size_bytes = std::min(size_bytes, static_cast<usize>(end - data))};
}

usize DmaArena::free_pages() const { return static_cast<usize>(std::count(used_.begin(), used_.end(), false)); }

void DmaArena::stop_tracking() {
    tracking_ = false;
    freed_.assign(count_, false);
}

void DmaArena::start_tracking() {
    tracking_ = true;
    freed_.assign(count_, false);
}

bool DmaArena::check_freed() const {
    for (usize index = 0; index < count_; ++index) {
        const Page& page = pages_[index];
        // The first byte is the pattern, and each is as the one before it.
        if (freed_[index] &&
            (page.bytes[0] != freed_pattern || std::memcmp(page.bytes, page.bytes + 1, page_size - 1) != 0)) {
            return false;
        }
    }
    return true;
}

}  // namespace undercroft
