// Sectors in memory, of which only those that were written take any: under the RAM disk and the RAM layer. Each sector
// is absent, data or zero; large ranges that are all absent or all zero take no memory but their table's. May be used on
// several virtual processors: a spin lock, held for one chunk's copy at a time, guards the table. Never waits.
#pragma once

#include <memory>

#include "kernel/base/spinlock.hpp"
#include "storage/disk.hpp"
#include "storage/presence.hpp"

namespace undercroft {

class SparseMemory {
public:
    static constexpr u64 chunk_bytes = 64 * kib;
    static constexpr u32 sector_size_max = 64 * kib;

    /// `sector_size`: power of two, 512 to `sector_size_max`. `sectors`: what lies past is `illegal_block`.
    /// `budget_bytes`: what chunks and their tables may take.
    SparseMemory(u32 sector_size, u64 sectors, u64 budget_bytes);
    ~SparseMemory();

    /// Makes the table as large as `sectors` need now, rather than when they are written. `io`: no memory.
    DiskResult<void> reserve(u64 sectors);
    /// Reads all sectors, absent ones as zeros.
    DiskResult<void> read(u64 sector, SegmentList into);
    /// Reads the sectors that are data, touches no other memory, and reports all. At most `PresenceMap::sectors_max`.
    DiskResult<void> read_present(u64 sector, SegmentList into, PresenceMap& found);
    /// Sectors become data. `medium_write` past the budget.
    DiskResult<void> write(u64 sector, SegmentList from, Overwrite overwrite);
    /// Sectors become `zero` or `absent`; `medium_write` past the budget, which `absent` of what was never zero needs
    /// none of.
    DiskResult<void> set(SectorRange range, Presence presence);
    /// What the first sectors of `range` are. Looks at a bounded part of a long range.
    DiskResult<PresenceRun> presence(SectorRange range) const;
    /// Changes the number of sectors; those past a smaller one are forgotten.
    DiskResult<void> resize(u64 sectors);
    /// Forgets what lies at `sector` and past it.
    void forget_from(u64 sector);

    u64 used_bytes() const;

private:
    struct Chunk;
    struct Entry;
    struct Leaf;
    struct Branch;
    struct Span;
    enum class Budget : bool { ignored, obeyed };

    bool in_range(u64 sector, u64 count) const { return sector <= sectors_ && count <= sectors_ - sector; }
    Span span_at(u64 sector, u64 sectors_max) const;
    Entry* find(const Span& span) const;
    Presence presence_without_leaf(const Span& span) const;
    bool take(u64 bytes, Budget budget);
    Branch* find_or_add_branch(u64 index);
    Leaf* find_or_add_leaf(Branch& branch, Budget budget);
    Entry* find_or_add(const Span& span, Budget budget);
    bool add_chunk(Entry& entry);
    void drop_leaf(Branch& branch);
    bool set_span(const Span& span, Presence presence, Budget budget);
    bool set_all(u64 sector, u64 count, Presence presence, Budget budget);
    bool grow_root(u64 branches);

    u32 sector_shift_;
    u32 chunk_sectors_;
    u32 chunk_shift_;
    u64 leaf_sectors_;
    u64 budget_bytes_;
    mutable Spinlock lock_;
    u64 sectors_;
    std::unique_ptr<Branch[]> root_;
    u64 root_size_ = 0;
    u64 used_bytes_ = 0;
};

}  // namespace undercroft
