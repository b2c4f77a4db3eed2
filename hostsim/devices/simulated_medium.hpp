// A disk with a volatile write cache, bad days and a power switch: what lies behind a simulated controller, or directly
// under a pipeline. Outlives power cycles.
//
// The fault model. Each operation may be delayed (and so overtaken by others), fail, be stuck until it is cancelled, or
// be wedged: not even a cancel ends it, only the power switch. A failed write may have been done in part. With the
// power, each sector falls back on its own to any version since the last flush that covers it: writes are lost,
// reordered, and torn between sectors; a single sector is never torn. A flush makes durable what had completed when it
// began. A new size is durable at once; what lies past a smaller one is dropped, and reads as zeros should it grow
// again.
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

/// What kind of disk it is: facts that `DiskFacts` tells of it.
struct MediumKind {
    u32 sector_size = 512;
    bool fua_respected = true;
    /// `zeroes` or `ignored`.
    UnmapBehavior unmap = UnmapBehavior::ignored;
    bool knows_holes = false;  ///< only with `zeroes`
};

class SimulatedMedium final : public DiskInterface {
public:
    SimulatedMedium(u64 sectors, const MediumKind& kind, u64 seed);
    SimulatedMedium(u64 sectors, u32 sector_size, u64 seed)
        : SimulatedMedium(sectors, MediumKind{.sector_size = sector_size}, seed) {}

    void set_faults(const MediumFaults& faults) { faults_ = faults; }
    /// Ends everything under way with `gone`, and decides what of the volatile cache survives.
    void power_off();
    void power_on() { powered_ = true; }
    void resize(u64 sectors);
    /// Asked before a read touches memory: whether the device above may still do that. Empty: always.
    std::function<bool()> may_touch_memory;
    /// What is durable now, holes as zeros.
    std::span<const std::byte> durable() const { return durable_; }
    usize operations_under_way() const { return under_way_; }
    /// Operations that were made to fail, to stick or to be wedged.
    u64 injected() const { return injected_; }

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
    /// One sector's contents; none: a hole.
    using Contents = std::vector<std::byte>;
    struct Version {
        u64 sequence;
        Contents bytes;
    };
    Task<DiskResult<void>> bad_day(CancelToken cancel);
    Task<DiskResult<void>> store(SectorRange range, Contents bytes, bool durable, CancelToken cancel);
    void put(u64 sector, std::span<const std::byte> bytes, bool durable);
    void put_durable(u64 sector, std::span<const std::byte> bytes);
    bool is_hole(u64 sector) const;
    bool in_range(u64 sector, u64 count) const;

    MediumKind kind_;
    SeededRandom random_;
    MediumFaults faults_;
    Contents durable_;
    std::vector<bool> durable_data_;                // per sector: not a hole
    std::map<u64, std::vector<Version>> volatile_;  // per sector, oldest first
    u64 sequence_ = 0;
    bool powered_ = true;
    usize under_way_ = 0;
    u64 injected_ = 0;
    WaitQueue power_switch_;
    DiskSize size_;
};

}  // namespace undercroft
