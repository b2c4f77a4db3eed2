// Makes a disk slow: reads, writes, flushes and unmaps wait before they are passed on. `write_zeroes` waits as a write,
// `compare` as a read. Times can be changed while the disk is in use, for operations that begin later. What waits is
// cancellable; everything else is the disk's below.
//
// How long: with an average alone, always that. With a 99th percentile as well, 2 in 100 operations are slow, spread
// evenly around the percentile (so that 1 in 100 lies above it), and the others are spread so that the average holds.
// That is a plain shape with both numbers true, not a model of any device.
#pragma once

#include "storage/composition.hpp"
#include "storage/forwarding_disk.hpp"
#include "storage/seeded_sequence.hpp"

namespace undercroft {

struct DelayTime {
    u64 average_ns = 0;
    u64 p99_ns = 0;  ///< 0: as the average; else `average_ns` to 50 times that
};

struct DelayOptions {
    DelayTime read = {};
    DelayTime write = {};
    DelayTime flush = {};
    DelayTime unmap = {};
    u64 seed = 1;
};

class DelayDisk final : public ForwardingDisk {
public:
    static constexpr u64 average_max_ns = 3600 * nanoseconds_per_second;

    /// The reason where a time cannot be.
    static Composition<std::shared_ptr<DelayDisk>> create(Disk below, const DelayOptions& options);

    /// Changes all times; nothing changes where there is a reason against it. The seed starts again.
    Composition<void> set(const DelayOptions& options);
    /// The times now. From any executor; consistent only where `set` is not under way.
    DelayOptions options() const;

    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override;
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override;
    Task<DiskResult<void>> flush(CancelToken cancel) override;
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override;
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override;
    Task<DiskResult<Comparison>> compare(u64 sector, SegmentList with, CancelToken cancel) override;

    /// Draws a time from `time`: for tests of the shape.
    static u64 draw(const DelayTime& time, SeededSequence& random);

private:
    struct LiveTime {
        std::atomic<u64> average_ns{0};
        std::atomic<u64> p99_ns{0};
        void store(const DelayTime& time);
        DelayTime load() const;
    };
    explicit DelayDisk(Disk below) : ForwardingDisk(std::move(below)) {}
    u64 delay_of(const LiveTime& time);

    LiveTime read_;
    LiveTime write_;
    LiveTime flush_;
    LiveTime unmap_;
    std::atomic<u64> seed_{1};
    SeededSequence random_{1};
};

}  // namespace undercroft
