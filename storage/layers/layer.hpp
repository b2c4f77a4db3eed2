// A layer of a layered disk (storage/layers/layered_disk.hpp): sectors, each of which it has or has not. This comment is
// the contract; tests/conformance runs every layer in a layered disk of its own.
//
// - Of each sector a layer says `data` (it has the bytes), `zero` (it has it, and it is all zero) or `absent` (not
//   mine: ask the layer below). Before anything was written all are absent, but for a layer that stands for a whole
//   disk (`facts().has_every_sector`), for which none ever is.
// - Ranges are never empty, and lie within `sector_count()` where the layer has a size of its own; it may have shrunk
//   since: check again, and answer `illegal_block`. Buffers, overlap, durability, executors and cancellation are as in
//   storage/disk.hpp.
// - `read` touches the memory of `data` sectors alone: others read into the same buffer at the same time. It reports
//   each sector in `found`. One call is at most `PresenceMap::sectors_max` sectors.
// - `write` gives sectors their bytes. With `Overwrite::only_absent` each sector that the layer has already, `zero`
//   included, is left as it is, decided sector by sector and at once with the writing: this is how a cache is filled
//   from below while writes go on. `fua` never comes with it.
// - `unmap` makes sectors read as zeros through the stack: the layer notes them as `zero`, or forgets them where
//   `BelowReads::zeroes` says that nothing below shines through. A layer that has every sector does what its
//   `facts().unmap` says.
// - Size. A layer has one of its own, or (`sector_count()` is nothing) that of the layer below. Who has one of its own
//   and can shrink keeps `smallest_sector_count()`, the smallest that it ever had: what lies below is never visible past
//   it again, so that shrinking and growing never brings old data back. What a layer itself had past its end is gone
//   when it shrinks. Who has none is told of a smaller one by `follow`.
#pragma once

#include "storage/disk_size.hpp"
#include "storage/presence.hpp"

namespace undercroft {

enum class BelowReads : u8 {
    anything,  ///< zeros must be noted here
    zeroes,    ///< nothing shines through: the sectors may be forgotten
};

/// What never changes about a layer.
struct LayerFacts {
    u32 sector_size = 512;           ///< bytes, as of a disk
    u32 physical_sector_size = 512;  ///< bytes, as of a disk
    std::optional<std::array<std::byte, 16>> id = std::nullopt;
    bool fua_respected = false;
    bool read_only = false;
    bool writes_only_absent = false;              ///< `Overwrite::only_absent` works
    bool has_every_sector = false;                ///< a whole disk: nothing is ever absent
    UnmapBehavior unmap = UnmapBehavior::zeroes;  ///< other than `zeroes` only with `has_every_sector`
    u32 optimal_unmap_sectors = 1;                ///< as of a disk
    bool knows_holes = true;                      ///< `presence` never says `unknown`
};

class DiskLayer {
public:
    virtual ~DiskLayer() = default;

    virtual LayerFacts facts() const = 0;
    /// Its own size in sectors; nothing: that of the layer below.
    virtual std::optional<u64> sector_count() const = 0;
    /// The smallest own size it ever had; for those without one, and those that never shrink, no limit.
    virtual u64 smallest_sector_count() const { return ~u64{0}; }
    /// For layers without a size: the stack has `sectors` now, fewer than before. What lies past is gone, at once for
    /// every operation that begins later. Never waits.
    virtual void follow(u64 sectors) { (void)sectors; }

    virtual Task<DiskResult<void>> read(u64 sector, SegmentList into, PresenceMap& found, CancelToken cancel) = 0;
    virtual Task<DiskResult<void>> write(u64 sector, SegmentList from, Overwrite overwrite, ForceUnitAccess fua,
                                         CancelToken cancel) = 0;
    virtual Task<DiskResult<void>> flush(CancelToken cancel) = 0;
    virtual Task<DiskResult<void>> unmap(SectorRange range, BelowReads below, CancelToken cancel) = 0;
    /// Sectors are `zero` or zero `data` afterwards, never absent where `below` is `anything`.
    virtual Task<DiskResult<void>> write_zeroes(SectorRange range, BelowReads below, bool allow_unmap,
                                                ForceUnitAccess fua, CancelToken cancel) = 0;
    /// What the layer has of the first sectors of `range`, without reading them.
    virtual Task<DiskResult<PresenceRun>> presence(SectorRange range, CancelToken cancel) = 0;
    /// Of the medium that a layer of every sector stands for.
    virtual PersistentReservations* reservations() { return nullptr; }
    virtual Task<DiskResult<void>> eject() { return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject)); }
    /// As of a disk. Called only where the layer has a size of its own.
    virtual Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) = 0;
};

/// The size of a layer that can be resized, with the smallest it ever had.
class LayerSize {
public:
    /// `smallest_before`: from earlier runs, for layers that are stored.
    explicit LayerSize(u64 sectors, u64 smallest_before = ~u64{0})
        : size_(sectors), smallest_(sectors < smallest_before ? sectors : smallest_before) {}

    u64 get() const { return size_.get(); }
    u64 smallest() const { return smallest_.load(std::memory_order_acquire); }
    /// Sets the size and wakes who waits for it. Not from two places at a time.
    void set(u64 sectors) {
        if (sectors < smallest()) {
            smallest_.store(sectors, std::memory_order_release);
        }
        size_.set(sectors);
    }
    void close() { size_.close(); }
    Task<DiskResult<u64>> wait(u64 known_sectors, CancelToken cancel) { return size_.wait(known_sectors, cancel); }

private:
    DiskSize size_;
    std::atomic<u64> smallest_;
};

}  // namespace undercroft
