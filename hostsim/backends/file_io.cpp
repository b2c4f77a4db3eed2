// The loops around io_uring's read, write, fsync and fallocate.
#include "hostsim/backends/file_io.hpp"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/uio.h>

#include <cstdlib>

#include "hostsim/platform/ring_platform.hpp"

namespace undercroft {

namespace {

// Segments that go into one operation: the array lives in the coroutine's frame.
constexpr usize vectors_max = 64;
constexpr u64 bounce_bytes_max = 256 * kib;
// Between two of them a long operation can be cancelled.
constexpr u64 allocate_bytes_max = 1 * gib;
constexpr usize zeros_bytes = 256 * kib;

struct FreeAligned {
    void operator()(std::byte* memory) const { std::free(memory); }
};
using AlignedMemory = std::unique_ptr<std::byte[], FreeAligned>;

AlignedMemory allocate_aligned(usize bytes) {
    return AlignedMemory(static_cast<std::byte*>(std::aligned_alloc(page_size, align_up(bytes, page_size))));
}

// A page-aligned source of zeros for every file there is.
std::byte* zeros() {
    alignas(page_size) static std::byte memory[zeros_bytes];
    return memory;
}

// The next vectors of `cursor`, at most `vectors_max`; returns their number.
usize gather(SegmentCursor& cursor, iovec (&vectors)[vectors_max]) {
    usize count = 0;
    while (count < vectors_max && !cursor.at_end()) {
        std::span<std::byte> piece = cursor.contiguous();
        vectors[count++] = {.iov_base = piece.data(), .iov_len = piece.size()};
        cursor.advance(piece.size());
    }
    return count;
}

}  // namespace

DiskError disk_error_of(int error, TransferDirection direction) {
    switch (error) {
    case ENOSPC:
    case EDQUOT:
        return DiskError::medium_write;
    case ENODATA:
        return direction == TransferDirection::read ? DiskError::medium_read : DiskError::medium_write;
    case EILSEQ:
        return DiskError::medium_guard;
    case EBADE:
        return DiskError::reservation_conflict;
    case ENXIO:
    case ENODEV:
    case ENOLINK:
    case ESTALE:
        return DiskError::gone;
    case ETIMEDOUT:
    case ETIME:
        return DiskError::timed_out;
    case ECANCELED:
        return DiskError::cancelled;
    case EROFS:
    case EPERM:
    case EBADF:
        return DiskError::read_only;
    case EFAULT:
        return DiskError::memory_access;
    case EFBIG:
        return DiskError::illegal_block;
    default:
        return DiskError::io;
    }
}

DirectAlignment direct_alignment(int file) {
    struct statx status{};
    constexpr unsigned wanted = STATX_DIOALIGN;
    if (statx(file, "", AT_EMPTY_PATH, wanted, &status) == 0 && (status.stx_mask & wanted) != 0 &&
        status.stx_dio_offset_align != 0) {
        return {.memory = status.stx_dio_mem_align, .offset = status.stx_dio_offset_align};
    }
    return {.memory = page_size, .offset = page_size};
}

bool FileIo::needs_bounce(SegmentList segments) const {
    if (alignment_.memory == 1) {
        return false;
    }
    for (const MemorySegment& segment : segments) {
        // SAFETY: the address is only looked at.
        if (!is_aligned(reinterpret_cast<u64>(segment.data), alignment_.memory) ||
            !is_aligned(segment.size, alignment_.offset)) {
            return true;
        }
    }
    return false;
}

Task<DiskResult<void>> FileIo::transfer(TransferDirection direction, u64 offset, SegmentList segments, int flags,
                                        CancelToken cancel) {
    SegmentCursor cursor(segments);
    while (!cursor.at_end()) {
        iovec vectors[vectors_max];
        SegmentCursor start = cursor;
        usize count = gather(cursor, vectors);
        u64 at = offset;
        auto fill = [&](io_uring_sqe* entry) {
            if (direction == TransferDirection::read) {
                io_uring_prep_readv2(entry, file_.get(), vectors, static_cast<unsigned>(count), at, flags);
            } else {
                io_uring_prep_writev2(entry, file_.get(), vectors, static_cast<unsigned>(count), at, flags);
            }
        };
        i32 done = co_await ring_operation(fill, cancel);
        if (done == -EINTR) {
            cursor = start;
            continue;
        }
        if (done <= 0) {
            co_return fail(done == 0 ? DiskError::illegal_block : disk_error_of(-done, direction));
        }
        offset += static_cast<u64>(done);
        start.skip(static_cast<u64>(done));
        cursor = start;
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> FileIo::bounce(TransferDirection direction, u64 offset, SegmentList segments, int flags,
                                      CancelToken cancel) {
    u64 rest = total_bytes(segments);
    usize piece_bytes = static_cast<usize>(std::min(rest, bounce_bytes_max));
    AlignedMemory memory = allocate_aligned(piece_bytes);
    if (memory == nullptr) {
        co_return fail(DiskError::io);
    }
    SegmentCursor cursor(segments);
    while (rest > 0) {
        MemorySegment piece{.data = memory.get(), .size = static_cast<usize>(std::min<u64>(rest, piece_bytes))};
        if (direction == TransferDirection::write) {
            cursor.copy_out({piece.data, piece.size});
        }
        CO_TRY(co_await transfer(direction, offset, {&piece, 1}, flags, cancel));
        if (direction == TransferDirection::read) {
            cursor.copy_in({piece.data, piece.size});
        }
        offset += piece.size;
        rest -= piece.size;
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> FileIo::read(u64 offset, SegmentList into, CancelToken cancel) {
    return needs_bounce(into) ? bounce(TransferDirection::read, offset, into, 0, cancel)
                              : transfer(TransferDirection::read, offset, into, 0, cancel);
}

Task<DiskResult<void>> FileIo::write(u64 offset, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    int flags = fua == ForceUnitAccess::yes ? RWF_DSYNC : 0;
    return needs_bounce(from) ? bounce(TransferDirection::write, offset, from, flags, cancel)
                              : transfer(TransferDirection::write, offset, from, flags, cancel);
}

Task<DiskResult<void>> FileIo::flush(CancelToken cancel) {
    i32 done = co_await ring_operation(
        [&](io_uring_sqe* entry) { io_uring_prep_fsync(entry, file_.get(), IORING_FSYNC_DATASYNC); }, cancel);
    if (done < 0) {
        co_return fail(disk_error_of(-done, TransferDirection::write));
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<bool>> FileIo::allocate(int mode, u64 offset, u64 bytes, CancelToken cancel) {
    while (bytes > 0) {
        u64 piece = std::min(bytes, allocate_bytes_max);
        auto fill = [&](io_uring_sqe* entry) {
            io_uring_prep_fallocate(entry, file_.get(), mode, static_cast<off_t>(offset), static_cast<off_t>(piece));
        };
        i32 done = co_await ring_operation(fill, cancel);
        if (done == -EOPNOTSUPP || done == -ENOSYS) {
            co_return false;
        }
        if (done == -EINTR) {
            continue;
        }
        if (done < 0) {
            co_return fail(disk_error_of(-done, TransferDirection::write));
        }
        offset += piece;
        bytes -= piece;
    }
    co_return true;
}

Task<DiskResult<void>> FileIo::zero(u64 offset, u64 bytes, bool punch, CancelToken cancel) {
    if (punch && CO_TRY(co_await allocate(FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, bytes, cancel))) {
        co_return DiskResult<void>{};
    }
    if (CO_TRY(co_await allocate(FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE, offset, bytes, cancel))) {
        co_return DiskResult<void>{};
    }
    co_return co_await write_zeros(offset, bytes, cancel);
}

Task<DiskResult<void>> FileIo::write_zeros(u64 offset, u64 bytes, CancelToken cancel) {
    while (bytes > 0) {
        MemorySegment piece{.data = zeros(), .size = static_cast<usize>(std::min<u64>(bytes, zeros_bytes))};
        CO_TRY(co_await transfer(TransferDirection::write, offset, {&piece, 1}, 0, cancel));
        offset += piece.size;
        bytes -= piece.size;
    }
    co_return DiskResult<void>{};
}

}  // namespace undercroft
