// A namespace of an NVMe controller that we drive, as a disk. Leaves out persistent reservations. What the driver
// promises holds here too: every operation ends within a bound, whatever the device does, and its memory is the
// device's no longer.
#pragma once

#include "drivers/nvme/namespace.hpp"
#include "storage/disk_size.hpp"

namespace undercroft {

class NvmeDisk final : public DiskInterface, private nvme::host::NamespaceObserver {
public:
    /// A disk over `name_space`, of which it is the only observer from now on. Call on the driver's first executor.
    /// Outlives `Driver::close`, after which every operation ends with `gone`.
    static std::shared_ptr<NvmeDisk> create(std::shared_ptr<nvme::host::Namespace> name_space);
    /// On the driver's first executor.
    ~NvmeDisk() override;

    DiskFacts facts() const override { return facts_; }
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

private:
    explicit NvmeDisk(std::shared_ptr<nvme::host::Namespace> name_space);
    void size_changed(u64 blocks) override { size_.set(blocks); }
    void controller_gone() override { size_.close(); }

    std::shared_ptr<nvme::host::Namespace> namespace_;
    DiskFacts facts_;
    DiskSize size_;
};

/// What a disk's caller is told of a command that did not succeed.
DiskError disk_error_of(const nvme::host::Outcome& outcome);

}  // namespace undercroft
