// The operations of a disk in a file. Opening one is file_disk_open.cpp.
#include "hostsim/backends/file_disk.hpp"

#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hostsim/backends/resize_poll.hpp"

namespace undercroft {

FileDisk::FileDisk(FileDiskParts parts)
    : io_(std::move(parts.file), parts.alignment), sector_size_(parts.sector_size), hole_bytes_(parts.hole_bytes),
      read_only_(parts.read_only), knows_holes_(parts.knows_holes), follows_file_(!parts.window_bytes), id_(parts.id),
      size_(parts.window_bytes.value_or(parts.size_bytes) / parts.sector_size) {}

FileDisk::~FileDisk() { size_.close(); }

DiskFacts FileDisk::facts() const {
    return {.sector_size = sector_size_,
            .physical_sector_size = std::max(sector_size_, u32{page_size}),
            .id = id_,
            .fua_respected = true,
            .read_only = read_only_,
            .unmap = UnmapBehavior::zeroes,
            .optimal_unmap_sectors = std::max(hole_bytes_ / sector_size_, u32{1}),
            .knows_holes = knows_holes_};
}

bool FileDisk::in_range(u64 sector, u64 count) const {
    u64 size = size_.get();
    return sector <= size && count <= size - sector;
}

Task<DiskResult<void>> FileDisk::read(u64 sector, SegmentList into, CancelToken cancel) {
    if (!in_range(sector, total_bytes(into) / sector_size_)) {
        return Task<DiskResult<void>>::ready(fail(DiskError::illegal_block));
    }
    return io_.read(sector * sector_size_, into, cancel);
}

Task<DiskResult<void>> FileDisk::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    if (read_only_) {
        return Task<DiskResult<void>>::ready(fail(DiskError::read_only));
    }
    if (!in_range(sector, total_bytes(from) / sector_size_)) {
        return Task<DiskResult<void>>::ready(fail(DiskError::illegal_block));
    }
    return io_.write(sector * sector_size_, from, fua, cancel);
}

Task<DiskResult<void>> FileDisk::flush(CancelToken cancel) {
    if (read_only_) {
        return Task<DiskResult<void>>::ready({});
    }
    return io_.flush(cancel);
}

Task<DiskResult<void>> FileDisk::unmap(SectorRange range, CancelToken cancel) {
    return write_zeroes(range, true, ForceUnitAccess::no, cancel);
}

Task<DiskResult<void>> FileDisk::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                              CancelToken cancel) {
    if (read_only_) {
        co_return fail(DiskError::read_only);
    }
    if (!in_range(range.start, range.count)) {
        co_return fail(DiskError::illegal_block);
    }
    u64 offset = range.start * sector_size_;
    u64 bytes = range.count * sector_size_;
    if (!allow_unmap && knows_holes_) {
        // No hole is wanted, and an unwritten extent would be one that comes and goes.
        CO_TRY(co_await io_.write_zeros(offset, bytes, cancel));
    } else {
        CO_TRY(co_await io_.zero(offset, bytes, allow_unmap, cancel));
    }
    if (fua == ForceUnitAccess::yes) {
        co_return co_await io_.flush(cancel);
    }
    co_return DiskResult<void>{};
}

// lseek is answered from memory; no operation of io_uring does it.
Task<DiskResult<BlockStatus>> FileDisk::block_status(SectorRange range, CancelToken cancel) {
    using StatusTask = Task<DiskResult<BlockStatus>>;
    if (cancel.is_cancelled()) {
        return StatusTask::ready(fail(DiskError::cancelled));
    }
    if (!in_range(range.start, range.count)) {
        return StatusTask::ready(fail(DiskError::illegal_block));
    }
    u64 start = range.start * sector_size_;
    u64 end = start + range.count * sector_size_;
    off_t data = lseek(io_.descriptor(), static_cast<off_t>(start), SEEK_DATA);
    if (data < 0 && errno != ENXIO) {
        return StatusTask::ready(BlockStatus{.sectors = range.count, .state = BlockState::unknown});
    }
    u64 data_at = data < 0 ? end : std::min(static_cast<u64>(data), end);
    if (u64 hole_sectors = (data_at - start) / sector_size_; hole_sectors > 0) {
        return StatusTask::ready(BlockStatus{.sectors = hole_sectors, .state = BlockState::zero});
    }
    off_t hole = lseek(io_.descriptor(), static_cast<off_t>(data_at), SEEK_HOLE);
    u64 hole_at = hole < 0 ? end : std::min(static_cast<u64>(hole), end);
    u64 sectors = (hole_at - start + sector_size_ - 1) / sector_size_;  // a sector with any data has data
    return StatusTask::ready(
        BlockStatus{.sectors = std::clamp<u64>(sectors, 1, range.count), .state = BlockState::data});
}

Task<DiskResult<void>> FileDisk::eject() { return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject)); }

void FileDisk::look_at_size() {
    struct stat status{};
    if (!follows_file_ || fstat(io_.descriptor(), &status) != 0) {
        return;
    }
    u64 bytes = static_cast<u64>(status.st_size);
    if (bytes % sector_size_ == 0) {
        size_.set(bytes / sector_size_);
    }
}

Task<DiskResult<u64>> FileDisk::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    return poll_for_resize(size_, known_sectors, [this] { look_at_size(); }, cancel);
}

}  // namespace undercroft
