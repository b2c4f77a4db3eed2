// The table: root -> leaf -> entry, and in each entry two bits a sector beside the chunk that holds the data, which is
// there only while a sector of it is data. What a leaf that is not there would hold (all absent, or all zero) is said
// one step above. A sector that is not data is zero in memory too. The bits are in the leaf and not in the chunk because
// a read needs both them and the pointer: one miss of cache and TLB instead of two.
#include "storage/backends/sparse_memory.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "storage/segments.hpp"

namespace undercroft {

namespace {
constexpr usize leaf_entries = 256;  // a leaf covers 16 MiB
/// Steps that one `presence` takes: a bound on how long it holds the lock.
constexpr usize status_steps_max = 1024;

}  // namespace

struct SparseMemory::Chunk {
    alignas(64) std::byte bytes[chunk_bytes] = {};
};

struct SparseMemory::Entry {
    std::unique_ptr<Chunk> chunk;
    BitRuns<chunk_bytes / 512> is_data;
    BitRuns<chunk_bytes / 512> is_zero;

    Presence at(u32 sector) const {
        return is_data.test(sector) ? Presence::data : is_zero.test(sector) ? Presence::zero : Presence::absent;
    }
    /// How many sectors from `first`, at most `max`, are as `first` is.
    u32 run_length(u32 first, u32 max) const {
        return std::min(is_data.run_length(first, max), is_zero.run_length(first, max));
    }
    void set(u32 first, u32 count, Presence presence) {
        is_data.set(first, count, presence == Presence::data);
        is_zero.set(first, count, presence == Presence::zero);
    }
};

struct SparseMemory::Leaf {
    Entry entries[leaf_entries] = {};
};

struct SparseMemory::Branch {
    std::unique_ptr<Leaf> leaf;
    bool is_zero = false;  // of a leaf that is not there
};

// The part of a range that lies in one chunk.
struct SparseMemory::Span {
    u64 branch;
    u32 entry;  // within the leaf
    u32 first;  // sector within the chunk
    u32 count;
};

SparseMemory::SparseMemory(u32 sector_size, u64 sectors, u64 budget_bytes)
    : sector_shift_(static_cast<u32>(std::countr_zero(sector_size))),
      chunk_sectors_(static_cast<u32>(chunk_bytes / sector_size)),
      chunk_shift_(static_cast<u32>(std::countr_zero(chunk_sectors_))),
      leaf_sectors_(u64{chunk_sectors_} * leaf_entries), budget_bytes_(budget_bytes), sectors_(sectors) {}

SparseMemory::~SparseMemory() = default;

SparseMemory::Span SparseMemory::span_at(u64 sector, u64 sectors_max) const {
    u64 chunk = sector >> chunk_shift_;
    u32 first = static_cast<u32>(sector & (chunk_sectors_ - 1));
    return {.branch = chunk / leaf_entries,
            .entry = static_cast<u32>(chunk % leaf_entries),
            .first = first,
            .count = static_cast<u32>(std::min<u64>(sectors_max, chunk_sectors_ - first))};
}

SparseMemory::Entry* SparseMemory::find(const Span& span) const {
    if (span.branch >= root_size_ || root_[span.branch].leaf == nullptr) {
        return nullptr;
    }
    return &root_[span.branch].leaf->entries[span.entry];
}

Presence SparseMemory::presence_without_leaf(const Span& span) const {
    return span.branch < root_size_ && root_[span.branch].is_zero ? Presence::zero : Presence::absent;
}

bool SparseMemory::grow_root(u64 branches) {
    if (branches <= root_size_) {
        return true;
    }
    if (branches > ~usize{0} / sizeof(Branch)) {
        return false;
    }
    std::unique_ptr<Branch[]> root(new (std::nothrow) Branch[branches]);
    if (root == nullptr) {
        return false;
    }
    std::move(root_.get(), root_.get() + root_size_, root.get());
    root_ = std::move(root);
    root_size_ = branches;
    return true;
}

bool SparseMemory::take(u64 bytes, Budget budget) {
    if (budget == Budget::obeyed && (used_bytes_ > budget_bytes_ || budget_bytes_ - used_bytes_ < bytes)) {
        return false;
    }
    used_bytes_ += bytes;
    return true;
}

SparseMemory::Branch* SparseMemory::find_or_add_branch(u64 index) {
    if (index >= root_size_ && !grow_root(std::max(index + 1, 2 * root_size_))) {
        return nullptr;
    }
    return &root_[index];
}

SparseMemory::Leaf* SparseMemory::find_or_add_leaf(Branch& branch, Budget budget) {
    if (branch.leaf != nullptr) {
        return branch.leaf.get();
    }
    if (!take(sizeof(Leaf), budget)) {
        return nullptr;
    }
    branch.leaf.reset(new (std::nothrow) Leaf{});
    if (branch.leaf == nullptr) {
        used_bytes_ -= sizeof(Leaf);
        return nullptr;
    }
    if (branch.is_zero) {
        for (Entry& entry : branch.leaf->entries) {
            entry.set(0, chunk_sectors_, Presence::zero);
        }
    }
    return branch.leaf.get();
}

SparseMemory::Entry* SparseMemory::find_or_add(const Span& span, Budget budget) {
    Branch* branch = find_or_add_branch(span.branch);
    Leaf* leaf = branch != nullptr ? find_or_add_leaf(*branch, budget) : nullptr;
    return leaf != nullptr ? &leaf->entries[span.entry] : nullptr;
}

bool SparseMemory::add_chunk(Entry& entry) {
    if (entry.chunk != nullptr) {
        return true;
    }
    if (!take(sizeof(Chunk), Budget::obeyed)) {
        return false;
    }
    entry.chunk.reset(new (std::nothrow) Chunk{});
    used_bytes_ -= entry.chunk == nullptr ? sizeof(Chunk) : 0;
    return entry.chunk != nullptr;
}

DiskResult<void> SparseMemory::reserve(u64 sectors) {
    SpinlockGuard guard(lock_);
    if (!grow_root(sectors / leaf_sectors_ + 1)) {
        return fail(DiskError::io);
    }
    return {};
}

DiskResult<void> SparseMemory::read(u64 sector, SegmentList into) {
    u64 count = total_bytes(into) >> sector_shift_;
    SegmentCursor cursor(into);
    while (count > 0) {
        SpinlockGuard guard(lock_);
        if (!in_range(sector, count)) {
            return fail(DiskError::illegal_block);
        }
        Span span = span_at(sector, count);
        if (const Entry* entry = find(span); entry != nullptr && entry->chunk != nullptr) {
            cursor.copy_in(
                {entry->chunk->bytes + (u64{span.first} << sector_shift_), u64{span.count} << sector_shift_});
        } else {
            cursor.fill_zero(u64{span.count} << sector_shift_);
        }
        sector += span.count;
        count -= span.count;
    }
    return {};
}

DiskResult<void> SparseMemory::read_present(u64 sector, SegmentList into, PresenceMap& found) {
    u64 count = total_bytes(into) >> sector_shift_;
    ASSERT(count <= PresenceMap::sectors_max);
    SegmentCursor cursor(into);
    usize done = 0;
    while (done < count) {
        SpinlockGuard guard(lock_);
        if (!in_range(sector + done, count - done)) {
            return fail(DiskError::illegal_block);
        }
        Span span = span_at(sector + done, count - done);
        const Entry* entry = find(span);
        if (entry == nullptr) {
            found.set(done, span.count, presence_without_leaf(span));
            cursor.skip(u64{span.count} << sector_shift_);
            done += span.count;
            continue;
        }
        for (u32 end = span.first + span.count; span.first < end;) {
            u32 run = entry->run_length(span.first, end - span.first);
            Presence presence = entry->at(span.first);
            found.set(done, run, presence);
            if (presence == Presence::data) {
                cursor.copy_in({entry->chunk->bytes + (u64{span.first} << sector_shift_), u64{run} << sector_shift_});
            } else {
                cursor.skip(u64{run} << sector_shift_);
            }
            span.first += run;
            done += run;
        }
    }
    return {};
}

DiskResult<void> SparseMemory::write(u64 sector, SegmentList from, Overwrite overwrite) {
    u64 count = total_bytes(from) >> sector_shift_;
    SegmentCursor cursor(from);
    while (count > 0) {
        SpinlockGuard guard(lock_);
        if (!in_range(sector, count)) {  // under the lock: nothing may appear behind the end of what shrank meanwhile
            return fail(DiskError::illegal_block);
        }
        Span span = span_at(sector, count);
        sector += span.count;
        count -= span.count;
        if (overwrite == Overwrite::only_absent && find(span) == nullptr &&
            presence_without_leaf(span) == Presence::zero) {
            cursor.skip(u64{span.count} << sector_shift_);
            continue;
        }
        Entry* entry = find_or_add(span, Budget::obeyed);
        if (entry == nullptr) {
            return fail(DiskError::medium_write);
        }
        for (u32 end = span.first + span.count; span.first < end;) {
            bool all = overwrite == Overwrite::everything;
            u32 run = all ? end - span.first : entry->run_length(span.first, end - span.first);
            if (all || entry->at(span.first) == Presence::absent) {
                if (!add_chunk(*entry)) {
                    return fail(DiskError::medium_write);
                }
                cursor.copy_out({entry->chunk->bytes + (u64{span.first} << sector_shift_), u64{run} << sector_shift_});
                entry->set(span.first, run, Presence::data);
            } else {
                cursor.skip(u64{run} << sector_shift_);
            }
            span.first += run;
        }
    }
    return {};
}

void SparseMemory::drop_leaf(Branch& branch) {
    for (const Entry& entry : branch.leaf->entries) {
        used_bytes_ -= entry.chunk != nullptr ? sizeof(Chunk) : 0;
    }
    used_bytes_ -= sizeof(Leaf);
    branch.leaf.reset();
}

// Part of a chunk, or a whole one. False: no memory.
bool SparseMemory::set_span(const Span& span, Presence presence, Budget budget) {
    Entry* entry = find(span);
    if (entry == nullptr && presence_without_leaf(span) == presence) {
        return true;
    }
    entry = entry != nullptr ? entry : find_or_add(span, budget);
    if (entry == nullptr) {
        return false;
    }
    entry->set(span.first, span.count, presence);
    if (entry->chunk == nullptr) {
        return true;
    }
    if (entry->is_data.all(chunk_sectors_, false)) {
        entry->chunk.reset();
        used_bytes_ -= sizeof(Chunk);
    } else {
        std::memset(entry->chunk->bytes + (u64{span.first} << sector_shift_), 0, u64{span.count} << sector_shift_);
    }
    return true;
}

bool SparseMemory::set_all(u64 sector, u64 count, Presence presence, Budget budget) {
    while (count > 0) {
        Span span = span_at(sector, count);
        if (presence == Presence::absent && span.branch >= root_size_) {
            return true;
        }
        u64 leaf_left = leaf_sectors_ - sector % leaf_sectors_;
        Branch* branch = find_or_add_branch(span.branch);
        if (branch == nullptr) {
            return false;
        }
        bool whole_leaf = leaf_left == leaf_sectors_ && count >= leaf_sectors_;
        bool is_so = branch->leaf == nullptr && branch->is_zero == (presence == Presence::zero);
        if (whole_leaf || is_so) {
            if (branch->leaf != nullptr) {
                drop_leaf(*branch);
            }
            branch->is_zero = presence == Presence::zero;
            u64 skip = std::min(count, leaf_left);
            sector += skip;
            count -= skip;
            continue;
        }
        if (!set_span(span, presence, budget)) {
            return false;
        }
        sector += span.count;
        count -= span.count;
    }
    return true;
}

DiskResult<void> SparseMemory::set(SectorRange range, Presence presence) {
    SpinlockGuard guard(lock_);
    if (!in_range(range.start, range.count)) {
        return fail(DiskError::illegal_block);
    }
    if (!set_all(range.start, range.count, presence, Budget::obeyed)) {
        return fail(DiskError::medium_write);
    }
    return {};
}

DiskResult<PresenceRun> SparseMemory::presence(SectorRange range) const {
    SpinlockGuard guard(lock_);
    if (!in_range(range.start, range.count)) {
        return fail(DiskError::illegal_block);
    }
    PresenceRun run{.sectors = 0, .presence = Presence::absent};
    for (usize step = 0; step < status_steps_max && run.sectors < range.count; ++step) {
        u64 sector = range.start + run.sectors;
        u64 left = range.count - run.sectors;
        Span span = span_at(sector, left);
        const Entry* entry = find(span);
        Presence presence = entry != nullptr ? entry->at(span.first) : presence_without_leaf(span);
        if (run.sectors > 0 && presence != run.presence) {
            break;
        }
        run.presence = presence;
        if (entry != nullptr) {
            u32 length = entry->run_length(span.first, span.count);
            run.sectors += length;
            if (length < span.count) {
                break;
            }
        } else {
            run.sectors += std::min(left, leaf_sectors_ - sector % leaf_sectors_);
        }
    }
    return run;
}

void SparseMemory::forget_from(u64 sector) {
    SpinlockGuard guard(lock_);
    u64 end = root_size_ * leaf_sectors_;
    // The first leaf may be cut in two, which can take memory: past the budget if need be, for this cannot be refused.
    // Where there is none at all, what was zero stays so; data is always forgotten.
    for (u64 boundary : {align_up(sector, chunk_sectors_), align_up(sector, leaf_sectors_), end}) {
        u64 part_end = std::min(end, boundary);
        if (sector < part_end) {
            (void)set_all(sector, part_end - sector, Presence::absent, Budget::ignored);
            sector = part_end;
        }
    }
}

DiskResult<void> SparseMemory::resize(u64 sectors) {
    TRY(reserve(sectors));
    {
        SpinlockGuard guard(lock_);
        sectors_ = sectors;
    }
    forget_from(sectors);
    return {};
}

u64 SparseMemory::used_bytes() const {
    SpinlockGuard guard(lock_);
    return used_bytes_;
}

}  // namespace undercroft
