// LayeredDisk: putting it together, sizes, and everything but reading (layered_disk_read.cpp).
#include "storage/layers/layered_disk.hpp"

#include <algorithm>
#include <bit>

#include "storage/fan_out.hpp"
#include "storage/segments.hpp"

namespace undercroft {

namespace {

std::string layer_name(usize index) { return "layer " + in_digits(index + 1); }

/// Why the layer at `index` cannot be where it is; empty where it can.
std::string misplaced(std::span<const LayerPlacement> layers, usize index) {
    const LayerPlacement& placement = layers[index];
    if (placement.layer == nullptr) {
        return layer_name(index) + " is missing";
    }
    LayerFacts facts = placement.layer->facts();
    bool is_last = index + 1 == layers.size();
    if (u32 first = layers[0].layer->facts().sector_size; facts.sector_size != first) {
        return layer_name(index) + " has sectors of " + in_digits(facts.sector_size) + " bytes, and the first of " +
               in_digits(first);
    }
    if (facts.has_every_sector && !is_last) {
        return layer_name(index) + " is a whole disk: nothing below it would ever be read";
    }
    if (placement.write_through && is_last) {
        return layer_name(index) + " is the last, and cannot be written through";
    }
    if (placement.write_through && index > 0 && !layers[index - 1].write_through) {
        return layer_name(index) + " is written through, and " + layer_name(index - 1) + " above it is not";
    }
    if (placement.read_cache && is_last) {
        return layer_name(index) + " is the last: there is nothing below it to cache";
    }
    if (placement.read_cache && facts.read_only) {
        return layer_name(index) + " is read-only, and cannot be a read cache";
    }
    if (placement.read_cache && !facts.writes_only_absent) {
        return layer_name(index) + " cannot be a read cache: it cannot write without overwriting";
    }
    return {};
}

/// The last layer that a write goes to.
usize last_written(std::span<const LayerPlacement> layers) {
    usize index = 0;
    while (layers[index].write_through) {
        ++index;
    }
    return index;
}

}  // namespace

Composition<std::shared_ptr<LayeredDisk>> LayeredDisk::create(std::vector<LayerPlacement> layers,
                                                              const LayeredDiskOptions& options) {
    if (layers.empty() || layers.size() > layers_max) {
        return refused("a layered disk has 1 to " + in_digits(layers_max) + " layers, not " + in_digits(layers.size()));
    }
    bool copies = false;
    bool has_size = false;
    for (usize index = 0; index < layers.size(); ++index) {
        if (std::string reason = misplaced(layers, index); !reason.empty()) {
            return refused(std::move(reason));
        }
        copies = copies || layers[index].read_cache || (layers[index].write_through && !options.read_only);
        has_size = has_size || layers[index].layer->sector_count().has_value();
    }
    if (!has_size) {
        return refused("no layer has a size of its own: give the last one a size");
    }
    for (usize index = 0; !options.read_only && index <= last_written(layers); ++index) {
        if (layers[index].layer->facts().read_only) {
            return refused(layer_name(index) + " is read-only, and would be written");
        }
    }
    if (copies && options.bounce == nullptr) {
        return refused("read caches and layers that are written through need bounce memory");
    }
    return std::shared_ptr<LayeredDisk>(new LayeredDisk(std::move(layers), options));
}

LayeredDisk::LayeredDisk(std::vector<LayerPlacement> layers, const LayeredDiskOptions& options)
    : layers_(std::move(layers)), bounce_(options.bounce), sector_size_(layer(0).facts().sector_size),
      sector_shift_(static_cast<u32>(std::countr_zero(sector_size_))), known_sectors_(0) {
    last_written_ = options.read_only ? 0 : last_written(layers_);
    while (!layer(sized_).sector_count()) {
        ++sized_;
    }
    known_sectors_ = stack_sectors();
    facts_ = combined_facts(options.read_only);
}

DiskFacts LayeredDisk::combined_facts(bool read_only) const {
    DiskFacts facts{.sector_size = sector_size_, .physical_sector_size = sector_size_, .id = std::nullopt};
    facts.fua_respected = true;
    facts.read_only = read_only;
    facts.unmap = last_written_ > 0 ? UnmapBehavior::zeroes : layer(0).facts().unmap;
    facts.optimal_unmap_sectors = layer(last_written_).facts().optimal_unmap_sectors;
    facts.knows_holes = facts.unmap == UnmapBehavior::zeroes;
    for (usize index = 0; index < layers_.size(); ++index) {
        LayerFacts one = layer(index).facts();
        facts.physical_sector_size = std::max(facts.physical_sector_size, one.physical_sector_size);
        facts.id = facts.id ? facts.id : one.id;
        facts.fua_respected = facts.fua_respected && (index > last_written_ || one.fua_respected);
        // What was cached counts as data, also where it was a hole.
        facts.knows_holes = facts.knows_holes && one.knows_holes && !layers_[index].read_cache;
    }
    return facts;
}

BelowReads LayeredDisk::below_written() const {
    return written_layers() == layers_.size() ? BelowReads::zeroes : BelowReads::anything;
}

u64 LayeredDisk::visible_sectors(usize index) const {
    u64 visible = ~u64{0};
    for (usize upto = sized_; upto <= index; ++upto) {  // those above `sized_` limit nothing
        visible = std::min(visible, layer(upto).sector_count().value_or(~u64{0}));
        visible = std::min(visible, upto < index ? layer(upto).smallest_sector_count() : ~u64{0});
    }
    return visible;
}

// The handle asks for the size before every operation.
u64 LayeredDisk::sector_count() const {
    u64 size = stack_sectors();
    if (sized_ == 0 || size == known_sectors_.load(std::memory_order_acquire)) [[likely]] {
        return size;
    }
    return notice_size();
}

// Tells the layers without a size of a smaller one. Whoever comes while the number is being changed sees it differ from
// the size, and waits for the lock: nothing is written past the new end before what was there is forgotten.
u64 LayeredDisk::notice_size() const {
    SpinlockGuard guard(size_lock_);
    u64 known = 0;
    u64 size = 0;
    do {
        size = stack_sectors();
        known = std::max(known, known_sectors_.exchange(size, std::memory_order_acq_rel));
    } while (stack_sectors() != size);
    for (usize index = 0; size < known && index < sized_; ++index) {
        layer(index).follow(size);
    }
    return size;
}

Task<DiskResult<void>> LayeredDisk::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    if (last_written_ == 0) [[likely]] {
        return layer(0).write(sector, from, Overwrite::everything, fua, cancel);
    }
    return write_through(sector, from, fua, cancel);
}

