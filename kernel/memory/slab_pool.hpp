// Objects of one type with a fixed budget, for one processor: the I/O path takes its requests here, and never asks the
// heap. Memory comes from the page allocator when first needed, up to the budget, and goes back when the pool goes.
#pragma once

#include <new>
#include <utility>

#include "kernel/base/assert.hpp"
#include "kernel/memory/page_allocator.hpp"

namespace undercroft {

template <typename T>
class SlabPool {
public:
    /// At most `budget` objects alive at a time.
    SlabPool(PageAllocator& pages, usize budget) : pages_(pages), budget_(budget) {}
    SlabPool(const SlabPool&) = delete;
    SlabPool& operator=(const SlabPool&) = delete;
    /// All objects must have been given back.
    ~SlabPool() {
        ASSERT(used_ == 0);
        while (slabs_ != nullptr) {
            pages_.release(std::exchange(slabs_, *reinterpret_cast<std::byte**>(slabs_)));
        }
    }

    /// A new object, or null: the budget is used up (wait for a release), or there is no memory.
    template <typename... Arguments>
    T* create(Arguments&&... arguments) {
        if (used_ == budget_ || (free_ == nullptr && !grow())) {
            return nullptr;
        }
        Slot* slot = std::exchange(free_, free_->next);
        ++used_;
        // SAFETY: the slot is sized and aligned for T, and nobody else refers to it.
        return new (slot) T(std::forward<Arguments>(arguments)...);
    }
    void destroy(T* object) {
        object->~T();
        // SAFETY: `object` lies in a slot of ours, whose bytes are free now.
        free_ = new (object) Slot{free_};
        --used_;
    }
    usize used() const { return used_; }
    usize budget() const { return budget_; }

private:
    union Slot {
        Slot* next;
        alignas(T) std::byte bytes[sizeof(T)];
    };
    static constexpr usize header_bytes = alignof(Slot) > sizeof(void*) ? alignof(Slot) : sizeof(void*);
    static_assert(header_bytes + sizeof(Slot) <= page_size, "objects of a pool share pages");

    bool grow() {
        std::byte* page = pages_.allocate(0);
        if (page == nullptr) {
            return false;
        }
        // SAFETY: the page is ours and aligned; its first word chains it to the others.
        *reinterpret_cast<std::byte**>(page) = std::exchange(slabs_, page);
        for (usize offset = header_bytes; offset + sizeof(Slot) <= page_size; offset += sizeof(Slot)) {
            free_ = new (page + offset) Slot{free_};
        }
        return true;
    }

    PageAllocator& pages_;
    usize budget_;
    usize used_ = 0;
    Slot* free_ = nullptr;
    std::byte* slabs_ = nullptr;
};

}  // namespace undercroft
