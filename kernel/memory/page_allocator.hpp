// The allocator of whole pages: a buddy allocator over one contiguous piece of memory. Its book-keeping (16 bytes a
// page) lies at the start of that piece, never inside free pages. Blocks are powers of two pages and aligned to their
// size, as devices like them. Any processor may call; a spinlock is held for a few dozen instructions. Out of memory is
// an answer, never a wait. Left out: several zones, and giving memory back to whoever it came from.
#pragma once

#include <span>

#include "kernel/base/spinlock.hpp"
#include "kernel/base/types.hpp"

namespace undercroft {

/// How full an allocator is.
struct PageCounters {
    usize total = 0;     ///< pages that can be given out
    usize free = 0;      ///< of these, now
    usize free_min = 0;  ///< the fewest there ever were
    u64 refusals = 0;    ///< requests that could not be met
};

class PageAllocator {
public:
    /// Largest block: 2^order_max pages (8 MiB).
    static constexpr u8 order_max = 11;

    constexpr PageAllocator() = default;
    PageAllocator(const PageAllocator&) = delete;
    PageAllocator& operator=(const PageAllocator&) = delete;

    /// Takes over `memory`, which must be page-aligned, and whose content is lost. Once, before any other call.
    void initialise(std::span<std::byte> memory);

    /// 2^`order` pages aligned to their size (relative to the address space, up to the alignment of the memory itself),
    /// contents undefined; null where there are none.
    std::byte* allocate(u8 order);
    /// As few pages as hold `size_bytes`, rounded up to a power of two. Null where there are none, or `size_bytes` is
    /// 0.
    std::byte* allocate_bytes(usize size_bytes);
    /// Takes back what `allocate` or `allocate_bytes` gave. Anything else is our own bug and panics, as does a second
    /// time.
    void release(std::byte* block);

    /// Bytes of the block that begins at `block`, which was given out and not taken back.
    usize block_bytes(const std::byte* block) const;
    /// Whether `address` lies in the memory that this allocator hands out.
    bool contains(const void* address) const;
    PageCounters counters() const;

    /// What the owner of an allocated block keeps beside its first page: the heap's slabs do.
    struct Note {
        u32 next = 0;
        u32 previous = 0;
        u16 free_head = 0;
        u16 used = 0;
        u8 kind = 0;

    private:
        friend class PageAllocator;
        u8 state_ = 0;
        u8 order_ = 0;
    };
    static_assert(sizeof(Note) == 16);
    /// The note of the page that `address` lies in. Belongs to whoever allocated the page; zeroed by `allocate` for a
    /// block's first page.
    Note& note_of(const void* address) { return notes_[index_of(address)]; }
    const Note& note_of(const void* address) const { return notes_[index_of(address)]; }
    u32 index_of(const void* address) const {
        return static_cast<u32>((static_cast<const std::byte*>(address) - base_) / page_size);
    }
    std::byte* page_at(u32 index) const { return base_ + usize{index} * page_size; }

    /// The order of the smallest block that holds `size_bytes` (at least 1).
    static u8 order_for(usize size_bytes);

private:
    /// Of the block that begins at a page; `inside` for all other pages.
    enum State : u8 { inside, free_block, allocated };
    static constexpr u32 none = ~u32{0};

    void insert_free(u32 index, u8 order);
    void remove_free(u32 index);

    mutable Spinlock lock_;
    std::byte* base_ = nullptr;  // of page 0, aligned to the largest block so that buddies are a matter of index bits
    Note* notes_ = nullptr;      // one per page; while free, links of its free list
    u32 first_ = 0;              // pages below are not ours (alignment, book-keeping)
    u32 end_ = 0;
    u32 free_lists_[order_max + 1] = {};
    PageCounters counters_;
};

}  // namespace undercroft
