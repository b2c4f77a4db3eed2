// The RAM disk's table: root -> leaf -> chunk, and in each chunk one presence bit a sector. A sector that is not
// present is zero in memory too, so that reading needs no look at the bits; they are for `block_status`.
#include "storage/backends/ram_disk.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "storage/segments.hpp"

namespace undercroft {

namespace {
constexpr usize leaf_entries = 512;  // a leaf covers 32 MiB
constexpr u32 sector_size_max = 64 * kib;
/// Chunks that one `block_status` looks at: a bound on how long it holds the lock.
constexpr usize status_chunks_max = 1024;
}  // namespace

struct RamDisk::Chunk {
    static constexpr usize words = chunk_bytes / 512 / 64;
    u64 present[words];
    alignas(64) std::byte data[chunk_bytes];

    bool is_present(u32 sector) const { return (present[sector / 64] >> (sector % 64) & 1) != 0; }
    void set_present(u32 first, u32 count, bool value) {
        for (u32 sector = first; sector < first + count;) {
            u32 bit = sector % 64;
            u32 bits = std::min(64 - bit, first + count - sector);
            u64 mask = (bits == 64 ? ~u64{0} : (u64{1} << bits) - 1) << bit;
            u64& word = present[sector / 64];
            word = value ? word | mask : word & ~mask;
            sector += bits;
        }
    }
    bool is_empty() const {
        return std::all_of(present, present + words, [](u64 word) { return word == 0; });
    }
    /// How many sectors from `first`, at most `max`, are as `first` is.
    u32 run_length(u32 first, u32 max) const {
        bool value = is_present(first);
        u32 length = 1;
        while (length < max && is_present(first + length) == value) {
            ++length;
        }
        return length;
    }
};

struct RamDisk::Leaf {
    std::unique_ptr<Chunk> chunks[leaf_entries] = {};
};

// The part of a request that lies in one chunk.
struct RamDisk::Span {
    u64 chunk_index;
    u32 first;  // sector within the chunk
    u32 count;
};

RamDisk::RamDisk(const RamDiskOptions& options)
    : options_(options), chunk_sectors_(chunk_bytes / options.sector_size), size_(options.sectors) {}

RamDisk::~RamDisk() = default;

DiskResult<std::shared_ptr<RamDisk>> RamDisk::create(const RamDiskOptions& options) {
    RamDiskOptions checked = options;
    if (checked.physical_sector_size == 0) {
        checked.physical_sector_size = checked.sector_size;
    }
    bool sound = std::has_single_bit(checked.sector_size) && checked.sector_size >= 512 &&
                 checked.sector_size <= sector_size_max && checked.sectors <= size_bytes_max / checked.sector_size;
    if (!sound) {
        return fail(DiskError::invalid_input);
    }
    std::shared_ptr<RamDisk> disk(new RamDisk(checked));
    TRY(disk->ensure_root(checked.sectors));
    return disk;
}

DiskFacts RamDisk::facts() const {
    return DiskFacts{
        .sector_size = options_.sector_size,
        .physical_sector_size = options_.physical_sector_size,
        .id = options_.id,
        .fua_respected = true,
        .read_only = options_.read_only,
        .unmap = UnmapBehavior::zeroes,
        .optimal_unmap_sectors = 1,
        .knows_holes = true,
    };
}

bool RamDisk::in_range(u64 sector, u64 count) const {
    u64 size = size_.get();
    return sector <= size && count <= size - sector;
}

RamDisk::Span RamDisk::span_at(u64 sector, u64 sectors_max) const {
    u32 first = static_cast<u32>(sector % chunk_sectors_);
    u32 count = static_cast<u32>(std::min<u64>(sectors_max, chunk_sectors_ - first));
    return {.chunk_index = sector / chunk_sectors_, .first = first, .count = count};
}

RamDisk::Chunk* RamDisk::find(u64 chunk_index) const {
    u64 leaf_index = chunk_index / leaf_entries;
    if (leaf_index >= root_size_ || root_[leaf_index] == nullptr) {
        return nullptr;
    }
    return root_[leaf_index]->chunks[chunk_index % leaf_entries].get();
}

RamDisk::Chunk* RamDisk::find_or_add(u64 chunk_index) {
    u64 leaf_index = chunk_index / leaf_entries;
    if (leaf_index >= root_size_) {
        return nullptr;
    }
    std::unique_ptr<Leaf>& leaf = root_[leaf_index];
    if (leaf == nullptr) {
        if (options_.memory_budget_bytes - used_bytes_ < sizeof(Leaf)) {
            return nullptr;
        }
        leaf.reset(new (std::nothrow) Leaf{});
        if (leaf == nullptr) {
            return nullptr;
        }
        used_bytes_ += sizeof(Leaf);
    }
    std::unique_ptr<Chunk>& chunk = leaf->chunks[chunk_index % leaf_entries];
    if (chunk == nullptr) {
        if (options_.memory_budget_bytes - used_bytes_ < sizeof(Chunk)) {
            return nullptr;
        }
        chunk.reset(new (std::nothrow) Chunk{});
        if (chunk == nullptr) {
            return nullptr;
        }
        used_bytes_ += sizeof(Chunk);
    }
    return chunk.get();
}

DiskResult<void> RamDisk::ensure_root(u64 sectors) {
    u64 chunks = sectors / chunk_sectors_ + 1;
    u64 wanted = chunks / leaf_entries + 1;
    if (wanted <= root_size_) {
        return {};
    }
    std::unique_ptr<std::unique_ptr<Leaf>[]> root(new (std::nothrow) std::unique_ptr<Leaf>[wanted]);
    if (root == nullptr) {
        return fail(DiskError::io);
    }
    std::move(root_.get(), root_.get() + root_size_, root.get());
    root_ = std::move(root);
    root_size_ = wanted;
    return {};
}

DiskResult<void> RamDisk::read_now(u64 sector, SegmentList into) {
    u64 count = total_bytes(into) / options_.sector_size;
    if (!in_range(sector, count)) {
        return fail(DiskError::illegal_block);
    }
    SegmentCursor cursor(into);
    while (count > 0) {
        Span span = span_at(sector, count);
        SpinlockGuard guard(lock_);
        if (const Chunk* chunk = find(span.chunk_index)) {
            cursor.copy_in(
                {chunk->data + u64{span.first} * options_.sector_size, u64{span.count} * options_.sector_size});
        } else {
            cursor.fill_zero(u64{span.count} * options_.sector_size);
        }
        sector += span.count;
        count -= span.count;
    }
    return {};
}

DiskResult<void> RamDisk::write_now(u64 sector, SegmentList from) {
    if (options_.read_only) {
        return fail(DiskError::read_only);
    }
    u64 count = total_bytes(from) / options_.sector_size;
    SegmentCursor cursor(from);
    while (count > 0) {
        Span span = span_at(sector, count);
        SpinlockGuard guard(lock_);
        if (!in_range(sector,
                      count)) {  // under the lock: nothing may appear behind the end of a disk that shrank meanwhile
            return fail(DiskError::illegal_block);
        }
        Chunk* chunk = find_or_add(span.chunk_index);
        if (chunk == nullptr) {
            return fail(DiskError::medium_write);
        }
        cursor.copy_out({chunk->data + u64{span.first} * options_.sector_size, u64{span.count} * options_.sector_size});
        chunk->set_present(span.first, span.count, true);
        sector += span.count;
        count -= span.count;
    }
    return {};
}

void RamDisk::drop(u64 sector, u64 count) {
    while (count > 0) {
        Span span = span_at(sector, count);
        sector += span.count;
        count -= span.count;
        u64 leaf_index = span.chunk_index / leaf_entries;
        if (leaf_index >= root_size_) {
            return;
        }
        if (root_[leaf_index] == nullptr) {
            u64 leaf_end = (leaf_index + 1) * leaf_entries * chunk_sectors_;
            u64 skip = std::min(count, leaf_end - sector);
            sector += skip;
            count -= skip;
            continue;
        }
        std::unique_ptr<Chunk>& chunk = root_[leaf_index]->chunks[span.chunk_index % leaf_entries];
        if (chunk == nullptr) {
            continue;
        }
        chunk->set_present(span.first, span.count, false);
        if (chunk->is_empty()) {
            chunk.reset();
            used_bytes_ -= sizeof(Chunk);
        } else {
            std::memset(chunk->data + u64{span.first} * options_.sector_size, 0,
                        u64{span.count} * options_.sector_size);
        }
    }
}

DiskResult<void> RamDisk::zero_now(SectorRange range) {
    if (options_.read_only) {
        return fail(DiskError::read_only);
    }
    SpinlockGuard guard(lock_);
    if (!in_range(range.start, range.count)) {
        return fail(DiskError::illegal_block);
    }
    drop(range.start, range.count);
    return {};
}

BlockStatus RamDisk::status_now(SectorRange range) const {
    SpinlockGuard guard(lock_);
    BlockStatus status{.sectors = 0, .state = BlockState::zero};
    for (usize looked_at = 0; looked_at < status_chunks_max && status.sectors < range.count; ++looked_at) {
        Span span = span_at(range.start + status.sectors, range.count - status.sectors);
        const Chunk* chunk = find(span.chunk_index);
        bool present = chunk != nullptr && chunk->is_present(span.first);
        BlockState state = present ? BlockState::data : BlockState::zero;
        if (status.sectors > 0 && state != status.state) {
            break;
        }
        u32 length = chunk == nullptr ? span.count : chunk->run_length(span.first, span.count);
        status = {.sectors = status.sectors + length, .state = state};
        if (length < span.count) {
            break;
        }
    }
    return status;
}

Task<DiskResult<void>> RamDisk::read(u64 sector, SegmentList into, CancelToken) {
    return Task<DiskResult<void>>::ready(read_now(sector, into));
}

Task<DiskResult<void>> RamDisk::write(u64 sector, SegmentList from, ForceUnitAccess, CancelToken) {
    return Task<DiskResult<void>>::ready(write_now(sector, from));
}

Task<DiskResult<void>> RamDisk::flush(CancelToken) { return Task<DiskResult<void>>::ready({}); }

Task<DiskResult<void>> RamDisk::unmap(SectorRange range, CancelToken) {
    return Task<DiskResult<void>>::ready(zero_now(range));
}

Task<DiskResult<void>> RamDisk::write_zeroes(SectorRange range, bool, ForceUnitAccess, CancelToken) {
    return Task<DiskResult<void>>::ready(zero_now(range));
}

Task<DiskResult<BlockStatus>> RamDisk::block_status(SectorRange range, CancelToken) {
    if (!in_range(range.start, range.count)) {
        return Task<DiskResult<BlockStatus>>::ready(fail(DiskError::illegal_block));
    }
    return Task<DiskResult<BlockStatus>>::ready(status_now(range));
}

Task<DiskResult<void>> RamDisk::eject() { return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject)); }

Task<DiskResult<u64>> RamDisk::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    return size_.wait(known_sectors, cancel);
}

DiskResult<void> RamDisk::resize(u64 sectors) {
    if (sectors > size_bytes_max / options_.sector_size) {
        return fail(DiskError::invalid_input);
    }
    SpinlockGuard guard(lock_);
    TRY(ensure_root(sectors));
    u64 before = size_.get();
    if (sectors < before) {
        drop(sectors, before - sectors);
    }
    size_.set(sectors);
    return {};
}

u64 RamDisk::memory_used_bytes() const {
    SpinlockGuard guard(lock_);
    return used_bytes_;
}

}  // namespace undercroft
