// The base of decorators: forwards every operation to the disk below as the task it got, at no cost but the call. A
// decorator overrides what it changes, and cannot forget the rest.
#pragma once

#include "storage/disk.hpp"

namespace undercroft {

class ForwardingDisk : public DiskInterface {
public:
    explicit ForwardingDisk(Disk below) : below_(std::move(below)) {}

    DiskFacts facts() const override { return below_.facts(); }
    u64 sector_count() const override { return below_.sector_count(); }
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        return below_.read(sector, into, cancel);
    }
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        return below_.write(sector, from, fua, cancel);
    }
    Task<DiskResult<void>> flush(CancelToken cancel) override { return below_.flush(cancel); }
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override { return below_.unmap(range, cancel); }
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override {
        return below_.write_zeroes(range, allow_unmap, fua, cancel);
    }
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override {
        return below_.block_status(range, cancel);
    }
    Task<DiskResult<void>> eject() override { return below_.eject(); }
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override {
        return below_.wait_for_resize(known_sectors, cancel);
    }
    Task<DiskResult<Comparison>> compare(u64 sector, SegmentList with, CancelToken cancel) override {
        return below_.compare(sector, with, cancel);
    }
    PersistentReservations* reservations() override { return below_.reservations(); }

protected:
    Disk below_;
};

}  // namespace undercroft
