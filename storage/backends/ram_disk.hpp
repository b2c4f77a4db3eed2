// A disk in memory: sparse, in chunks that exist from the first write on; live resizable. Every operation is carried
// out when it is called. Writes are as durable as memory is: flush and FUA have nothing to do. It never waits, and has
// no faults but one: a write past the memory budget is `medium_write`. May be used on several virtual processors.
#pragma once

#include "storage/backends/sparse_memory.hpp"
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
    static constexpr u64 chunk_bytes = SparseMemory::chunk_bytes;
    /// The largest size that `create` and `resize` take.
    static constexpr u64 size_bytes_max = 4096 * gib;

    /// `invalid_input` for a sector size or a size outside the bounds above, `io` where there is no memory for the
    /// table.
    static DiskResult<std::shared_ptr<RamDisk>> create(const RamDiskOptions& options);

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
    u64 memory_used_bytes() const { return memory_.used_bytes(); }

private:
    explicit RamDisk(const RamDiskOptions& options);
    DiskResult<void> zero_now(SectorRange range);

    RamDiskOptions options_;
    DiskSize size_;
    Spinlock resize_lock_;  // so that table and size change together
    SparseMemory memory_;
};

}  // namespace undercroft
