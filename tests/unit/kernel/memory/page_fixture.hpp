// Page-aligned memory of the host for an allocator under test.
#pragma once

#include <cstdlib>
#include <memory>

#include "kernel/memory/page_allocator.hpp"

namespace undercroft {

struct HostPages {
    explicit HostPages(usize pages, usize alignment = page_size)
        : size(pages * page_size), data(static_cast<std::byte*>(std::aligned_alloc(alignment, size))) {
        allocator.initialise(std::span(data, size));
    }
    HostPages(const HostPages&) = delete;
    HostPages& operator=(const HostPages&) = delete;
    ~HostPages() { std::free(data); }

    usize size;
    std::byte* data;
    PageAllocator allocator;
};

}  // namespace undercroft
