// The heap under malloc and operator new: slabs of one page per size class up to half a page, whole blocks of pages
// above. Built for starting up and for rare paths: one spinlock, no caches per processor; the I/O path takes from
// pools. Slab book-keeping lies in the page allocator's notes, so a stray write past an object does not reach it.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/memory/page_allocator.hpp"

namespace undercroft {

class Heap {
public:
    explicit constexpr Heap(PageAllocator& pages) : pages_(pages) {}
    Heap(const Heap&) = delete;
    Heap& operator=(const Heap&) = delete;

    /// At least `size_bytes` (not 0) aligned to `alignment_bytes` (a power of two up to the page size; at least 16 is
    /// given). Null where there is no memory.
    void* allocate(usize size_bytes, usize alignment_bytes);
    /// Takes back what `allocate` gave.
    void release(void* allocation);
    /// Bytes usable at `allocation`.
    usize usable_bytes(const void* allocation) const;
    /// Bytes given out, by class size, blocks of pages included.
    usize used_bytes() const { return used_bytes_; }

    static constexpr u16 class_sizes[] = {16, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1360, 2048};
    static constexpr u8 class_count = sizeof(class_sizes) / sizeof(class_sizes[0]);

private:
    static constexpr u32 none = ~u32{0};
    static constexpr u16 end_of_list = 0xFFFF;

    static u8 class_for(usize size_bytes, usize alignment_bytes);
    bool grow(u8 size_class);
    void link(u8 size_class, u32 page);
    void unlink(u8 size_class, u32 page);

    PageAllocator& pages_;
    mutable Spinlock lock_;
    u32 partial_[class_count] = {none, none, none, none, none, none, none, none, none, none, none, none, none, none};
    usize used_bytes_ = 0;
};

}  // namespace undercroft
