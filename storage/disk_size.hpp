// A disk's size in sectors, where it may change under way: read from anywhere, set from anywhere, and waited for.
// Behind `sector_count` and `wait_for_resize` of every backend that can be resized.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "storage/disk.hpp"

namespace undercroft {

class DiskSize {
public:
    explicit DiskSize(u64 sectors) : sectors_(sectors) {}
    DiskSize(const DiskSize&) = delete;
    DiskSize& operator=(const DiskSize&) = delete;
    ~DiskSize();

    u64 get() const { return sectors_.load(std::memory_order_acquire); }
    /// Sets the size and ends every wait that knew another. Any virtual processor.
    void set(u64 sectors);
    /// Ends every wait, and each that comes later, with `gone`.
    void close();
    /// Ends when the size is not `known_sectors` (at once, if it is not now), with the size; or with `cancelled` or
    /// `gone`.
    Task<DiskResult<u64>> wait(u64 known_sectors, CancelToken cancel);

private:
    class Watcher;
    void wake_all();
    bool link(Watcher& watcher, u64 known_sectors);

    std::atomic<u64> sectors_;
    Spinlock lock_;
    bool closed_ = false;
    Watcher* first_ = nullptr;
};

}  // namespace undercroft
