// The disk: one small interface that every backend, layer and decorator implements, and `Disk`, the handle that
// everybody else holds. This comment is the contract; tests/conformance holds every implementation to it.
//
// - A disk is `sector_count()` sectors of `facts().sector_size` bytes, fewer than 2^63 bytes in all. Facts never
//   change; the size may, and is asked for each time.
// - Buffers are lists of memory segments (guest memory, mostly) that add up to whole sectors; segments themselves may
//   be of any length. The caller keeps the segments and what they point to valid until the task has ended; the
//   implementation touches them never after.
// - Memory may change under a write (a guest is not trusted): each byte is read at most once, or copied first where a
//   layer must see it twice.
// - Zero sectors that start no later than the end succeed. Past the end, or overflow: `illegal_block`. A length that is
//   no whole number of sectors: `invalid_input`. A change asked of a read-only disk: `read_only`, before anything is
//   touched. The handle checks all three; a backend checks its own range again, and never panics.
// - Completed writes may be lost with the power until a flush that began after their completion has ended, unless `fua`
//   was asked.
// - Operations may run concurrently and complete in any order. Two that overlap, at least one a write, have no order:
//   every sector is as one of them left it, whole. An operation may be carried out when it is called, when it is
//   awaited, or at any time between; what is called is awaited.
// - Operations may be called on any executor, unless the composition says otherwise; each completes on the executor
//   that awaits it.
// - Cancelling asks; the task still ends by itself, within a bound, and exactly once. A read or write that failed may
//   have been done in part.
// - Zero and hole are facts, not bytes: `unmap` and `write_zeroes` are forwarded as such, and `block_status` tells what
//   is known.
// - A disk that stands on others forwards every operation, also those that have a default here (`compare`,
//   `reservations`): storage/forwarding_disk.hpp does it for those that change only some.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <span>

#include "kernel/async/cancel.hpp"
#include "kernel/async/task.hpp"
#include "kernel/base/memory_segment.hpp"
#include "storage/disk_error.hpp"

namespace undercroft {

/// Sum of the segments' sizes in bytes.
u64 total_bytes(SegmentList segments);

enum class UnmapBehavior : u8 {
    zeroes,  ///< unmapped sectors read as zeros
    /// Until written they read, always alike, as zeros, as before, or as bytes that nobody wrote (an encrypted disk over
    /// one that reads as zeros).
    unspecified,
    ignored,  ///< unmap succeeds and does nothing
};

enum class ForceUnitAccess : bool { no = false, yes = true };

/// What never changes about a disk.
struct DiskFacts {
    u32 sector_size = 512;           ///< bytes; power of two, >= 512
    u32 physical_sector_size = 512;  ///< bytes; power of two, >= sector_size
    std::optional<std::array<std::byte, 16>> id;
    bool fua_respected = false;  ///< a write with FUA is durable by itself
    bool read_only = false;
    UnmapBehavior unmap = UnmapBehavior::ignored;
    u32 optimal_unmap_sectors = 1;  ///< granularity, at least 1
    /// `block_status` knows every sector: `zero` for each that was never written or was unmapped, never `unknown`. Then
    /// `unmap` is `zeroes`. Only over such a disk can an encrypted one tell its holes.
    bool knows_holes = false;
};

enum class BlockState : u8 {
    data,     ///< holds bytes that must be read
    zero,     ///< reads as zeros
    unknown,  ///< the disk cannot tell
};

/// `sectors` from the asked-for start share `state`. At least one when at least one was asked for.
struct BlockStatus {
    u64 sectors;
    BlockState state;
};

struct SectorRange {
    u64 start;
    u64 count;
};

/// What a comparison found.
struct Comparison {
    bool equal = true;
    u64 first_difference_bytes = 0;  ///< from the start of what was compared; where not equal
};

class PersistentReservations;  // storage/reservations.hpp

/// What an implementation implements. Ranges and sizes that arrive here were checked by the handle against `facts` and
/// `sector_count`, but the disk may have shrunk since: check again. Must outlive its tasks.
class DiskInterface {
public:
    virtual ~DiskInterface() = default;

    virtual DiskFacts facts() const = 0;
    virtual u64 sector_count() const = 0;

    virtual Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) = 0;
    virtual Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) = 0;
    /// Makes every write that completed before this call durable.
    virtual Task<DiskResult<void>> flush(CancelToken cancel) = 0;
    /// Tells the disk that the contents are not needed; what they read as afterwards is `facts().unmap`.
    virtual Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) = 0;
    /// The range reads as zeros afterwards; with `allow_unmap` it may become a hole.
    virtual Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                                CancelToken cancel) = 0;
    /// What is known of the first sectors of `range` (which is not empty).
    virtual Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) = 0;
    virtual Task<DiskResult<void>> eject() = 0;
    /// Ends when the size is no longer `known_sectors`, with the new size; or with `cancelled` or `gone`.
    virtual Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) = 0;
    /// Whether the sectors hold the bytes of `with`. The default reads and compares, `compare_piece_bytes` (or one
    /// sector) at a time; `io` where there is no memory for that.
    virtual Task<DiskResult<Comparison>> compare(u64 sector, SegmentList with, CancelToken cancel);
    /// The disk's persistent reservations, or null where it has none. The same at every call, and as long as the disk.
    virtual PersistentReservations* reservations() { return nullptr; }

    static constexpr u64 compare_piece_bytes = 64 * kib;
};

/// The handle: cheap to copy, caches the facts after checking them, checks every range, and forwards every operation.
class Disk {
public:
    /// Wraps `implementation`. `invalid_input` where there is none, or its facts contradict the contract (sector size
    /// no power of two, ...).
    static DiskResult<Disk> create(std::shared_ptr<DiskInterface> implementation);

    /// As they were when the handle was created: they never change.
    const DiskFacts& facts() const { return *facts_; }
    u32 sector_size() const { return facts_->sector_size; }
    /// The size now, in sectors.
    u64 sector_count() const { return implementation_->sector_count(); }

    // The operations of `DiskInterface`, checked as the contract says. A handle that goes away does not end them:
    // whoever holds the last one waits first.
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel = {}) const;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua = ForceUnitAccess::no,
                                 CancelToken cancel = {}) const;
    Task<DiskResult<void>> flush(CancelToken cancel = {}) const;
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel = {}) const;
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua = ForceUnitAccess::no,
                                        CancelToken cancel = {}) const;
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel = {}) const;
    Task<DiskResult<void>> eject() const;
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel = {}) const;
    Task<DiskResult<Comparison>> compare(u64 sector, SegmentList with, CancelToken cancel = {}) const;
    PersistentReservations* reservations() const { return implementation_->reservations(); }

private:
    Disk(std::shared_ptr<DiskInterface> implementation, std::shared_ptr<const DiskFacts> facts)
        : implementation_(std::move(implementation)), facts_(std::move(facts)) {}
    std::optional<DiskError> check_range(u64 sector, u64 count) const;
    std::optional<DiskError> check_buffer(u64 sector, SegmentList segments) const;

    std::shared_ptr<DiskInterface> implementation_;
    std::shared_ptr<const DiskFacts> facts_;
};

}  // namespace undercroft
