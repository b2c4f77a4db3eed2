// Page tables that the monitor keeps: what one VTL sees of machine memory (nested), and the monitor's own. Four
// levels, 2 MiB pages where addresses allow, split to 4 KiB when protections ask for it. Left out: 1 GiB pages,
// accessed and dirty bits. Source: AMD64 Architecture Programmer's Manual volume 2, sections 5.3 and 15.25.
#pragma once

#include "kernel/base/result.hpp"
#include "kernel/monitor/page_pool.hpp"

namespace undercroft::monitor {

/// What a mapping allows. A page without `read` is not present at all.
struct Access {
    bool read = false;
    bool write = false;
    bool execute = false;
    bool uncached = false;
};
inline constexpr Access access_all{.read = true, .write = true, .execute = true};
inline constexpr Access access_data{.read = true, .write = true};
inline constexpr Access access_device{.read = true, .write = true, .uncached = true};

/// Who walks the tables. A nested walk counts as a user access.
enum class TableKind : u8 { nested, own };

class PageTables {
public:
    /// Takes the root from `pool`, which it keeps for further tables. `out_of_memory`.
    Result<void> create(PagePool& pool, TableKind kind);
    /// Physical address of the root, for the VMCB.
    u64 root() const { return root_; }

    /// Maps guest physical [guest, + size) to machine memory. All page-aligned. Mapping over something replaces it.
    /// `out_of_memory`, `invalid_argument`.
    Result<void> map(u64 guest, u64 machine, u64 size_bytes, Access access);
    /// Changes what is allowed on one mapped page, which keeps its machine address. `not_found` where nothing was ever
    /// mapped.
    Result<void> protect(u64 guest, Access access);

    struct Translation {
        u64 machine = 0;
        Access access{};
    };
    /// Machine address behind `guest` and what is allowed there; `not_found` where nothing is. A page that `protect`
    /// made inaccessible is found.
    Result<Translation> translate(u64 guest) const;

private:
    static constexpr usize entries = 512;

    u64 leaf_bits(Access access) const;
    u64 table_bits() const;
    u64* entry(u64 guest, unsigned level) const;
    Result<u64*> make_entry(u64 guest, unsigned level);
    Result<void> split(u64& large);

    PagePool* pool_ = nullptr;
    u64 root_ = 0;
    TableKind kind_ = TableKind::nested;
};

}  // namespace undercroft::monitor
