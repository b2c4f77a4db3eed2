// A disk whose chunks lie on its members in turn: chunk 0 on member 0, chunk 1 on member 1, and so on (RAID 0). An
// operation within one chunk is the member's own task; a larger one goes to all its chunks at the same time.
//
// Members agree on sector size, size and read-only when they are put together. They may be resized later: the size is
// what the smallest has, in whole chunks, times their number. Growing moves nothing.
//
// Leaves out persistent reservations, which no member alone can answer for: put them above.
#pragma once

#include <vector>

#include "storage/composition.hpp"
#include "storage/disk.hpp"

namespace undercroft {

class StripedDisk final : public DiskInterface {
public:
    static constexpr u64 default_chunk_bytes = 128 * kib;
    static constexpr usize members_min = 2;
    static constexpr usize members_max = 64;

    /// `chunk_bytes`: a multiple of the physical sector size. Any member may serve on any executor that the whole is
    /// used on. The reason where the members do not fit together.
    static Composition<std::shared_ptr<StripedDisk>> create(std::vector<Disk> members,
                                                            u64 chunk_bytes = default_chunk_bytes);

    DiskFacts facts() const override { return facts_; }
    u64 sector_count() const override;
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override;
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override;
    /// Ejects every member; the first error, if any.
    Task<DiskResult<void>> eject() override;
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override;

    std::span<const Disk> members() const { return members_; }

private:
    enum class Direction : u8 { read, write };
    struct Transfer;
    struct Place;

    StripedDisk(std::vector<Disk> members, u64 chunk_sectors);
    Place place_of(u64 sector) const;
    u64 sector_of(usize member, u64 member_sector) const;
    SectorRange member_range(usize member, SectorRange range) const;
    Task<DiskResult<void>> transfer_chunks(Transfer transfer);
    Task<DiskResult<void>> transfer_chunk(Transfer transfer);
    Task<DiskResult<void>> unmap_all(SectorRange range, CancelToken cancel);
    Task<DiskResult<void>> write_zeroes_all(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                            CancelToken cancel);

    std::vector<Disk> members_;
    u64 chunk_sectors_;
    u32 sector_shift_;
    DiskFacts facts_;
};

}  // namespace undercroft
