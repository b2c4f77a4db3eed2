// A disk that fails on purpose: rules say which operations, where, how often and how. For trying guests, frontends and
// layers above; power loss is the simulation's work (hostsim/devices/simulated_medium.hpp).
//
// The first rule that matches an operation acts on it, and no other. Rules can be changed while the disk is in use;
// operations that are held stay so until `release` or their cancel token.
#pragma once

#include <array>

#include "kernel/base/spinlock.hpp"
#include "storage/composition.hpp"
#include "storage/disk_size.hpp"
#include "storage/forwarding_disk.hpp"
#include "storage/seeded_sequence.hpp"

namespace undercroft {

enum class FaultOperation : u8 {
    read = 1,
    write = 2,
    flush = 4,
    unmap = 8,
    write_zeroes = 16,
    block_status = 32,
    compare = 64,
};
using FaultOperations = u8;  ///< a set of them
inline constexpr FaultOperations all_fault_operations = 0x7f;
inline constexpr FaultOperations data_fault_operations = 3;  ///< reads and writes

enum class FaultAction : u8 {
    fail,     ///< ends with `error`; nothing is done below
    hold,     ///< waits for `release`, then goes on as if nothing had been
    delay,    ///< waits `delay_ns`, then goes on
    corrupt,  ///< one bit of each sector is flipped: of what was read, or of what is written
    /// Writes alone: only the first sectors are written, at least none and never all; ends with `error`, or, where there is
    /// none, as if all was well.
    tear,
};

struct FaultRule {
    FaultOperations operations = all_fault_operations;
    /// Operations that touch it; nothing: everywhere. Flushes touch everything.
    std::optional<SectorRange> range = std::nullopt;
    FaultAction action = FaultAction::fail;
    std::optional<DiskError> error = std::nullopt;  ///< `fail` needs one
    u64 delay_ns = 0;                               ///< `delay` needs one
    u64 skip = 0;                                   ///< so many matches pass first
    u64 count = 0;                                  ///< how often it acts; 0: without end
    u64 one_in = 1;                                 ///< of those left, one in so many, drawn from the seed
};

/// How often a rule acted, and how often it could have.
struct FaultCounters {
    u64 matched = 0;
    u64 acted = 0;
};

class FaultDisk final : public ForwardingDisk {
public:
    static constexpr usize rules_max = 16;
    static constexpr u64 delay_max_ns = 3600 * nanoseconds_per_second;

    /// The reason where a rule contradicts itself.
    static Composition<std::shared_ptr<FaultDisk>> create(Disk below, std::span<const FaultRule> rules, u64 seed = 1);

    /// Replaces all rules, with counters and seed as new. Nothing changes where there is a reason against it.
    Composition<void> set_rules(std::span<const FaultRule> rules, u64 seed = 1);
    /// Lets go of everything that is held now. From any executor.
    void release();
    /// Operations held now.
    u64 held() const { return held_.load(std::memory_order_relaxed); }
    usize rule_count() const;
    FaultRule rule(usize index) const;
    FaultCounters counters(usize index) const;

    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override;
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<Comparison>> compare(u64 sector, SegmentList with, CancelToken cancel) override;

private:
    /// What to do to one operation.
    struct Verdict {
        FaultAction action;
        std::optional<DiskError> error;
        u64 delay_ns;
        u64 random;
    };
    struct LiveRule {
        FaultRule rule;
        FaultCounters counters;
    };
    explicit FaultDisk(Disk below) : ForwardingDisk(std::move(below)) {}
    std::optional<Verdict> judge(FaultOperation operation, SectorRange range);
    u64 sectors_of(SegmentList segments) const { return total_bytes(segments) / below_.sector_size(); }
    Task<DiskResult<void>> wait_as_told(Verdict verdict, CancelToken cancel);
    template <typename T, typename Operation>
    Task<DiskResult<T>> faulty(Verdict verdict, CancelToken cancel, Operation operation);
    Task<DiskResult<void>> read_badly(Verdict verdict, u64 sector, SegmentList into, CancelToken cancel);
    Task<DiskResult<void>> write_badly(Verdict verdict, u64 sector, SegmentList from, ForceUnitAccess fua,
                                       CancelToken cancel);
    Task<DiskResult<void>> write_corrupted(Verdict verdict, u64 sector, SegmentList from, ForceUnitAccess fua,
                                           CancelToken cancel);
    Task<DiskResult<void>> write_torn(Verdict verdict, u64 sector, SegmentList from, ForceUnitAccess fua,
                                      CancelToken cancel);

    std::atomic<bool> has_rules_{false};
    mutable Spinlock lock_;  // the rules
    std::array<LiveRule, rules_max> rules_;
    usize rule_count_ = 0;
    SeededSequence random_{1};
    std::atomic<u64> held_{0};
    DiskSize releases_{0};  // not a size: a number that can be waited for from any executor
};

}  // namespace undercroft
