// A disk with a volatile write cache, bad days and a power switch: what lies behind a simulated controller. Outlives
// power cycles.
//
// The fault model. Each operation may be delayed (and so overtaken by others), fail, be stuck until it is cancelled, or
// be wedged: not even a cancel ends it, only the power switch. A failed write may have been done in part. With the
// power, each sector falls back on its own to any version since the last flush that covers it: writes are lost,
// reordered, and torn between sectors; a single sector is never torn. A flush makes durable what had completed when it
// began.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "hostsim/devices/seeded_random.hpp"
#include "kernel/async/wait_queue.hpp"
#include "storage/disk_size.hpp"

namespace undercroft {

/// How often what goes wrong, per thousand operations.
struct MediumFaults {
    u32 delayed = 0;
    u64 delay_max_ns = 0;
    u32 failed = 0;
    u32 stuck = 0;
    u32 wedged = 0;
};

class SimulatedMedium final : public DiskInterface {
public:
    SimulatedMedium(u64 sectors, u32 sector_size, u64 seed);

    void set_faults(const MediumFaults& faults) { faults_ = faults; }
    /// Ends everything under way with `gone`, and decides what of the volatile cache survives.
    void power_off();
    void power_on() { powered_ = true; }
    /// Asked before a read touches memory: whether the device above may still do that. Empty: always.
    std::function<bool()> may_touch_memory;
    /// What is durable now.
    std::span<const std::byte> durable() const { return durable_; }
    usize operations_under_way() const { return under_way_; }

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

private:
    struct Version {
        u64 sequence;
        std::vector<std::byte> bytes;
    };
    Task<DiskResult<void>> bad_day(CancelToken cancel);
    Task<DiskResult<void>> store(u64 sector, std::vector<std::byte> bytes, bool durable, CancelToken cancel);
    void put(u64 sector, std::span<const std::byte> bytes, bool durable);
    bool in_range(u64 sector, u64 count) const;

    u32 sector_size_;
    SeededRandom random_;
    MediumFaults faults_;
    std::vector<std::byte> durable_;
    std::map<u64, std::vector<Version>> volatile_;  // per sector, oldest first
    u64 sequence_ = 0;
    bool powered_ = true;
    usize under_way_ = 0;
    WaitQueue power_switch_;
    DiskSize size_;
};

}  // namespace undercroft
