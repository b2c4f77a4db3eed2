// Each operation of the layer as a function on its thread.
#include "hostsim/backends/sqlite_layer.hpp"

#include "storage/segments.hpp"

namespace undercroft {

LayerFacts SqliteLayer::facts() const {
    const SqliteStoreFacts& facts = store_->facts();
    bool has_id = facts.id != decltype(facts.id){};
    return {.sector_size = facts.sector_size,
            .physical_sector_size = std::max(facts.sector_size, u32{page_size}),
            .id = has_id ? std::optional(facts.id) : std::nullopt,
            .fua_respected = true,
            .read_only = store_->is_read_only(),
            .writes_only_absent = !store_->is_read_only()};
}

void SqliteLayer::follow(u64 sectors) {
    u64 before = cut_at_.load(std::memory_order_relaxed);
    while (sectors < before && !cut_at_.compare_exchange_weak(before, sectors, std::memory_order_release)) {
    }
}

// Where rows are hidden from on: those of a read-only store stay where they are.
u64 SqliteLayer::hidden_from() const {
    return store_->is_read_only() ? cut_at_.load(std::memory_order_acquire) : ~u64{0};
}

DiskResult<void> SqliteLayer::drop_what_was_cut() {
    if (store_->is_read_only() || cut_at_.load(std::memory_order_acquire) == ~u64{0}) {
        return {};
    }
    u64 at = cut_at_.exchange(~u64{0}, std::memory_order_acq_rel);
    u64 end = u64{1} << 62;
    DiskResult<void> dropped = store_->discard({.start = at, .count = end - at}, ForceUnitAccess::yes);
    if (!dropped) {
        follow(at);  // the next operation tries again
    }
    return dropped;
}

DiskResult<void> SqliteLayer::check(SectorRange range) const {
    u64 size = store_->facts().sectors.value_or(u64{1} << 62);
    bool fits = range.start <= size && range.count <= size - range.start;
    return fits ? DiskResult<void>{} : fail(DiskError::illegal_block);
}

// A function that has begun runs to its end: it is one transaction, and ends within SQLite's own limits.
template <typename Body>
auto SqliteLayer::on_thread(Body body, CancelToken cancel) -> Task<std::invoke_result_t<Body&>> {
    auto whole = [&]() -> std::invoke_result_t<Body&> {
        TRY(drop_what_was_cut());
        return body();
    };
    auto outcome = co_await pool_->run(whole, cancel);
    if (!outcome) {
        co_return fail(DiskError::cancelled);
    }
    co_return std::move(*outcome);
}

DiskResult<void> SqliteLayer::read_now(u64 sector, SegmentList into, PresenceMap& found) {
    u64 count = total_bytes(into) / store_->facts().sector_size;
    TRY(check({.start = sector, .count = count}));
    u64 hidden = hidden_from();
    SegmentCursor cursor(into);
    u64 at = sector;
    return store_->read({.start = sector, .count = count}, [&](SectorRange run, std::span<const std::byte> data) {
        if (run.start >= hidden) {
            return;
        }
        u64 visible = std::min(run.count, hidden - run.start);
        found.set(run.start - sector, visible, data.empty() ? Presence::zero : Presence::data);
        if (!data.empty()) {
            cursor.skip((run.start - at) * store_->facts().sector_size);
            cursor.copy_in(data);
            at = run.start + 1;
        }
    });
}

Task<DiskResult<void>> SqliteLayer::read(u64 sector, SegmentList into, PresenceMap& found, CancelToken cancel) {
    return on_thread([this, sector, into, &found] { return read_now(sector, into, found); }, cancel);
}

Task<DiskResult<void>> SqliteLayer::write(u64 sector, SegmentList from, Overwrite overwrite, ForceUnitAccess fua,
                                          CancelToken cancel) {
    auto mode =
        overwrite == Overwrite::everything ? SqliteStore::WriteMode::replace : SqliteStore::WriteMode::only_absent;
    auto body = [this, sector, from, mode, fua]() -> DiskResult<void> {
        TRY(check({.start = sector, .count = total_bytes(from) / store_->facts().sector_size}));
        return store_->write(sector, from, mode, fua);
    };
    return on_thread(body, cancel);
}

Task<DiskResult<void>> SqliteLayer::flush(CancelToken cancel) {
    return on_thread([this] { return store_->flush(); }, cancel);
}

Task<DiskResult<void>> SqliteLayer::unmap(SectorRange range, BelowReads below, CancelToken cancel) {
    return write_zeroes(range, below, true, ForceUnitAccess::no, cancel);
}

Task<DiskResult<void>> SqliteLayer::write_zeroes(SectorRange range, BelowReads below, bool, ForceUnitAccess fua,
                                                 CancelToken cancel) {
    auto body = [this, range, below, fua]() -> DiskResult<void> {
        TRY(check(range));
        return below == BelowReads::zeroes ? store_->discard(range, fua) : store_->write_zeroes(range, fua);
    };
    return on_thread(body, cancel);
}

PresenceRun SqliteLayer::presence_of(SqliteStore::Run run, SectorRange range) const {
    u64 hidden = hidden_from();
    if (range.start >= hidden) {
        return {.sectors = range.count, .presence = Presence::absent};
    }
    constexpr Presence presences[] = {Presence::absent, Presence::zero, Presence::data};
    return {.sectors = std::min(run.sectors, hidden - range.start), .presence = presences[static_cast<u8>(run.state)]};
}

Task<DiskResult<PresenceRun>> SqliteLayer::presence(SectorRange range, CancelToken cancel) {
    auto body = [this, range]() -> DiskResult<PresenceRun> {
        TRY(check(range));
        return presence_of(TRY(store_->status(range)), range);
    };
    return on_thread(body, cancel);
}

// A database keeps the size that it was made with.
Task<DiskResult<u64>> SqliteLayer::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    if (u64 size = store_->facts().sectors.value_or(0); size != known_sectors) {
        co_return size;
    }
    CO_TRY(co_await never_resized_.wait(0, cancel));
    co_return fail(DiskError::gone);
}

}  // namespace undercroft
