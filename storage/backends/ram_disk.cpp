// The RAM disk: its sectors are storage/backends/sparse_memory.hpp's, of which it calls none zero but those that are
// absent.
#include "storage/backends/ram_disk.hpp"

#include <bit>

namespace undercroft {

RamDisk::RamDisk(const RamDiskOptions& options)
    : options_(options), size_(options.sectors),
      memory_(options.sector_size, options.sectors, options.memory_budget_bytes) {}

DiskResult<std::shared_ptr<RamDisk>> RamDisk::create(const RamDiskOptions& options) {
    RamDiskOptions checked = options;
    if (checked.physical_sector_size == 0) {
        checked.physical_sector_size = checked.sector_size;
    }
    bool sound = std::has_single_bit(checked.sector_size) && checked.sector_size >= 512 &&
                 checked.sector_size <= SparseMemory::sector_size_max &&
                 checked.sectors <= size_bytes_max / checked.sector_size;
    if (!sound) {
        return fail(DiskError::invalid_input);
    }
    std::shared_ptr<RamDisk> disk(new RamDisk(checked));
    TRY(disk->memory_.reserve(checked.sectors));
    return disk;
}

DiskFacts RamDisk::facts() const {
    return DiskFacts{
        .sector_size = options_.sector_size,
        .physical_sector_size = options_.physical_sector_size,
        .id = options_.id,
        .fua_respected = true,
        .read_only = options_.read_only,
        .unmap = UnmapBehavior::zeroes,
        .optimal_unmap_sectors = 1,
        .knows_holes = true,
    };
}

Task<DiskResult<void>> RamDisk::read(u64 sector, SegmentList into, CancelToken) {
    return Task<DiskResult<void>>::ready(memory_.read(sector, into));
}

Task<DiskResult<void>> RamDisk::write(u64 sector, SegmentList from, ForceUnitAccess, CancelToken) {
    if (options_.read_only) {
        return Task<DiskResult<void>>::ready(fail(DiskError::read_only));
    }
    return Task<DiskResult<void>>::ready(memory_.write(sector, from, Overwrite::everything));
}

Task<DiskResult<void>> RamDisk::flush(CancelToken) { return Task<DiskResult<void>>::ready({}); }

DiskResult<void> RamDisk::zero_now(SectorRange range) {
    if (options_.read_only) {
        return fail(DiskError::read_only);
    }
    return memory_.set(range, Presence::absent);
}

Task<DiskResult<void>> RamDisk::unmap(SectorRange range, CancelToken) {
    return Task<DiskResult<void>>::ready(zero_now(range));
}

Task<DiskResult<void>> RamDisk::write_zeroes(SectorRange range, bool, ForceUnitAccess, CancelToken) {
    return Task<DiskResult<void>>::ready(zero_now(range));
}

Task<DiskResult<BlockStatus>> RamDisk::block_status(SectorRange range, CancelToken) {
    DiskResult<PresenceRun> run = memory_.presence(range);
    if (!run) {
        return Task<DiskResult<BlockStatus>>::ready(fail(run.error()));
    }
    return Task<DiskResult<BlockStatus>>::ready(BlockStatus{
        .sectors = run->sectors, .state = run->presence == Presence::data ? BlockState::data : BlockState::zero});
}

Task<DiskResult<void>> RamDisk::eject() { return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject)); }

Task<DiskResult<u64>> RamDisk::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    return size_.wait(known_sectors, cancel);
}

DiskResult<void> RamDisk::resize(u64 sectors) {
    if (sectors > size_bytes_max / options_.sector_size) {
        return fail(DiskError::invalid_input);
    }
    SpinlockGuard guard(resize_lock_);
    TRY(memory_.resize(sectors));
    size_.set(sectors);
    return {};
}

}  // namespace undercroft
