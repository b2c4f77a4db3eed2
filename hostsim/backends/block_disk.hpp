// A disk on a Linux block device, over io_uring. Sizes and what the device can do come from its ioctls and from sysfs.
// Used on any executor whose platform is a `RingPlatform`. Leaves out partitions' own identifiers and zoned devices.
//
// - A device that the kernel uses itself (mounted, part of an array) is refused for writing; while ours is open the
//   kernel refuses to mount it.
// - FUA is RWF_DSYNC, which the kernel makes a FUA write or a flush; flush is fdatasync, which flushes the device.
// - Unmap: what reads as zeros afterwards, where the device guarantees that; a plain discard where it does not.
#pragma once

#include <string>

#include "hostsim/backends/file_io.hpp"
#include "hostsim/platform/blocking_pool.hpp"
#include "storage/disk_size.hpp"

namespace undercroft {

struct BlockDiskOptions {
    bool direct = true;  ///< past the page cache (O_DIRECT)
    bool read_only = false;
};

/// Opens the block device at `path`. On failure: the reason, without the path.
Task<Result<Disk, std::string>> open_block_disk(std::string path, BlockDiskOptions options);

/// How a device takes an unmap.
enum class DiscardMethod : u8 {
    none,
    punch,    ///< fallocate with a hole: zeros afterwards, or refused
    discard,  ///< ioctl BLKDISCARD: anything afterwards
};

/// What is known of an open device.
struct BlockDeviceFacts {
    u32 sector_size = 512;
    u32 physical_sector_size = 512;
    u64 size_bytes = 0;
    bool read_only = false;
    DiscardMethod discard = DiscardMethod::none;
    u32 discard_granularity = 512;  ///< bytes
};

class BlockDisk final : public DiskInterface {
public:
    BlockDisk(FileDescriptor file, DirectAlignment alignment, const BlockDeviceFacts& device);
    ~BlockDisk() override;

    DiskFacts facts() const override;
    u64 sector_count() const override { return size_.get(); }
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override;
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> eject() override;
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override;

private:
    DiskResult<void> check(u64 sector, u64 count, bool change) const;
    void look_at_size();
    DiskResult<void> discard_now(u64 offset, u64 bytes);

    FileIo io_;
    const BlockDeviceFacts device_;
    DiskSize size_;
    std::unique_ptr<BlockingPool> pool_;  // for the discards that only an ioctl makes
};

}  // namespace undercroft
