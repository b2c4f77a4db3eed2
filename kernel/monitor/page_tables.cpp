// The monitor's page tables: see page_tables.hpp.
#include "kernel/monitor/page_tables.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 bit_present = u64{1} << 0;
constexpr u64 bit_write = u64{1} << 1;
constexpr u64 bit_user = u64{1} << 2;
constexpr u64 bit_write_through = u64{1} << 3;
constexpr u64 bit_cache_disable = u64{1} << 4;
constexpr u64 bit_large = u64{1} << 7;
/// Software: the page belongs to this view, whatever it allows just now.
constexpr u64 bit_mapped = u64{1} << 9;
constexpr u64 bit_no_execute = u64{1} << 63;
constexpr u64 address_mask = 0x000F'FFFF'FFFF'F000;
constexpr u64 large_address_mask = 0x000F'FFFF'FFE0'0000;
constexpr u64 guest_address_end = u64{1} << 48;
constexpr unsigned level_directory = 1;
constexpr unsigned level_top = 3;

usize index_of(u64 guest, unsigned level) { return (guest >> (12 + 9 * level)) & 511; }

// SAFETY: tables come from the pool, which is identity-mapped.
u64* table_at(u64 entry) { return reinterpret_cast<u64*>(entry & address_mask); }

bool is_leaf(u64 entry) { return (entry & bit_mapped) != 0; }

/// The CPU of another VP may walk the table right now: an entry changes in one store.
void store(u64& entry, u64 value) { __atomic_store_n(&entry, value, __ATOMIC_RELEASE); }

}  // namespace

u64 PageTables::leaf_bits(Access access) const {
    u64 bits = bit_mapped | (kind_ == TableKind::nested ? bit_user : 0);
    bits |= access.read ? bit_present : 0;
    bits |= access.write ? bit_write : 0;
    bits |= access.execute ? 0 : bit_no_execute;
    bits |= access.uncached ? bit_write_through | bit_cache_disable : 0;
    return bits;
}

/// Tables allow everything, leaves decide.
u64 PageTables::table_bits() const { return bit_present | bit_write | (kind_ == TableKind::nested ? bit_user : 0); }

Result<void> PageTables::create(PagePool& pool, TableKind kind) {
    pool_ = &pool;
    kind_ = kind;
    root_ = pool.allocate();
    if (root_ == 0) {
        return fail(Error::out_of_memory);
    }
    return {};
}

/// The entry for `guest` at `level` or the leaf above it; null where a table is missing.
u64* PageTables::entry(u64 guest, unsigned level) const {
    u64* table = table_at(root_);
    for (unsigned l = level_top;; --l) {
        u64* found = &table[index_of(guest, l)];
        if (l == level || is_leaf(*found)) {
            return found;
        }
        if ((*found & bit_present) == 0) {
            return nullptr;
        }
        table = table_at(*found);
    }
}

Result<u64*> PageTables::make_entry(u64 guest, unsigned level) {
    u64* table = table_at(root_);
    for (unsigned l = level_top;; --l) {
        u64* found = &table[index_of(guest, l)];
        if (l == level) {
            return found;
        }
        if (is_leaf(*found)) {
            TRY(split(*found));
        } else if ((*found & bit_present) == 0) {
            u64 page = pool_->allocate();
            if (page == 0) {
                return fail(Error::out_of_memory);
            }
            store(*found, page | table_bits());
        }
        table = table_at(*found);
    }
}

Result<void> PageTables::split(u64& large) {
    u64 page = pool_->allocate();
    if (page == 0) {
        return fail(Error::out_of_memory);
    }
    u64 machine = large & large_address_mask;
    u64 bits = large & ~(large_address_mask | bit_large);
    for (usize i = 0; i < entries; ++i) {
        table_at(page)[i] = (machine + i * page_size) | bits;
    }
    store(large, page | table_bits());
    return {};
}

Result<void> PageTables::map(u64 guest, u64 machine, u64 size_bytes, Access access) {
    if (((guest | machine | size_bytes) & (page_size - 1)) != 0 || size_bytes > guest_address_end ||
        guest > guest_address_end - size_bytes) {
        return fail(Error::invalid_argument);
    }
    u64 bits = leaf_bits(access);
    while (size_bytes > 0) {
        bool large = is_aligned(guest | machine, large_page_size) && size_bytes >= large_page_size;
        if (large) {
            u64* found = TRY(make_entry(guest, level_directory));
            // A table that is there stays there: its pages may carry protections of their own. Rare, so simply fill it.
            if ((*found & bit_present) != 0 && !is_leaf(*found)) {
                large = false;
            } else {
                store(*found, machine | bits | bit_large);
            }
        }
        if (!large) {
            u64* found = TRY(make_entry(guest, 0));
            store(*found, machine | bits);
        }
        u64 step = large ? large_page_size : page_size;
        guest += step;
        machine += step;
        size_bytes -= step;
    }
    return {};
}

Result<void> PageTables::protect(u64 guest, Access access) {
    if (!is_aligned(guest, page_size) || guest >= guest_address_end) {
        return fail(Error::invalid_argument);
    }
    u64* found = entry(guest, 0);
    if (found == nullptr || !is_leaf(*found)) {
        return fail(Error::not_found);
    }
    found = TRY(make_entry(guest, 0));
    store(*found, (*found & address_mask) | leaf_bits(access));
    return {};
}

Result<PageTables::Translation> PageTables::translate(u64 guest) const {
    if (guest >= guest_address_end) {
        return fail(Error::not_found);
    }
    const u64* found = entry(guest, 0);
    if (found == nullptr || !is_leaf(*found)) {
        return fail(Error::not_found);
    }
    bool large = (*found & bit_large) != 0;
    u64 offset = guest & (large ? large_page_size - 1 : page_size - 1);
    u64 machine = (*found & (large ? large_address_mask : address_mask)) + offset;
    return Translation{machine,
                       {.read = (*found & bit_present) != 0,
                        .write = (*found & bit_write) != 0,
                        .execute = (*found & bit_no_execute) == 0,
                        .uncached = (*found & bit_cache_disable) != 0}};
}

}  // namespace undercroft::monitor