Task<DiskResult<u64>> LayeredDisk::borrow(BouncePiece& piece, u64 bytes, CancelToken cancel) {
    u64 wanted = std::min<u64>(bytes, BouncePool::piece_pages * page_size);
    BouncePool& pool = bounce_->pool();
    if (!pool.try_acquire(piece.lease, wanted) && !co_await pool.acquire(piece.lease, wanted, cancel)) {
        co_return fail(DiskError::cancelled);
    }
    u64 whole = align_down(piece.lease.size_bytes(), sector_size_);
    SegmentCursor memory(piece.lease.segments());
    if (whole == 0 || !piece.memory.assign(memory, whole)) {
        co_return fail(DiskError::io);
    }
    co_return whole;
}

Task<DiskResult<void>> LayeredDisk::write_through(u64 sector, SegmentList from, ForceUnitAccess fua,
                                                  CancelToken cancel) {
    SegmentCursor source(from);
    u64 remaining = total_bytes(from);
    while (remaining > 0) {
        BouncePiece piece;
        u64 bytes = CO_TRY(co_await borrow(piece, remaining, cancel));
        for (const MemorySegment& segment : piece.memory.list()) {
            source.copy_out({segment.data, segment.size});
        }
        FanOut writes;
        for (usize index = 0; index < written_layers(); ++index) {
            writes.add(layer(index).write(sector, piece.memory.list(), Overwrite::everything, fua, cancel));
        }
        CO_TRY(co_await writes.finish());
        sector += bytes >> sector_shift_;
        remaining -= bytes;
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> LayeredDisk::flush(CancelToken cancel) {
    return last_written_ == 0 ? layer(0).flush(cancel) : flush_through(cancel);
}

Task<DiskResult<void>> LayeredDisk::flush_through(CancelToken cancel) {
    FanOut flushes;
    for (usize index = 0; index < written_layers(); ++index) {
        flushes.add(layer(index).flush(cancel));
    }
    co_return co_await flushes.finish();
}

Task<DiskResult<void>> LayeredDisk::unmap(SectorRange range, CancelToken cancel) {
    if (last_written_ == 0) {
        return layer(0).unmap(range, below_written(), cancel);
    }
    return zero_through(range, true, ForceUnitAccess::no, cancel);
}

Task<DiskResult<void>> LayeredDisk::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                                 CancelToken cancel) {
    if (last_written_ == 0) {
        return layer(0).write_zeroes(range, below_written(), allow_unmap, fua, cancel);
    }
    return zero_through(range, allow_unmap, fua, cancel);
}

// The layers above note zeros rather than forget: a read that has seen the old bytes below may still be filling a cache.
Task<DiskResult<void>> LayeredDisk::zero_through(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                                 CancelToken cancel) {
    CO_TRY(co_await layer(last_written_).write_zeroes(range, below_written(), allow_unmap, fua, cancel));
    FanOut zeroes;
    for (usize index = 0; index < last_written_; ++index) {
        zeroes.add(layer(index).write_zeroes(range, BelowReads::anything, allow_unmap, fua, cancel));
    }
    co_return co_await zeroes.finish();
}

Task<DiskResult<BlockStatus>> LayeredDisk::block_status(SectorRange range, CancelToken cancel) {
    for (usize index = 0; index < layers_.size(); ++index) {
        u64 visible = visible_sectors(index);
        if (range.start >= visible) {
            break;
        }
        range.count = std::min(range.count, visible - range.start);
        PresenceRun run = CO_TRY(co_await layer(index).presence(range, cancel));
        range.count = std::min(range.count, run.sectors);
        if (run.presence == Presence::data || run.presence == Presence::unknown) {
            BlockState state = run.presence == Presence::data ? BlockState::data : BlockState::unknown;
            co_return BlockStatus{.sectors = range.count, .state = state};
        }
        if (run.presence == Presence::zero) {
            break;
        }
    }
    co_return BlockStatus{.sectors = range.count, .state = BlockState::zero};
}

Task<DiskResult<u64>> LayeredDisk::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    DiskResult<u64> size = co_await layer(sized_).wait_for_resize(known_sectors, cancel);
    (void)sector_count();
    co_return size;
}

PersistentReservations* LayeredDisk::reservations() {
    bool reaches_last = facts_.read_only || written_layers() == layers_.size();
    return reaches_last ? layers_.back().layer->reservations() : nullptr;
}

}  // namespace undercroft
