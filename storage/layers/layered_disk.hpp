// A disk of layers (storage/layers/layer.hpp), the first on top. A sector is read from the first layer that has it; where
// none has, it is zero.
//
// - Writes go to the top layer; with `write_through` layers at the top, to all of those and to the one below them, which
//   have to agree afterwards: the data is copied once, so that a guest that changes its memory meanwhile cannot make
//   them differ. Two writes of the same sector at the same time may leave them differing, as no order is promised.
// - A `read_cache` layer takes up what was read from below it, and overwrites nothing by that. A cache that cannot take it
//   (its memory is used up) stays as it is, and the read succeeds.
// - A layer is visible only up to the smallest size that any layer above it ever had: shrinking and growing never brings
//   old data back. The size is that of the first layer which has one of its own. A disk below that shrinks and grows again
//   before anybody looks at its size did neither.
// - Unmapped sectors read as zeros, and each layer that must remember that does. Where layers are written through, unmap
//   is `write_zeroes` (with leave to unmap) on the last that is written, and the layers above note zeros.
// - Reads of several pieces, and of runs that the layer above has not, go on side by side.
//
// Leaves out eviction: a layer is as large as its own budget.
#pragma once

#include <vector>

#include "storage/bounce_pool.hpp"
#include "storage/composition.hpp"
#include "storage/layers/layer.hpp"
#include "storage/segments.hpp"

namespace undercroft {

struct LayerPlacement {
    std::shared_ptr<DiskLayer> layer;
    bool write_through = false;  ///< the layer below is written as well
    bool read_cache = false;     ///< keeps what is read from below
};

struct LayeredDiskOptions {
    bool read_only = false;  ///< nothing is written but read caches
    /// For read caches and write-through, which need it: pools that nobody above the disk holds memory of while it waits
    /// for the disk. Outlives the disk.
    BounceSource* bounce = nullptr;
};

class LayeredDisk final : public DiskInterface {
public:
    static constexpr usize layers_max = 16;

    /// `layers`: the top first. The reason where they do not go together.
    static Composition<std::shared_ptr<LayeredDisk>> create(std::vector<LayerPlacement> layers,
                                                            const LayeredDiskOptions& options = {});

    DiskFacts facts() const override { return facts_; }
    /// Looking at the size is what makes layers without one forget what lies past a smaller one.
    u64 sector_count() const override;
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override;
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override;
    /// The last layer's medium.
    Task<DiskResult<void>> eject() override { return layers_.back().layer->eject(); }
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override;
    /// The last layer's, where writes reach it or none are made: else what it protects is not what this disk holds.
    PersistentReservations* reservations() override;

    std::span<const LayerPlacement> layers() const { return layers_; }

private:
    struct Run;
    /// Bounce memory, cut to whole sectors.
    struct BouncePiece {
        BounceLease lease;
        SegmentSlice memory;
    };
    enum class Memory : bool { callers, own };

    LayeredDisk(std::vector<LayerPlacement> layers, const LayeredDiskOptions& options);
    DiskFacts combined_facts(bool read_only) const;
    usize written_layers() const { return last_written_ + 1; }
    BelowReads below_written() const;
    DiskLayer& layer(usize index) const { return *layers_[index].layer; }
    u64 visible_sectors(usize index) const;
    u64 stack_sectors() const { return *layers_[sized_].layer->sector_count(); }
    u64 notice_size() const;
    Task<DiskResult<void>> read_pieces(u64 sector, SegmentList into, CancelToken cancel);
    bool narrow(Run& run, u64 skip_bytes, SegmentSlice& slice) const;
    /// Borrows up to `bytes`; gives how many they are. Waits for them; `cancelled`, or `io` where none can be had.
    Task<DiskResult<u64>> borrow(BouncePiece& piece, u64 bytes, CancelToken cancel);
    Task<DiskResult<void>> read_part(usize index, Run run, u64 skip_bytes, CancelToken cancel);
    Task<DiskResult<void>> read_from(usize index, Run run, CancelToken cancel);
    Task<DiskResult<void>> read_absent(usize index, Run run, u64 skip_bytes, CancelToken cancel);
    Task<DiskResult<void>> read_runs(usize index, Run run, const PresenceMap& found, CancelToken cancel);
    Task<DiskResult<void>> read_and_fill(usize index, Run run, CancelToken cancel);
    Task<DiskResult<void>> read_by_bounce(usize index, Run run, CancelToken cancel);
    Task<DiskResult<void>> write_through(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel);
    Task<DiskResult<void>> zero_through(SectorRange range, bool allow_unmap, ForceUnitAccess fua, CancelToken cancel);
    Task<DiskResult<void>> flush_through(CancelToken cancel);

    std::vector<LayerPlacement> layers_;
    BounceSource* bounce_;
    usize sized_ = 0;         // the first with a size of its own
    usize last_written_ = 0;  // the last of those that a write goes to
    u32 sector_size_;
    u32 sector_shift_;
    DiskFacts facts_;
    mutable std::atomic<u64> known_sectors_;  // the size that layers without one were last told of
    mutable Spinlock size_lock_;
};

}  // namespace undercroft
