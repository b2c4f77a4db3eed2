// A layer in memory: what was written, read through or unmapped since it was made, sparse; gone with the process. Has a
// size of its own, which may change while in use, or that of the layer below. Every operation is carried out when it is
// called. A write past the memory budget is `medium_write`; a cache that is full so stays as it is.
#pragma once

#include "storage/backends/sparse_memory.hpp"
#include "storage/composition.hpp"
#include "storage/layers/layer.hpp"

namespace undercroft {

struct RamLayerOptions {
    std::optional<u64> sectors = std::nullopt;  ///< nothing: as large as the layer below
    u32 sector_size = 512;                      ///< bytes; power of two, 512 to 64 KiB
    u32 physical_sector_size = 0;               ///< bytes; 0: as `sector_size`
    u64 memory_budget_bytes = ~u64{0};          ///< what chunks and their tables may take
    std::optional<std::array<std::byte, 16>> id = std::nullopt;
};

class RamLayer final : public DiskLayer {
public:
    static constexpr u64 size_bytes_max = 4096 * gib;

    /// The reason for a sector size or a size outside the bounds above, or where there is no memory for the table.
    static Composition<std::shared_ptr<RamLayer>> create(const RamLayerOptions& options);

    LayerFacts facts() const override;
    std::optional<u64> sector_count() const override;
    u64 smallest_sector_count() const override;
    void follow(u64 sectors) override { memory_.forget_from(sectors); }
    Task<DiskResult<void>> read(u64 sector, SegmentList into, PresenceMap& found, CancelToken cancel) override;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, Overwrite overwrite, ForceUnitAccess fua,
                                 CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override;
    Task<DiskResult<void>> unmap(SectorRange range, BelowReads below, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, BelowReads below, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<PresenceRun>> presence(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override;

    /// Changes the size. The reason where the layer has none of its own, for too large a size, and where there is no
    /// memory for the table.
    Composition<void> resize(u64 sectors);
    /// Bytes that chunks and their tables take now.
    u64 memory_used_bytes() const { return memory_.used_bytes(); }

private:
    explicit RamLayer(const RamLayerOptions& options);

    RamLayerOptions options_;
    LayerSize size_;
    Spinlock resize_lock_;  // so that table and size change together
    SparseMemory memory_;
};

}  // namespace undercroft
