// Opening files for disks: flags, locks, sizes, with every refusal in words. What disks of files, devices and VHDs have
// in common.
#pragma once

#include "hostsim/backends/file_disk.hpp"

namespace undercroft {

struct OpenOptions {
    bool direct = false;
    bool read_only = false;
    /// For block devices: refuse one that the kernel uses itself (mounted, part of an array).
    bool exclusive = false;
};

/// Opens and locks `path`. Who holds the lock gets a moment to give it back: a process that was killed keeps its files
/// until the kernel has taken its io_uring down. On failure: the reason, and what to do.
Task<Result<FileDescriptor, std::string>> open_locked(std::string path, OpenOptions options);

/// Makes a sparse file of `bytes` at `path` with `tail` as its last bytes (of `bytes`), durable, with all of it there
/// or no file at all. `exists` tells that failure from others.
struct CreateFailure {
    bool exists;
    std::string text;
};
Result<void, CreateFailure> create_sparse_file(const std::string& path, u64 bytes, std::span<const std::byte> tail);

/// Makes the directory entry of `path` durable.
bool sync_folder_of(const std::string& path);

/// The size of regular file `file`; the reason where it is none.
Result<u64, std::string> regular_file_size(const FileDescriptor& file);

/// Whether every sector of `file` is either written or a hole that stays one until it is written; see `FileDisk`.
bool holes_are_known(const FileDescriptor& file, u32 sector_size);

/// What direct I/O asks for, where `direct`; the reason where sectors are smaller than that.
Result<DirectAlignment, std::string> alignment_for(const FileDescriptor& file, bool direct, u32 sector_size);

/// What the file system can make a hole of, in bytes.
u32 hole_bytes_of(const FileDescriptor& file);

}  // namespace undercroft
