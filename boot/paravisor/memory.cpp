// Where the image's memory comes from.
#include "boot/paravisor/memory.hpp"

#include <cstring>

#include "boot/paravisor/image_layout.hpp"
#include "boot/runtime/runtime.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/base/log.hpp"

namespace undercroft {

namespace paravisor {

namespace {

constexpr u8 stack_order = 4;  // 64 KiB

constinit PageAllocator page_allocator;
constinit Heap image_heap{page_allocator};
constinit AddressMap address_map;

std::byte* take_table() {
    std::byte* page = page_allocator.allocate(0);
    if (page != nullptr) {
        std::memset(page, 0, page_size);
    }
    return page;
}

u64 table_physical(const void* table) { return address_map.guest_physical(table); }

constinit arch::PageTables tables{take_table, table_physical};

u64 offset_of(const u8* symbol) { return reinterpret_cast<u64>(symbol) - vtl2::image_virtual; }

bool map_own(u64 begin, u64 end, arch::PageAccess access) {
    return tables.map(vtl2::image_virtual + begin, vtl2::memory_base + begin, end - begin, access, false);
}

bool map_everything(const vtl2::BootInfo& boot_info) {
    constexpr arch::PageAccess data{.write = true};
    bool mapped = map_own(0, offset_of(image_text_end), {.execute = true}) &&
                  map_own(offset_of(image_text_end), offset_of(image_rodata_end), {}) &&
                  map_own(offset_of(image_rodata_end), align_down(boot_info.memory_bytes, page_size), data);
    for (u32 index = 0; index < boot_info.guest_range_count; ++index) {
        const vtl2::GuestRange& range = boot_info.guest_ranges[index];
        mapped = mapped && tables.map(vtl2::guest_virtual + range.guest_address, range.guest_address, range.size_bytes,
                                      data, true);
    }
    constexpr arch::PageAccess registers{.write = true, .uncached = true};
    return mapped && tables.map(vtl2::device_virtual, vtl2::device_base, vtl2::device_window_bytes, registers, true);
}

}  // namespace

PageAllocator& pages() { return page_allocator; }
Heap& heap() { return image_heap; }
const AddressMap& addresses() { return address_map; }
arch::PageTables& page_tables() { return tables; }

void initialise_memory(const vtl2::BootInfo& boot_info) {
    address_map = AddressMap(boot_info);
    page_allocator.initialise(
        AddressMap::own_memory(align_up(boot_info.free_begin, page_size), align_down(boot_info.free_end, page_size)));
    if (!map_everything(boot_info)) {
        PANIC("no memory for page tables");
    }
    tables.unmap(reinterpret_cast<u64>(boot_stack_guard));
    tables.activate();
}

void log_memory() {
    PageCounters counters = page_allocator.counters();
    log_info("memory: %zu of %zu pages free, at least %zu so far, heap %zu bytes", counters.free, counters.total,
             counters.free_min, image_heap.used_bytes());
}

std::byte* allocate_stack() {
    std::byte* stack = page_allocator.allocate(stack_order);
    if (stack == nullptr) {
        PANIC("no memory for a stack");
    }
    tables.unmap(reinterpret_cast<u64>(stack));
    return stack + (usize{page_size} << stack_order);
}

std::byte* allocate_page_or_panic() {
    std::byte* page = take_table();
    if (page == nullptr) {
        PANIC("no memory for a page");
    }
    return page;
}

}  // namespace paravisor

void* runtime_allocate(usize size_bytes, usize alignment_bytes) noexcept {
    return paravisor::heap().allocate(size_bytes, alignment_bytes);
}

void runtime_release(void* allocation) noexcept { paravisor::heap().release(allocation); }

usize runtime_allocation_size(const void* allocation) noexcept { return paravisor::heap().usable_bytes(allocation); }

}  // namespace undercroft
