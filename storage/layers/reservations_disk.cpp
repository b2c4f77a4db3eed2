// ReservationsDisk.
#include "storage/layers/reservations_disk.hpp"

#include <algorithm>

namespace undercroft {

std::shared_ptr<ReservationsDisk> ReservationsDisk::create(Disk below, std::shared_ptr<ReservationRegistry> registry,
                                                           ReservationHostId host) {
    return std::shared_ptr<ReservationsDisk>(new ReservationsDisk(std::move(below), std::move(registry), host));
}

std::shared_ptr<ReservationsDisk> ReservationsDisk::create(Disk below) {
    return create(std::move(below), std::make_shared<ReservationRegistry>(), {});
}

template <typename T, typename Operation>
Task<DiskResult<T>> ReservationsDisk::guarded(ReservationAccess access, CancelToken cancel, Operation operation) {
    InFlight flight = ReservationRegistry::flight_of(host_, cancel);
    if (!registry_->admit(host_, access, flight)) {
        co_return fail(DiskError::reservation_conflict);
    }
    DiskResult<T> result = co_await operation(flight.token());
    if (co_await registry_->finish(flight)) {
        co_return fail(DiskError::aborted_by_preempt);
    }
    co_return result;
}

Task<DiskResult<void>> ReservationsDisk::read(u64 sector, SegmentList into, CancelToken cancel) {
    if (registry_->is_quiet()) {
        return below_.read(sector, into, cancel);
    }
    return guarded<void>(ReservationAccess::read, cancel,
                         [=, this](CancelToken token) { return below_.read(sector, into, token); });
}

Task<DiskResult<void>> ReservationsDisk::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    if (registry_->is_quiet()) {
        return below_.write(sector, from, fua, cancel);
    }
    return guarded<void>(ReservationAccess::write, cancel,
                         [=, this](CancelToken token) { return below_.write(sector, from, fua, token); });
}

Task<DiskResult<void>> ReservationsDisk::flush(CancelToken cancel) {
    if (registry_->is_quiet()) {
        return below_.flush(cancel);
    }
    return guarded<void>(ReservationAccess::write, cancel, [this](CancelToken token) { return below_.flush(token); });
}

Task<DiskResult<void>> ReservationsDisk::unmap(SectorRange range, CancelToken cancel) {
    if (registry_->is_quiet()) {
        return below_.unmap(range, cancel);
    }
    return guarded<void>(ReservationAccess::write, cancel,
                         [=, this](CancelToken token) { return below_.unmap(range, token); });
}

Task<DiskResult<void>> ReservationsDisk::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                                      CancelToken cancel) {
    if (registry_->is_quiet()) {
        return below_.write_zeroes(range, allow_unmap, fua, cancel);
    }
    return guarded<void>(ReservationAccess::write, cancel,
                         [=, this](CancelToken token) { return below_.write_zeroes(range, allow_unmap, fua, token); });
}

Task<DiskResult<BlockStatus>> ReservationsDisk::block_status(SectorRange range, CancelToken cancel) {
    if (registry_->is_quiet()) {
        return below_.block_status(range, cancel);
    }
    return guarded<BlockStatus>(ReservationAccess::read, cancel,
                                [=, this](CancelToken token) { return below_.block_status(range, token); });
}

Task<DiskResult<void>> ReservationsDisk::eject() {
    if (registry_->is_quiet()) {
        return below_.eject();
    }
    return guarded<void>(ReservationAccess::write, {}, [this](CancelToken) { return below_.eject(); });
}

Task<DiskResult<Comparison>> ReservationsDisk::compare(u64 sector, SegmentList with, CancelToken cancel) {
    if (registry_->is_quiet()) {
        return below_.compare(sector, with, cancel);
    }
    return guarded<Comparison>(ReservationAccess::read, cancel,
                               [=, this](CancelToken token) { return below_.compare(sector, with, token); });
}

ReservationCapabilities ReservationsDisk::capabilities() const {
    return {.persist_through_power_loss = registry_->has_store()};
}

Task<DiskResult<void>> ReservationsDisk::register_key(RegisterRequest request, CancelToken cancel) {
    return registry_->register_key(host_, request, cancel);
}

Task<DiskResult<void>> ReservationsDisk::reserve(ReservationKey key, ReservationType type, CancelToken cancel) {
    return registry_->reserve(host_, key, type, cancel);
}

Task<DiskResult<void>> ReservationsDisk::release(ReservationKey key, ReservationType type, CancelToken cancel) {
    return registry_->release(host_, key, type, cancel);
}

Task<DiskResult<void>> ReservationsDisk::clear(ReservationKey key, CancelToken cancel) {
    return registry_->clear(host_, key, cancel);
}

Task<DiskResult<void>> ReservationsDisk::preempt(ReservationKey key, ReservationKey victim, ReservationType type,
                                                 AbortTasks abort, CancelToken cancel) {
    return registry_->preempt(host_, key, victim, type, abort, cancel);
}

Task<DiskResult<void>> ReservationsDisk::move(MoveRequest request, CancelToken cancel) {
    return registry_->move(host_, request, cancel);
}

Task<DiskResult<ReservationReport>> ReservationsDisk::report(std::span<Registrant> registrants, CancelToken) {
    ReservationState state = registry_->state();
    ReservationReport report{.generation = state.generation,
                             .type = state.type,
                             .persists_through_power_loss = state.persists_through_power_loss,
                             .registrants = state.registrant_count};
    for (const Registrant& registrant : state.list()) {
        if (registrant.is_holder && !is_held_by_all(state.type)) {
            report.holder_key = registrant.key;
        }
    }
    std::copy_n(state.registrants.begin(), std::min(registrants.size(), state.registrant_count), registrants.begin());
    return Task<DiskResult<ReservationReport>>::ready(report);
}

}  // namespace undercroft
