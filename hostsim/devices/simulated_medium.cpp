// SimulatedMedium.
#include "hostsim/devices/simulated_medium.hpp"

#include <algorithm>
#include <cstring>

#include "kernel/base/assert.hpp"
#include "storage/segments.hpp"

namespace undercroft {

SimulatedMedium::SimulatedMedium(u64 sectors, u32 sector_size, u64 seed)
    : sector_size_(sector_size), random_(seed), durable_(sectors * sector_size), size_(sectors) {}

DiskFacts SimulatedMedium::facts() const {
    DiskFacts facts;
    facts.sector_size = sector_size_;
    facts.physical_sector_size = sector_size_;
    facts.fua_respected = true;
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
    if (random_.chance(faults_.wedged)) {
        limits.cancel = {};
    } else if (!random_.chance(faults_.stuck)) {
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
    u64 count = total_bytes(into) / sector_size_;
    if (!in_range(sector, count)) {
        co_return fail(DiskError::illegal_block);
    }
    if (may_touch_memory && !may_touch_memory()) {
        co_return fail(DiskError::memory_access);
    }
    SegmentCursor cursor(into);
    for (u64 at = sector; at < sector + count; ++at) {
        auto cached = volatile_.find(at);
        const std::byte* bytes =
            cached != volatile_.end() ? cached->second.back().bytes.data() : durable_.data() + at * sector_size_;
        cursor.copy_in({bytes, sector_size_});
    }
    co_return DiskResult<void>{};
}

void SimulatedMedium::put(u64 sector, std::span<const std::byte> bytes, bool durable) {
    if (durable) {
        std::memcpy(durable_.data() + sector * sector_size_, bytes.data(), bytes.size());
        volatile_.erase(sector);
    } else {
        volatile_[sector].push_back({.sequence = ++sequence_, .bytes = {bytes.begin(), bytes.end()}});
    }
}

Task<DiskResult<void>> SimulatedMedium::store(u64 sector, std::vector<std::byte> bytes, bool durable,
                                              CancelToken cancel) {
    DiskResult<void> outcome = co_await bad_day(cancel);
    u64 count = bytes.size() / sector_size_;
    if (!in_range(sector, count)) {
        co_return fail(DiskError::illegal_block);
    }
    // What failed has been done for some of its sectors, or for none.
    bool partly = !outcome && powered_ && random_.chance(500);
    for (u64 index = 0; index < count; ++index) {
        if (outcome || (partly && random_.chance(500))) {
            put(sector + index, std::span(bytes).subspan(index * sector_size_, sector_size_), outcome && durable);
        }
    }
    co_return outcome;
}

Task<DiskResult<void>> SimulatedMedium::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    std::vector<std::byte> bytes(total_bytes(from));
    SegmentCursor(from).copy_out(bytes);
    co_return co_await store(sector, std::move(bytes), fua == ForceUnitAccess::yes, cancel);
}

Task<DiskResult<void>> SimulatedMedium::write_zeroes(SectorRange range, bool, ForceUnitAccess fua, CancelToken cancel) {
    co_return co_await store(range.start, std::vector<std::byte>(range.count * sector_size_),
                             fua == ForceUnitAccess::yes, cancel);
}

Task<DiskResult<void>> SimulatedMedium::flush(CancelToken cancel) {
    u64 covered = sequence_;
    CO_TRY(co_await bad_day(cancel));
    for (auto at = volatile_.begin(); at != volatile_.end();) {
        std::vector<Version>& versions = at->second;
        auto later = std::find_if(versions.begin(), versions.end(),
                                  [covered](const Version& version) { return version.sequence > covered; });
        if (later != versions.begin()) {
            std::memcpy(durable_.data() + at->first * sector_size_, std::prev(later)->bytes.data(), sector_size_);
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
            std::memcpy(durable_.data() + sector * sector_size_, versions[choice - 1].bytes.data(), sector_size_);
        }
    }
    volatile_.clear();
}

Task<DiskResult<void>> SimulatedMedium::unmap(SectorRange, CancelToken) {
    return Task<DiskResult<void>>::ready(DiskResult<void>{});
}

Task<DiskResult<BlockStatus>> SimulatedMedium::block_status(SectorRange range, CancelToken) {
    return Task<DiskResult<BlockStatus>>::ready(BlockStatus{.sectors = range.count, .state = BlockState::unknown});
}

Task<DiskResult<void>> SimulatedMedium::eject() {
    return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject));
}

Task<DiskResult<u64>> SimulatedMedium::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    return size_.wait(known_sectors, cancel);
}

}  // namespace undercroft
