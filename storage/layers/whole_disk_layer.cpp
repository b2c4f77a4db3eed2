// WholeDiskLayer.
#include "storage/layers/whole_disk_layer.hpp"

namespace undercroft {

LayerFacts WholeDiskLayer::facts() const {
    const DiskFacts& facts = disk_.facts();
    return LayerFacts{.sector_size = facts.sector_size,
                      .physical_sector_size = facts.physical_sector_size,
                      .id = facts.id,
                      .fua_respected = facts.fua_respected,
                      .read_only = facts.read_only,
                      .has_every_sector = true,
                      .unmap = facts.unmap,
                      .optimal_unmap_sectors = facts.optimal_unmap_sectors,
                      .knows_holes = facts.knows_holes};
}

Task<DiskResult<void>> WholeDiskLayer::read(u64 sector, SegmentList into, PresenceMap& found, CancelToken cancel) {
    found.set(0, PresenceMap::sectors_max, Presence::data);
    return disk_.read(sector, into, cancel);
}

Task<DiskResult<void>> WholeDiskLayer::write(u64 sector, SegmentList from, Overwrite overwrite, ForceUnitAccess fua,
                                             CancelToken cancel) {
    if (overwrite == Overwrite::only_absent) {
        return Task<DiskResult<void>>::ready({});
    }
    return disk_.write(sector, from, fua, cancel);
}

Task<DiskResult<void>> WholeDiskLayer::unmap(SectorRange range, BelowReads, CancelToken cancel) {
    return disk_.unmap(range, cancel);
}

Task<DiskResult<void>> WholeDiskLayer::write_zeroes(SectorRange range, BelowReads, bool allow_unmap,
                                                    ForceUnitAccess fua, CancelToken cancel) {
    return disk_.write_zeroes(range, allow_unmap, fua, cancel);
}

Task<DiskResult<PresenceRun>> WholeDiskLayer::presence(SectorRange range, CancelToken cancel) {
    BlockStatus status = CO_TRY(co_await disk_.block_status(range, cancel));
    Presence presence = Presence::unknown;
    if (status.state != BlockState::unknown) {
        presence = status.state == BlockState::zero ? Presence::zero : Presence::data;
    }
    co_return PresenceRun{.sectors = status.sectors, .presence = presence};
}

}  // namespace undercroft
