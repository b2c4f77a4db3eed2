// Walking and filling of page tables.
#include "arch/x86_64/vtl2/page_tables.hpp"

#include "arch/x86_64/cpu.hpp"
#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft::arch {

namespace {
constexpr u64 present = u64{1} << 0;
constexpr u64 writable = u64{1} << 1;
constexpr u64 write_through = u64{1} << 3;
constexpr u64 cache_disable = u64{1} << 4;
constexpr u64 accessed_dirty = u64{3} << 5;  // set beforehand: the CPU need not write the tables
constexpr u64 large_page = u64{1} << 7;
constexpr u64 no_execute = u64{1} << 63;
constexpr u64 address_mask = 0x000F'FFFF'FFFF'F000;
constexpr u32 cpuid_gigabyte_pages = u32{1} << 26;  // leaf 80000001h, EDX

constexpr u64 level_bytes(int level) { return u64{page_size} << (9 * level); }

u64 flags_of(PageAccess access) {
    u64 flags = present | accessed_dirty;
    flags |= access.write ? writable : 0;
    flags |= access.execute ? 0 : no_execute;
    flags |= access.uncached ? write_through | cache_disable : 0;
    return flags;
}
}  // namespace

u64* PageTables::entry_at(u64 address, int level) {
    if (root_ == nullptr) {
        // SAFETY (here and below): tables are pages of VTL2's own memory, zeroed, and used as tables alone.
        root_ = reinterpret_cast<u64*>(source_());
        has_gigabyte_pages_ = (cpuid(0x8000'0001).edx & cpuid_gigabyte_pages) != 0;
        if (root_ == nullptr) {
            return nullptr;
        }
    }
    u64* table = root_;
    for (int current = 3;; --current) {
        u64& entry = table[(address >> (12 + 9 * current)) & 511];
        if (current == level) {
            return &entry;
        }
        if ((entry & present) == 0) {
            std::byte* below = source_();
            if (below == nullptr) {
                return nullptr;
            }
            entry = physical_(below) | present | writable | accessed_dirty;
        }
        table = reinterpret_cast<u64*>((entry & address_mask) - vtl2::memory_base + vtl2::image_virtual);
    }
}

bool PageTables::map(u64 address, u64 physical, u64 size_bytes, PageAccess access, bool large) {
    u64 flags = flags_of(access);
    while (size_bytes > 0) {
        int level = 0;
        int level_max = !large ? 0 : has_gigabyte_pages_ ? 2 : 1;
        while (level < level_max && is_aligned(address | physical, level_bytes(level + 1)) &&
               size_bytes >= level_bytes(level + 1)) {
            ++level;
        }
        u64* entry = entry_at(address, level);
        if (entry == nullptr) {
            return false;
        }
        *entry = physical | flags | (level > 0 ? large_page : 0);
        address += level_bytes(level);
        physical += level_bytes(level);
        size_bytes -= level_bytes(level);
    }
    return true;
}

void PageTables::unmap(u64 address) {
    *entry_at(address, 0) = 0;
    invalidate_page(address);
}

void PageTables::activate() const { write_cr3(root_physical()); }

}  // namespace undercroft::arch
