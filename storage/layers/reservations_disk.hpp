// One host's way to a disk with persistent reservations: what the reservation of another host forbids is refused with
// `reservation_conflict`, before anything is touched. What reads is read, compare and block status; everything else that
// is asked of the medium writes, flush and eject too (SPC-4 table 46, NVMe Base 2.0 figure 628). While nobody is registered,
// operations are the disk's below.
#pragma once

#include "storage/composition.hpp"
#include "storage/forwarding_disk.hpp"
#include "storage/reservation_registry.hpp"

namespace undercroft {

class ReservationsDisk final : public ForwardingDisk, private PersistentReservations {
public:
    /// `below` as `host` reaches it; hosts that share the medium share `registry`.
    static std::shared_ptr<ReservationsDisk> create(Disk below, std::shared_ptr<ReservationRegistry> registry,
                                                    ReservationHostId host);
    /// For a disk that one host uses: a registry of its own, without a store.
    static std::shared_ptr<ReservationsDisk> create(Disk below);

    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override;
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> eject() override;
    Task<DiskResult<Comparison>> compare(u64 sector, SegmentList with, CancelToken cancel) override;
    /// Its own, not those below.
    PersistentReservations* reservations() override { return this; }

    ReservationRegistry& registry() { return *registry_; }

private:
    ReservationsDisk(Disk below, std::shared_ptr<ReservationRegistry> registry, ReservationHostId host)
        : ForwardingDisk(std::move(below)), registry_(std::move(registry)), host_(host) {}
    template <typename T, typename Operation>
    Task<DiskResult<T>> guarded(ReservationAccess access, CancelToken cancel, Operation operation);

    ReservationCapabilities capabilities() const override;
    u64 changes() const override { return registry_->changes(); }
    ReservationStanding standing() const override { return registry_->standing(host_); }
    Task<DiskResult<void>> register_key(RegisterRequest request, CancelToken cancel) override;
    Task<DiskResult<void>> reserve(ReservationKey key, ReservationType type, CancelToken cancel) override;
    Task<DiskResult<void>> release(ReservationKey key, ReservationType type, CancelToken cancel) override;
    Task<DiskResult<void>> clear(ReservationKey key, CancelToken cancel) override;
    Task<DiskResult<void>> preempt(ReservationKey key, ReservationKey victim, ReservationType type, AbortTasks abort,
                                   CancelToken cancel) override;
    Task<DiskResult<void>> move(MoveRequest request, CancelToken cancel) override;
    Task<DiskResult<ReservationReport>> report(std::span<Registrant> registrants, CancelToken cancel) override;

    std::shared_ptr<ReservationRegistry> registry_;
    ReservationHostId host_;
};

}  // namespace undercroft
