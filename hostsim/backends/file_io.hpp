// Reads, writes and the rest on one open file or block device, over the io_uring of the executor that asks: whole
// transfers in spite of short ones, pieces where the kernel takes no more at once, and a detour through aligned memory
// where direct I/O needs it. Leaves out what a disk is: `FileDisk` and `BlockDisk`.
#pragma once

#include <sys/stat.h>

#include "hostsim/backends/file_descriptor.hpp"
#include "storage/segments.hpp"

namespace undercroft {

/// What direct I/O asks for; 1 where the file is not open for it.
struct DirectAlignment {
    u32 memory = 1;  ///< bytes; of addresses
    u32 offset = 1;  ///< bytes; of places in the file, and of lengths
};

enum class TransferDirection : bool { read, write };

/// The error of a disk for an errno value (positive). Those of the block layer as in the kernel's blk_errors table.
DiskError disk_error_of(int error, TransferDirection direction);

class FileIo {
public:
    FileIo(FileDescriptor file, DirectAlignment alignment) : file_(std::move(file)), alignment_(alignment) {}

    int descriptor() const { return file_.get(); }
    const DirectAlignment& alignment() const { return alignment_; }

    /// Reads all of `into` from `offset` bytes. `illegal_block` where the file ends before.
    Task<DiskResult<void>> read(u64 offset, SegmentList into, CancelToken cancel);
    /// Writes all of `from`; with `fua` each piece is durable when it ends.
    Task<DiskResult<void>> write(u64 offset, SegmentList from, ForceUnitAccess fua, CancelToken cancel);
    /// Makes what was written durable, without times and other facts that no reader needs.
    Task<DiskResult<void>> flush(CancelToken cancel);
    /// fallocate(2) with `mode`, in pieces that can be cancelled between. False: the file system or device cannot.
    Task<DiskResult<bool>> allocate(int mode, u64 offset, u64 bytes, CancelToken cancel);
    /// Zeros by the first way that the file system or device has: with `punch` a hole, an extent marked as unwritten,
    /// bytes.
    Task<DiskResult<void>> zero(u64 offset, u64 bytes, bool punch, CancelToken cancel);
    /// Writes zeros, byte for byte.
    Task<DiskResult<void>> write_zeros(u64 offset, u64 bytes, CancelToken cancel);

private:
    bool needs_bounce(SegmentList segments) const;
    Task<DiskResult<void>> transfer(TransferDirection direction, u64 offset, SegmentList segments, int flags,
                                    CancelToken cancel);
    Task<DiskResult<void>> bounce(TransferDirection direction, u64 offset, SegmentList segments, int flags,
                                  CancelToken cancel);

    FileDescriptor file_;
    DirectAlignment alignment_;
};

/// What direct I/O on `file` asks for, as the kernel says; a page where it does not say.
DirectAlignment direct_alignment(int file);

}  // namespace undercroft
