// System calls that open, lock and make files. All of them end soon, so they are made where they are asked for.
#include "hostsim/backends/file_open.hpp"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

#include <bit>
#include <filesystem>
#include <vector>

#include "kernel/async/wait_queue.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

constexpr mode_t new_file_mode = 0644;
constexpr u64 lock_wait_ns = 1 * nanoseconds_per_second;
constexpr u64 lock_retry_ns = 20 * nanoseconds_per_millisecond;

std::string open_problem(int error, const OpenOptions& options) {
    switch (error) {
    case ENOENT:
        return "does not exist (make it with create=SIZE, or with `undercroft disk create`)";
    case EACCES:
    case EPERM:
    case EROFS:
        return system_error_text(error) + (options.read_only ? "" : "; may it be opened read-only?");
    case EINVAL:
        return options.direct ? "its file system has no direct I/O: leave `direct` out" : system_error_text(error);
    case EBUSY:
        return "the kernel uses it (is it mounted, or part of an array?): stop that first";
    default:
        return "cannot be opened: " + system_error_text(error);
    }
}

// A writer locks all there is, a reader one byte: readers exclude writers and no reader. The range of a writer covers
// the bytes by which other programs tell that an image is in use.
bool lock(const FileDescriptor& file, bool read_only) {
    struct flock range{};
    range.l_type = read_only ? F_RDLCK : F_WRLCK;
    range.l_whence = SEEK_SET;
    range.l_len = read_only ? 1 : 0;
    return fcntl(file.get(), F_OFD_SETLK, &range) == 0 || (errno != EAGAIN && errno != EACCES);
}

const char* locked_problem(bool read_only) {
    return read_only ? "is open for writing in another process: stop that one first, or work on a copy"
                     : "is in use by another process: stop that one first, or open it read-only in both";
}

std::string folder_of(const std::string& path) {
    std::string folder = std::filesystem::path(path).parent_path().string();
    return folder.empty() ? "." : folder;
}

CreateFailure create_failure(int error) {
    return {.exists = error == EEXIST,
            .text = error == EEXIST ? "exists already, and is left as it is"
                                    : "cannot be made: " + system_error_text(error)};
}

bool fill(const FileDescriptor& file, u64 bytes, std::span<const std::byte> tail) {
    return ftruncate(file.get(), static_cast<off_t>(bytes)) == 0 &&
           (tail.empty() || pwrite(file.get(), tail.data(), tail.size(), static_cast<off_t>(bytes - tail.size())) ==
                                static_cast<ssize_t>(tail.size())) &&
           fsync(file.get()) == 0;
}

}  // namespace

Task<Result<FileDescriptor, std::string>> open_locked(std::string path, OpenOptions options) {
    int flags = O_CLOEXEC | (options.read_only ? O_RDONLY : O_RDWR) | (options.direct ? O_DIRECT : 0) |
                (options.exclusive ? O_EXCL : 0);
    u64 deadline = Executor::current().now_ns() + lock_wait_ns;
    for (;;) {
        FileDescriptor file(open(path.c_str(), flags));
        int error = file ? 0 : errno;
        if (file && lock(file, options.read_only)) {
            co_return file;
        }
        bool in_use = file || error == EBUSY;
        if (!in_use || Executor::current().now_ns() >= deadline) {
            co_return fail(file ? std::string(locked_problem(options.read_only)) : open_problem(error, options));
        }
        (void)co_await sleep_for(lock_retry_ns);
    }
}

bool sync_folder_of(const std::string& path) {
    FileDescriptor folder(open(folder_of(path).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return folder && fsync(folder.get()) == 0;
}

// Without a name until it is complete. File systems that cannot do that get the name first, and lose it on failure.
Result<void, CreateFailure> create_sparse_file(const std::string& path, u64 bytes, std::span<const std::byte> tail) {
    if (bytes > u64{1} << 62) {
        return fail(create_failure(EFBIG));
    }
    FileDescriptor file(open(folder_of(path).c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, new_file_mode));
    if (file) {
        if (!fill(file, bytes, tail)) {
            return fail(create_failure(errno));
        }
        std::string unnamed = "/proc/self/fd/" + decimal(static_cast<u64>(file.get()));
        if (linkat(AT_FDCWD, unnamed.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) != 0) {
            return fail(create_failure(errno));
        }
    } else {
        file = FileDescriptor(open(path.c_str(), O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, new_file_mode));
        if (!file) {
            return fail(create_failure(errno));
        }
        if (!fill(file, bytes, tail)) {
            CreateFailure failure = create_failure(errno);
            unlink(path.c_str());
            return fail(std::move(failure));
        }
    }
    if (!sync_folder_of(path)) {
        return fail(create_failure(errno));
    }
    return {};
}

Result<u64, std::string> regular_file_size(const FileDescriptor& file) {
    struct stat status{};
    if (fstat(file.get(), &status) != 0) {
        return fail("cannot be looked at: " + system_error_text(errno));
    }
    if (S_ISBLK(status.st_mode)) {
        return fail(std::string("is a block device: use block:PATH"));
    }
    if (!S_ISREG(status.st_mode)) {
        return fail(std::string("is no regular file"));
    }
    return static_cast<u64>(status.st_size);
}

u32 hole_bytes_of(const FileDescriptor& file) {
    struct stat status{};
    if (fstat(file.get(), &status) != 0 || status.st_blksize <= 0 || status.st_blksize > 1 << 30) {
        return page_size;
    }
    u32 bytes = static_cast<u32>(status.st_blksize);
    return std::has_single_bit(bytes) ? std::max(bytes, u32{512}) : u32{page_size};
}

bool holes_are_known(const FileDescriptor& file, u32 sector_size) {
    if (sector_size < hole_bytes_of(file)) {
        return false;
    }
    constexpr u32 extents_at_once = 128;
    std::vector<std::byte> memory(sizeof(fiemap) + extents_at_once * sizeof(fiemap_extent));
    u64 at = 0;
    for (;;) {
        // SAFETY: the kernel's structure with its flexible array, in memory that is large and aligned enough.
        auto* map = new (memory.data()) fiemap{};
        map->fm_start = at;
        map->fm_length = ~u64{0} - at;
        map->fm_flags = FIEMAP_FLAG_SYNC;
        map->fm_extent_count = extents_at_once;
        if (ioctl(file.get(), FS_IOC_FIEMAP, map) != 0) {
            return false;
        }
        for (u32 index = 0; index < map->fm_mapped_extents; ++index) {
            const fiemap_extent& extent = map->fm_extents[index];
            if ((extent.fe_flags & (FIEMAP_EXTENT_UNWRITTEN | FIEMAP_EXTENT_UNKNOWN)) != 0) {
                return false;
            }
            at = extent.fe_logical + extent.fe_length;
            if ((extent.fe_flags & FIEMAP_EXTENT_LAST) != 0) {
                return true;
            }
        }
        if (map->fm_mapped_extents == 0) {
            return true;
        }
    }
}

Result<DirectAlignment, std::string> alignment_for(const FileDescriptor& file, bool direct, u32 sector_size) {
    if (!direct) {
        return DirectAlignment{};
    }
    DirectAlignment alignment = direct_alignment(file.get());
    if (alignment.offset > sector_size) {
        return fail("direct I/O here moves no less than " + decimal(alignment.offset) + " bytes, but sectors have " +
                    decimal(sector_size) + ": leave `direct` out, or make the sectors as large");
    }
    return alignment;
}

}  // namespace undercroft
