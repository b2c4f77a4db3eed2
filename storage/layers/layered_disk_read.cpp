// Reading a layered disk: down the layers, each asked for what those above it have not, with caches filled on the way up.
#include <algorithm>

#include "storage/fan_out.hpp"
#include "storage/layers/layered_disk.hpp"
#include "storage/segments.hpp"

namespace undercroft {

namespace {
/// Pieces of one read that are under way together: a bound on the frames that one request can take.
constexpr usize pieces_in_flight_max = 16;
}  // namespace

// Sectors that are asked of one layer and those below it: at most `PresenceMap::sectors_max`.
struct LayeredDisk::Run {
    u64 sector;
    u64 count;
    /// The sectors' memory, and perhaps more before and after: see each function.
    SegmentList memory;
    Memory owner;
};

Task<DiskResult<void>> LayeredDisk::read(u64 sector, SegmentList into, CancelToken cancel) {
    u64 count = total_bytes(into) >> sector_shift_;
    if (count > PresenceMap::sectors_max) {
        return read_pieces(sector, into, cancel);
    }
    return read_from(0, {.sector = sector, .count = count, .memory = into, .owner = Memory::callers}, cancel);
}

Task<DiskResult<void>> LayeredDisk::read_pieces(u64 sector, SegmentList into, CancelToken cancel) {
    u64 count = total_bytes(into) >> sector_shift_;
    DiskResult<void> result;
    for (u64 done = 0; done < count && result;) {
        FanOut pieces;
        while (done < count && pieces.running() < pieces_in_flight_max && !pieces.has_failed()) {
            u64 piece = std::min<u64>(count - done, PresenceMap::sectors_max);
            Run run{.sector = sector + done, .count = piece, .memory = into, .owner = Memory::callers};
            pieces.add(read_part(0, run, done << sector_shift_, cancel));
            done += piece;
        }
        result = co_await pieces.finish();
    }
    co_return result;
}

// From then on `run.memory`, which has the sectors' memory `skip_bytes` from its start, is just that: `slice`.
bool LayeredDisk::narrow(Run& run, u64 skip_bytes, SegmentSlice& slice) const {
    SegmentCursor cursor(run.memory);
    cursor.skip(skip_bytes);
    if (!slice.assign(cursor, run.count << sector_shift_)) {
        return false;
    }
    run.memory = slice.list();
    return true;
}

// `run.memory` has the sectors' memory `skip_bytes` from its start.
Task<DiskResult<void>> LayeredDisk::read_part(usize index, Run run, u64 skip_bytes, CancelToken cancel) {
    SegmentSlice slice;
    if (!narrow(run, skip_bytes, slice)) {
        co_return fail(DiskError::io);
    }
    co_return co_await read_from(index, run, cancel);
}

// `run.memory` is just the sectors'.
Task<DiskResult<void>> LayeredDisk::read_from(usize index, Run run, CancelToken cancel) {
    u64 visible = visible_sectors(index);
    if (run.sector >= visible || run.count > visible - run.sector) [[unlikely]] {
        u64 here = run.sector >= visible ? 0 : visible - run.sector;
        SegmentCursor cursor(run.memory);
        cursor.skip(here << sector_shift_);
        cursor.fill_zero((run.count - here) << sector_shift_);
        run.count = here;
        if (here > 0) {
            co_return co_await read_part(index, run, 0, cancel);
        }
        co_return DiskResult<void>{};
    }
    PresenceMap found;
    CO_TRY(co_await layer(index).read(run.sector, run.memory, found, cancel));
    if (found.run_length(0, run.count) < run.count) {
        co_return co_await read_runs(index, run, found, cancel);
    }
    if (found.at(0) == Presence::zero) {
        SegmentCursor(run.memory).fill_zero(run.count << sector_shift_);
    } else if (found.at(0) == Presence::absent) {
        bool reads_below = index + 1 < layers_.size() && !layers_[index].read_cache;
        co_return co_await (reads_below ? read_from(index + 1, run, cancel) : read_and_fill(index, run, cancel));
    }
    co_return DiskResult<void>{};
}

// What the layer has is there; its zeros are filled in, and each run that it has not is asked of those below.
Task<DiskResult<void>> LayeredDisk::read_runs(usize index, Run run, const PresenceMap& found, CancelToken cancel) {
    FanOut absent;
    SegmentCursor cursor(run.memory);
    for (usize done = 0; done < run.count;) {
        usize length = found.run_length(done, run.count);
        u64 bytes = u64{length} << sector_shift_;
        if (found.at(done) == Presence::absent) {
            Run below{.sector = run.sector + done, .count = length, .memory = run.memory, .owner = run.owner};
            absent.add(read_absent(index, below, u64{done} << sector_shift_, cancel));
        }
        if (found.at(done) == Presence::zero) {
            cursor.fill_zero(bytes);
        } else {
            cursor.skip(bytes);
        }
        done += length;
    }
    co_return co_await absent.finish();
}

// As `read_part`, for sectors that the layer at `index` has not.
Task<DiskResult<void>> LayeredDisk::read_absent(usize index, Run run, u64 skip_bytes, CancelToken cancel) {
    SegmentSlice slice;
    if (!narrow(run, skip_bytes, slice)) {
        co_return fail(DiskError::io);
    }
    co_return co_await read_and_fill(index, run, cancel);
}

// The layer at `index` has none of it: reads from below and, where it is a cache, gives it what was read.
Task<DiskResult<void>> LayeredDisk::read_and_fill(usize index, Run run, CancelToken cancel) {
    if (index + 1 == layers_.size()) {
        SegmentCursor(run.memory).fill_zero(run.count << sector_shift_);
        co_return DiskResult<void>{};
    }
    if (!layers_[index].read_cache) {
        co_return co_await read_from(index + 1, run, cancel);
    }
    if (run.owner == Memory::callers) {
        co_return co_await read_by_bounce(index, run, cancel);
    }
    CO_TRY(co_await read_from(index + 1, run, cancel));
    // Only what the layer below has: should it grow, what it has then must not be hidden by zeros.
    u64 visible = visible_sectors(index + 1);
    u64 fillable = run.sector < visible ? std::min(run.count, visible - run.sector) : 0;
    SegmentSlice filling;
    SegmentCursor cursor(run.memory);
    if (fillable > 0 && filling.assign(cursor, fillable << sector_shift_)) {
        // A cache that cannot take it changes nothing about what was read.
        (void)co_await layer(index).write(run.sector, filling.list(), Overwrite::only_absent, ForceUnitAccess::no,
                                          cancel);
    }
    co_return DiskResult<void>{};
}

// What goes into a cache comes from memory of ours: the caller's is a guest's, which may change it.
Task<DiskResult<void>> LayeredDisk::read_by_bounce(usize index, Run run, CancelToken cancel) {
    SegmentCursor into(run.memory);
    while (run.count > 0) {
        BouncePiece piece;
        u64 bytes = CO_TRY(co_await borrow(piece, run.count << sector_shift_, cancel));
        Run own{
            .sector = run.sector, .count = bytes >> sector_shift_, .memory = piece.memory.list(), .owner = Memory::own};
        CO_TRY(co_await read_and_fill(index, own, cancel));
        for (const MemorySegment& segment : piece.memory.list()) {
            into.copy_in({segment.data, segment.size});
        }
        run.sector += own.count;
        run.count -= own.count;
    }
    co_return DiskResult<void>{};
}

}  // namespace undercroft
