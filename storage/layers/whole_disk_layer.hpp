// Any disk as a layer: it has every sector, so it is the last one. Reads and writes are the disk's own tasks.
#pragma once

#include "storage/layers/layer.hpp"

namespace undercroft {

class WholeDiskLayer final : public DiskLayer {
public:
    explicit WholeDiskLayer(Disk disk) : disk_(std::move(disk)) {}

    LayerFacts facts() const override;
    std::optional<u64> sector_count() const override { return disk_.sector_count(); }
    Task<DiskResult<void>> read(u64 sector, SegmentList into, PresenceMap& found, CancelToken cancel) override;
    /// `Overwrite::only_absent` writes nothing: no sector is absent.
    Task<DiskResult<void>> write(u64 sector, SegmentList from, Overwrite overwrite, ForceUnitAccess fua,
                                 CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override { return disk_.flush(cancel); }
    Task<DiskResult<void>> unmap(SectorRange range, BelowReads below, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, BelowReads below, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<PresenceRun>> presence(SectorRange range, CancelToken cancel) override;
    PersistentReservations* reservations() override { return disk_.reservations(); }
    Task<DiskResult<void>> eject() override { return disk_.eject(); }
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override {
        return disk_.wait_for_resize(known_sectors, cancel);
    }

private:
    Disk disk_;
};

}  // namespace undercroft
