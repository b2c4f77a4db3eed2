// The monitor's page allocator: pages are taken while starting up and for split tables, and never given back. Not
// locked; callers are.
#pragma once

#include <string.h>

#include "kernel/base/types.hpp"

namespace undercroft::monitor {

class PagePool {
public:
    PagePool() = default;
    /// Hands out [begin, end): page-aligned, mapped at its own address.
    PagePool(u64 begin, u64 end) : next_(begin), end_(end) {}

    /// Address of `pages` contiguous zeroed pages, or 0 when the pool is used up.
    u64 allocate(u64 pages = 1) {
        u64 size = pages * page_size;
        if (size > end_ - next_) {
            return 0;
        }
        u64 address = next_;
        next_ += size;
        // SAFETY: the pool's memory belongs to nobody else and is identity-mapped.
        memset(reinterpret_cast<void*>(address), 0, size);
        return address;
    }
    u64 free_bytes() const { return end_ - next_; }

private:
    u64 next_ = 0;
    u64 end_ = 0;
};

}  // namespace undercroft::monitor
