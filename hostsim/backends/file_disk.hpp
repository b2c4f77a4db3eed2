// A disk in a regular file, over io_uring; also in a part of one, which is how a fixed VHD is a disk. Holes of the file
// are holes of the disk. Used on any executor whose platform is a `RingPlatform`.
//
// - One writer: while a disk is open for writing the file is locked (an open-file-description lock, which ends with the
//   process), against us, and against whoever else asks for such locks.
// - Durability: FUA is RWF_DSYNC, flush is fdatasync.
// - A file that was made longer or shorter is noticed while somebody waits for it; what is no whole number of sectors
//   then is not taken over.
// - `knows_holes` only where a sector is no smaller than what the file system can make a hole of, and nothing in the
//   file is allocated that was never written: such places are hole or data as the page cache happens to be.
#pragma once

#include <string>

#include "hostsim/backends/file_io.hpp"
#include "storage/disk_size.hpp"

namespace undercroft {

struct FileDiskOptions {
    u32 sector_size = 512;  ///< bytes; 512 or 4096
    bool direct = false;    ///< past the page cache (O_DIRECT)
    bool read_only = false;
    /// Makes the file, sparse, where there is none. One that exists must have this size already.
    std::optional<u64> create_bytes{};
};

/// Opens the file at `path`. On failure: what is wrong and what to do, in words for a user, without the path.
Task<Result<Disk, std::string>> open_file_disk(std::string path, FileDiskOptions options);

/// What a `FileDisk` is made of, once the file is open and checked.
struct FileDiskParts {
    FileDescriptor file{};
    DirectAlignment alignment{};
    u32 sector_size = 512;
    u32 hole_bytes = 4096;  ///< what the file system can make a hole of
    bool read_only = false;
    bool knows_holes = false;
    /// The disk is the file's first bytes, and does not change with the file. Nothing: all of it.
    std::optional<u64> window_bytes{};
    u64 size_bytes = 0;
    std::optional<std::array<std::byte, 16>> id{};
};

class FileDisk final : public DiskInterface {
public:
    explicit FileDisk(FileDiskParts parts);
    ~FileDisk() override;

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
    bool in_range(u64 sector, u64 count) const;
    void look_at_size();

    FileIo io_;
    const u32 sector_size_;
    const u32 hole_bytes_;
    const bool read_only_;
    const bool knows_holes_;
    const bool follows_file_;
    const std::optional<std::array<std::byte, 16>> id_;
    DiskSize size_;
};

}  // namespace undercroft
