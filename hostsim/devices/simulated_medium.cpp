// SimulatedMedium.
#include "hostsim/devices/simulated_medium.hpp"

#include <algorithm>
#include <cstring>

#include "kernel/base/assert.hpp"
#include "storage/segments.hpp"

namespace undercroft {

SimulatedMedium::SimulatedMedium(u64 sectors, const MediumKind& kind, u64 seed)
    : kind_(kind), random_(seed), durable_(sectors * kind.sector_size), durable_data_(sectors), size_(sectors) {
    ASSERT(kind.unmap != UnmapBehavior::unspecified);
    ASSERT(!kind.knows_holes || kind.unmap == UnmapBehavior::zeroes);
}

DiskFacts SimulatedMedium::facts() const {
    DiskFacts facts;
    facts.sector_size = kind_.sector_size;
    facts.physical_sector_size = kind_.sector_size;
    facts.fua_respected = kind_.fua_respected;
    facts.unmap = kind_.unmap;
    facts.knows_holes = kind_.knows_holes;
    return facts;
}

bool SimulatedMedium::in_range(u64 sector, u64 count) const {
    u64 total = sector_count();
    return sector <= total && count <= total - sector;
}

/// What stands before every operation; its error ends the operation.
Task<DiskResult<void>> SimulatedMedium::bad_day(CancelToken cancel) {
    if (!powered_) {
        co_return fail(DiskError::gone);
    }
    ++under_way_;
    WaitLimits limits{.deadline_ns = no_deadline, .cancel = cancel};
    bool fails = random_.chance(faults_.failed);
    bool wedged = random_.chance(faults_.wedged);
    bool stuck = !wedged && random_.chance(faults_.stuck);
    injected_ += fails || wedged || stuck;
    if (wedged) {
        limits.cancel = {};
    } else if (!stuck) {
        u64 delay_ns = 1 + random_.below(100 * nanoseconds_per_microsecond);
        if (random_.chance(faults_.delayed)) {
            delay_ns += random_.below(faults_.delay_max_ns);
        }
        limits.deadline_ns = Executor::current().now_ns() + delay_ns;
    }
    Result<void> waited = co_await power_switch_.wait(limits);
    --under_way_;
    if (!powered_ || waited.has_value()) {
        co_return fail(DiskError::gone);
    }
    if (waited.error() == Error::cancelled) {
        co_return fail(DiskError::cancelled);
    }
    if (fails) {
        co_return fail(DiskError::io);
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> SimulatedMedium::read(u64 sector, SegmentList into, CancelToken cancel) {
    CO_TRY(co_await bad_day(cancel));
    u64 count = total_bytes(into) / kind_.sector_size;
    if (!in_range(sector, count)) {
        co_return fail(DiskError::illegal_block);
    }
    if (may_touch_memory && !may_touch_memory()) {
        co_return fail(DiskError::memory_access);
    }
    SegmentCursor cursor(into);
    for (u64 at = sector; at < sector + count; ++at) {
        auto cached = volatile_.find(at);
        if (cached == volatile_.end()) {
            cursor.copy_in({durable_.data() + at * kind_.sector_size, kind_.sector_size});
        } else if (const Contents& bytes = cached->second.back().bytes; !bytes.empty()) {
            cursor.copy_in(bytes);
        } else {
            cursor.fill_zero(kind_.sector_size);
        }
    }
    co_return DiskResult<void>{};
}

void SimulatedMedium::put_durable(u64 sector, std::span<const std::byte> bytes) {
    std::byte* place = durable_.data() + sector * kind_.sector_size;
    durable_data_[sector] = !bytes.empty();
    if (bytes.empty()) {
        std::memset(place, 0, kind_.sector_size);
    } else {
        std::memcpy(place, bytes.data(), bytes.size());
    }
}

void SimulatedMedium::put(u64 sector, std::span<const std::byte> bytes, bool durable) {
    if (durable) {
        put_durable(sector, bytes);
        volatile_.erase(sector);
    } else {
        volatile_[sector].push_back({.sequence = ++sequence_, .bytes = {bytes.begin(), bytes.end()}});
    }
}

/// `bytes`: the range's contents, or none for holes.
Task<DiskResult<void>> SimulatedMedium::store(SectorRange range, Contents bytes, bool durable, CancelToken cancel) {
    DiskResult<void> outcome = co_await bad_day(cancel);
    if (!in_range(range.start, range.count)) {
        co_return fail(DiskError::illegal_block);
    }
    // What failed has been done for some of its sectors, or for none.
    bool partly = !outcome && powered_ && random_.chance(500);
    usize step = bytes.empty() ? 0 : kind_.sector_size;
    for (u64 index = 0; index < range.count; ++index) {
        if (outcome || (partly && random_.chance(500))) {
            put(range.start + index, std::span(bytes).subspan(index * step, step), outcome && durable);
        }
    }
    co_return outcome;
}

Task<DiskResult<void>> SimulatedMedium::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    Contents bytes(total_bytes(from));
    SegmentCursor(from).copy_out(bytes);
    SectorRange range{.start = sector, .count = bytes.size() / kind_.sector_size};
    bool durable = fua == ForceUnitAccess::yes && kind_.fua_respected;
    co_return co_await store(range, std::move(bytes), durable, cancel);
}

Task<DiskResult<void>> SimulatedMedium::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                                     CancelToken cancel) {
    bool hole = allow_unmap && kind_.unmap == UnmapBehavior::zeroes;
    bool durable = fua == ForceUnitAccess::yes && kind_.fua_respected;
    return store(range, hole ? Contents{} : Contents(range.count * kind_.sector_size), durable, cancel);
}

Task<DiskResult<void>> SimulatedMedium::unmap(SectorRange range, CancelToken cancel) {
    if (kind_.unmap == UnmapBehavior::ignored) {
        return Task<DiskResult<void>>::ready(DiskResult<void>{});
    }
    return store(range, {}, false, cancel);
}

Task<DiskResult<void>> SimulatedMedium::flush(CancelToken cancel) {
    u64 covered = sequence_;
    CO_TRY(co_await bad_day(cancel));
    for (auto at = volatile_.begin(); at != volatile_.end();) {
        std::vector<Version>& versions = at->second;
        auto later = std::find_if(versions.begin(), versions.end(),
                                  [covered](const Version& version) { return version.sequence > covered; });
        if (later != versions.begin()) {
            put_durable(at->first, std::prev(later)->bytes);
            versions.erase(versions.begin(), later);
        }
        at = versions.empty() ? volatile_.erase(at) : std::next(at);
    }
    co_return DiskResult<void>{};
}

void SimulatedMedium::power_off() {
    powered_ = false;
    power_switch_.notify_all();
    for (auto& [sector, versions] : volatile_) {
        u64 choice = random_.below(versions.size() + 1);
        if (choice > 0) {
            put_durable(sector, versions[choice - 1].bytes);
        }
    }
    volatile_.clear();
}

void SimulatedMedium::resize(u64 sectors) {
    durable_.resize(sectors * kind_.sector_size);
    durable_data_.resize(sectors);
    volatile_.erase(volatile_.lower_bound(sectors), volatile_.end());
    size_.set(sectors);
}

bool SimulatedMedium::is_hole(u64 sector) const {
    auto cached = volatile_.find(sector);
    return cached != volatile_.end() ? cached->second.back().bytes.empty() : !durable_data_[sector];
}

Task<DiskResult<BlockStatus>> SimulatedMedium::block_status(SectorRange range, CancelToken cancel) {
    if (!kind_.knows_holes) {
        co_return BlockStatus{.sectors = range.count, .state = BlockState::unknown};
    }
    CO_TRY(co_await bad_day(cancel));
    if (!in_range(range.start, range.count)) {
        co_return fail(DiskError::illegal_block);
    }
    bool hole = is_hole(range.start);
    u64 sectors = 1;
    while (sectors < range.count && is_hole(range.start + sectors) == hole) {
        ++sectors;
    }
    co_return BlockStatus{.sectors = sectors, .state = hole ? BlockState::zero : BlockState::data};
}

Task<DiskResult<void>> SimulatedMedium::eject() {
    return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject));
}

Task<DiskResult<u64>> SimulatedMedium::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    return size_.wait(known_sectors, cancel);
}

}  // namespace undercroft
