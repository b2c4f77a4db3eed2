// Splitting and merging of buddies. A block's index bits say who its buddy is, so page 0 lies at an address aligned to
// the largest block, in front of the memory if need be: those pages are never free.
#include "kernel/memory/page_allocator.hpp"

#include <bit>
#include <cstring>

#include "kernel/base/assert.hpp"

namespace undercroft {

u8 PageAllocator::order_for(usize size_bytes) {
    usize pages = (size_bytes + page_size - 1) / page_size;
    return static_cast<u8>(std::bit_width(pages - 1));
}

void PageAllocator::initialise(std::span<std::byte> memory) {
    ASSERT(base_ == nullptr && is_aligned(reinterpret_cast<u64>(memory.data()), page_size));
    constexpr u64 largest = u64{page_size} << order_max;
    u64 address = reinterpret_cast<u64>(memory.data());
    // SAFETY: arithmetic on an address outside the memory is for index computation only; it is never read or written.
    base_ = reinterpret_cast<std::byte*>(align_down(address, largest));
    u32 skipped = static_cast<u32>((address - align_down(address, largest)) / page_size);
    end_ = skipped + static_cast<u32>(memory.size() / page_size);
    usize notes_bytes = align_up(usize{end_} * sizeof(Note), page_size);
    ASSERT(notes_bytes < memory.size());
    // SAFETY: the first pages of the memory are set aside for the array, and page alignment satisfies Note's.
    notes_ = reinterpret_cast<Note*>(memory.data());
    std::memset(static_cast<void*>(notes_), 0, notes_bytes);
    first_ = skipped + static_cast<u32>(notes_bytes / page_size);
    for (u32& list : free_lists_) {
        list = none;
    }
    counters_.total = end_ - first_;
    for (u32 index = first_; index < end_;) {
        u8 order = order_max;
        while (!is_aligned(index, u64{1} << order) || index + (u64{1} << order) > end_) {
            --order;
        }
        insert_free(index, order);
        counters_.free += usize{1} << order;
        index += u32{1} << order;
    }
    counters_.free_min = counters_.free;
}

void PageAllocator::insert_free(u32 index, u8 order) {
    Note& page = notes_[index];
    page.state_ = free_block;
    page.order_ = order;
    page.previous = none;
    page.next = free_lists_[order];
    if (page.next != none) {
        notes_[page.next].previous = index;
    }
    free_lists_[order] = index;
}

void PageAllocator::remove_free(u32 index) {
    Note& page = notes_[index];
    (page.previous != none ? notes_[page.previous].next : free_lists_[page.order_]) = page.next;
    if (page.next != none) {
        notes_[page.next].previous = page.previous;
    }
    page.state_ = inside;
}

std::byte* PageAllocator::allocate(u8 order) {
    SpinlockGuard guard(lock_);
    u8 found = order;
    while (found <= order_max && free_lists_[found] == none) {
        ++found;
    }
    if (found > order_max) {
        ++counters_.refusals;
        return nullptr;
    }
    u32 index = free_lists_[found];
    remove_free(index);
    while (found > order) {
        --found;
        insert_free(index + (u32{1} << found), found);
    }
    notes_[index] = {};
    notes_[index].state_ = allocated;
    notes_[index].order_ = order;
    counters_.free -= usize{1} << order;
    counters_.free_min = counters_.free < counters_.free_min ? counters_.free : counters_.free_min;
    return page_at(index);
}

std::byte* PageAllocator::allocate_bytes(usize size_bytes) {
    if (size_bytes == 0 || size_bytes > (usize{page_size} << order_max)) {
        return nullptr;
    }
    return allocate(order_for(size_bytes));
}

void PageAllocator::release(std::byte* block) {
    SpinlockGuard guard(lock_);
    ASSERT(contains(block) && is_aligned(reinterpret_cast<u64>(block), page_size));
    u32 index = index_of(block);
    ASSERT(notes_[index].state_ == allocated);
    u8 order = notes_[index].order_;
    counters_.free += usize{1} << order;
    notes_[index].state_ = inside;
    while (order < order_max) {
        u32 buddy = index ^ (u32{1} << order);
        if (buddy < first_ || buddy >= end_ || notes_[buddy].state_ != free_block || notes_[buddy].order_ != order) {
            break;
        }
        remove_free(buddy);
        index &= buddy;
        ++order;
    }
    insert_free(index, order);
}

usize PageAllocator::block_bytes(const std::byte* block) const {
    const Note& page = notes_[index_of(block)];
    ASSERT(page.state_ == allocated);
    return usize{page_size} << page.order_;
}

bool PageAllocator::contains(const void* address) const {
    const auto* byte = static_cast<const std::byte*>(address);
    return byte >= page_at(first_) && byte < page_at(end_);
}

PageCounters PageAllocator::counters() const {
    SpinlockGuard guard(lock_);
    return counters_;
}

}  // namespace undercroft
