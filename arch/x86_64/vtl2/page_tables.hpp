// VTL2's own page tables: 4-level, built once while starting up, in place of the ones the monitor entered with. What is
// code is not writable, and everything else not executable. Left out: freeing tables, five levels. Source: AMD64
// Architecture Programmer's Manual volume 2, section 5.3.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::arch {

/// What a mapping allows. Reading is always allowed.
struct PageAccess {
    bool write = false;
    bool execute = false;
    bool uncached = false;
};

class PageTables {
public:
    /// Gives one zeroed page for a table, or null.
    using TableSource = std::byte* (*)();
    /// Guest physical address of a table.
    using TablePhysical = u64 (*)(const void* table);

    constexpr PageTables(TableSource source, TablePhysical physical) : source_(source), physical_(physical) {}

    /// Maps [`address`, + `size_bytes`) to `physical`, all page-aligned, with 1 GiB (if the CPU has them) and 2 MiB
    /// pages where alignment allows and `large` says so.
    /// Returns false where no table was to be had.
    bool map(u64 address, u64 physical, u64 size_bytes, PageAccess access, bool large);
    /// Makes the 4 KiB page at `address` inaccessible. It must have been mapped without `large`.
    void unmap(u64 address);
    /// Switches this CPU to these tables.
    void activate() const;
    /// The value of CR3.
    u64 root_physical() const { return physical_(root_); }

private:
    u64* entry_at(u64 address, int level);

    TableSource source_;
    TablePhysical physical_;
    u64* root_ = nullptr;
    bool has_gigabyte_pages_ = false;
};

}  // namespace undercroft::arch
