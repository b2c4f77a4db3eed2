// The operations of a disk on a block device. Opening one is block_open.cpp.
#include "hostsim/backends/block_disk.hpp"

#include <errno.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include "hostsim/backends/resize_poll.hpp"

namespace undercroft {

namespace {
constexpr u64 discard_bytes_max = 1 * gib;  // an ioctl cannot be cancelled, so it is asked for in steps
}

BlockDisk::BlockDisk(FileDescriptor file, DirectAlignment alignment, const BlockDeviceFacts& device)
    : io_(std::move(file), alignment), device_(device), size_(device.size_bytes / device.sector_size) {
    if (device.discard == DiscardMethod::discard) {
        pool_ = std::make_unique<BlockingPool>(1);
    }
}

BlockDisk::~BlockDisk() { size_.close(); }

DiskFacts BlockDisk::facts() const {
    constexpr UnmapBehavior behaviors[] = {UnmapBehavior::ignored, UnmapBehavior::zeroes, UnmapBehavior::unspecified};
    return {.sector_size = device_.sector_size,
            .physical_sector_size = device_.physical_sector_size,
            .id = {},
            .fua_respected = true,
            .read_only = device_.read_only,
            .unmap = behaviors[static_cast<u8>(device_.discard)],
            .optimal_unmap_sectors = std::max(device_.discard_granularity / device_.sector_size, u32{1})};
}

DiskResult<void> BlockDisk::check(u64 sector, u64 count, bool change) const {
    if (change && device_.read_only) {
        return fail(DiskError::read_only);
    }
    u64 size = size_.get();
    bool fits = sector <= size && count <= size - sector;
    return fits ? DiskResult<void>{} : fail(DiskError::illegal_block);
}

Task<DiskResult<void>> BlockDisk::read(u64 sector, SegmentList into, CancelToken cancel) {
    if (DiskResult<void> checked = check(sector, total_bytes(into) / device_.sector_size, false); !checked) {
        return Task<DiskResult<void>>::ready(checked);
    }
    return io_.read(sector * device_.sector_size, into, cancel);
}

Task<DiskResult<void>> BlockDisk::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    if (DiskResult<void> checked = check(sector, total_bytes(from) / device_.sector_size, true); !checked) {
        return Task<DiskResult<void>>::ready(checked);
    }
    return io_.write(sector * device_.sector_size, from, fua, cancel);
}

Task<DiskResult<void>> BlockDisk::flush(CancelToken cancel) {
    return device_.read_only ? Task<DiskResult<void>>::ready({}) : io_.flush(cancel);
}

DiskResult<void> BlockDisk::discard_now(u64 offset, u64 bytes) {
    u64 range[2] = {offset, bytes};
    if (ioctl(io_.descriptor(), BLKDISCARD, range) == 0 || errno == EOPNOTSUPP) {
        return {};
    }
    return fail(disk_error_of(errno, TransferDirection::write));
}

Task<DiskResult<void>> BlockDisk::unmap(SectorRange range, CancelToken cancel) {
    CO_TRY(check(range.start, range.count, true));
    u64 offset = range.start * device_.sector_size;
    u64 bytes = range.count * device_.sector_size;
    if (device_.discard == DiscardMethod::punch) {
        co_return co_await write_zeroes(range, true, ForceUnitAccess::no, cancel);
    }
    while (device_.discard == DiscardMethod::discard && bytes > 0) {
        u64 piece = std::min(bytes, discard_bytes_max);
        auto outcome = co_await pool_->run([&] { return discard_now(offset, piece); }, cancel);
        if (!outcome) {
            co_return fail(DiskError::cancelled);
        }
        CO_TRY(std::move(*outcome));
        offset += piece;
        bytes -= piece;
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> BlockDisk::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                               CancelToken cancel) {
    CO_TRY(check(range.start, range.count, true));
    u64 offset = range.start * device_.sector_size;
    u64 bytes = range.count * device_.sector_size;
    bool punch = allow_unmap && device_.discard == DiscardMethod::punch;
    CO_TRY(co_await io_.zero(offset, bytes, punch, cancel));
    if (fua == ForceUnitAccess::yes) {
        co_return co_await io_.flush(cancel);
    }
    co_return DiskResult<void>{};
}

// No device says over Linux's interface which of its blocks are mapped.
Task<DiskResult<BlockStatus>> BlockDisk::block_status(SectorRange range, CancelToken cancel) {
    using StatusTask = Task<DiskResult<BlockStatus>>;
    if (cancel.is_cancelled()) {
        return StatusTask::ready(fail(DiskError::cancelled));
    }
    if (DiskResult<void> checked = check(range.start, range.count, false); !checked) {
        return StatusTask::ready(fail(checked.error()));
    }
    return StatusTask::ready(BlockStatus{.sectors = range.count, .state = BlockState::unknown});
}

Task<DiskResult<void>> BlockDisk::eject() { return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject)); }

void BlockDisk::look_at_size() {
    u64 bytes = 0;
    if (ioctl(io_.descriptor(), BLKGETSIZE64, &bytes) == 0) {
        size_.set(bytes / device_.sector_size);
    }
}

Task<DiskResult<u64>> BlockDisk::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    return poll_for_resize(size_, known_sectors, [this] { look_at_size(); }, cancel);
}

}  // namespace undercroft
