// A disk in memory: sparse, in chunks that exist from the first write on; live resizable. Every operation is carried
// out when it is called. Writes are as durable as memory is: flush and FUA have nothing to do. It never waits, and has
// no faults but one: a write past the memory budget is `medium_write`. May be used on several virtual processors: a
// spin lock, held for one chunk's copy at a time, guards the table.
#pragma once

#include "storage/disk_size.hpp"

namespace undercroft {

struct RamDiskOptions {
    u64 sectors = 0;
    u32 sector_size = 512;              ///< bytes; power of two, 512 to 64 KiB
    u32 physical_sector_size = 0;       ///< bytes; 0: as `sector_size`
    u64 memory_budget_bytes = ~u64{0};  ///< what chunks and their tables may take
    bool read_only = false;             ///< for the handle; `write` itself refuses as well
    std::optional<std::array<std::byte, 16>> id;
};

class RamDisk final : public DiskInterface {
public:
    static constexpr u64 chunk_bytes = 64 * kib;
    /// The largest size that `create` and `resize` take.
    static constexpr u64 size_bytes_max = 4096 * gib;

    /// `invalid_input` for a sector size or a size outside the bounds above, `io` where there is no memory for the
    /// table.
    static DiskResult<std::shared_ptr<RamDisk>> create(const RamDiskOptions& options);
    ~RamDisk() override;

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

    /// Changes the size; what lies past a smaller one is dropped, and reads as zeros should the disk grow again.
    /// `invalid_input` past `size_bytes_max`, `io` where there is no memory for the table.
    DiskResult<void> resize(u64 sectors);
    /// Bytes that chunks and their tables take now.
    u64 memory_used_bytes() const;

private:
    struct Chunk;
    struct Leaf;
    struct Span;
    explicit RamDisk(const RamDiskOptions& options);

    bool in_range(u64 sector, u64 count) const;
    DiskResult<void> read_now(u64 sector, SegmentList into);
    DiskResult<void> write_now(u64 sector, SegmentList from);
    DiskResult<void> zero_now(SectorRange range);
    void drop(u64 sector, u64 count);
    BlockStatus status_now(SectorRange range) const;
    Span span_at(u64 sector, u64 sectors_max) const;
    Chunk* find(u64 chunk_index) const;
    Chunk* find_or_add(u64 chunk_index);
    DiskResult<void> ensure_root(u64 sectors);

    RamDiskOptions options_;
    u32 chunk_sectors_;
    DiskSize size_;
    mutable Spinlock lock_;
    std::unique_ptr<std::unique_ptr<Leaf>[]> root_;
    u64 root_size_ = 0;
    u64 used_bytes_ = 0;
};

}  // namespace undercroft
