// Slabs. A note's `kind` is the size class plus one; 0 is a block of pages. Free objects are chained by index through
// their first two bytes.
#include "kernel/memory/heap.hpp"

#include <bit>
#include <cstring>

#include "kernel/base/assert.hpp"

namespace undercroft {

namespace {

u16 load_link(const std::byte* object) {
    u16 value;
    std::memcpy(&value, object, sizeof(value));
    return value;
}

void store_link(std::byte* object, u16 value) { std::memcpy(object, &value, sizeof(value)); }

}  // namespace

u8 Heap::class_for(usize size_bytes, usize alignment_bytes) {
    for (u8 index = 0; index < class_count; ++index) {
        // Objects lie at multiples of the class size in a page, so the size's lowest set bit is what they are aligned
        // to.
        usize size = class_sizes[index];
        if (size >= size_bytes && is_aligned(size, alignment_bytes)) {
            return index;
        }
    }
    return class_count;
}

void Heap::link(u8 size_class, u32 page) {
    PageAllocator::Note& note = pages_.note_of(pages_.page_at(page));
    note.previous = none;
    note.next = partial_[size_class];
    if (note.next != none) {
        pages_.note_of(pages_.page_at(note.next)).previous = page;
    }
    partial_[size_class] = page;
}

void Heap::unlink(u8 size_class, u32 page) {
    PageAllocator::Note& note = pages_.note_of(pages_.page_at(page));
    (note.previous != none ? pages_.note_of(pages_.page_at(note.previous)).next : partial_[size_class]) = note.next;
    if (note.next != none) {
        pages_.note_of(pages_.page_at(note.next)).previous = note.previous;
    }
}

bool Heap::grow(u8 size_class) {
    std::byte* page = pages_.allocate(0);
    if (page == nullptr) {
        return false;
    }
    usize size = class_sizes[size_class];
    usize count = page_size / size;
    for (usize index = 0; index < count; ++index) {
        store_link(page + index * size, index + 1 < count ? static_cast<u16>(index + 1) : end_of_list);
    }
    PageAllocator::Note& note = pages_.note_of(page);
    note.kind = static_cast<u8>(size_class + 1);
    note.free_head = 0;
    note.used = 0;
    link(size_class, pages_.index_of(page));
    return true;
}

void* Heap::allocate(usize size_bytes, usize alignment_bytes) {
    ASSERT(std::has_single_bit(alignment_bytes) && alignment_bytes <= page_size);
    u8 size_class = class_for(size_bytes, alignment_bytes < 16 ? 16 : alignment_bytes);
    if (size_class == class_count) {
        std::byte* block = pages_.allocate_bytes(size_bytes);
        if (block != nullptr) {
            SpinlockGuard guard(lock_);
            used_bytes_ += pages_.block_bytes(block);
        }
        return block;
    }
    SpinlockGuard guard(lock_);
    if (partial_[size_class] == none && !grow(size_class)) {
        return nullptr;
    }
    std::byte* page = pages_.page_at(partial_[size_class]);
    PageAllocator::Note& note = pages_.note_of(page);
    std::byte* object = page + usize{note.free_head} * class_sizes[size_class];
    note.free_head = load_link(object);
    ++note.used;
    if (note.free_head == end_of_list) {
        unlink(size_class, pages_.index_of(page));
    }
    used_bytes_ += class_sizes[size_class];
    return object;
}

void Heap::release(void* allocation) {
    ASSERT(pages_.contains(allocation));
    auto* object = static_cast<std::byte*>(allocation);
    PageAllocator::Note& note = pages_.note_of(object);
    std::byte* page = pages_.page_at(pages_.index_of(object));
    SpinlockGuard guard(lock_);
    if (note.kind == 0) {
        used_bytes_ -= pages_.block_bytes(object);
        pages_.release(object);
        return;
    }
    u8 size_class = static_cast<u8>(note.kind - 1);
    usize size = class_sizes[size_class];
    usize offset = static_cast<usize>(object - page);
    ASSERT(offset % size == 0 && note.used > 0);
    if (note.free_head == end_of_list) {
        link(size_class, pages_.index_of(page));
    }
    store_link(object, note.free_head);
    note.free_head = static_cast<u16>(offset / size);
    --note.used;
    used_bytes_ -= size;
    // One empty page per class stays, so that an allocation at the edge does not go to and fro.
    if (note.used == 0 && (note.next != none || note.previous != none)) {
        unlink(size_class, pages_.index_of(page));
        pages_.release(page);
    }
}

usize Heap::usable_bytes(const void* allocation) const {
    const auto* object = static_cast<const std::byte*>(allocation);
    const PageAllocator::Note& note = pages_.note_of(object);
    return note.kind == 0 ? pages_.block_bytes(object) : class_sizes[note.kind - 1];
}

}  // namespace undercroft
