// Disks that tests and benchmarks put under or over others: one that forwards everything, one that takes its time, one
// that stores nothing, one that is held.
#pragma once

#include <vector>

#include "kernel/async/event.hpp"
#include "storage/forwarding_disk.hpp"
#include "storage/segments.hpp"

namespace undercroft::test {

/// The least that a layer can be: forwards every operation as the task it got.
class PassThroughDisk : public ForwardingDisk {
public:
    using ForwardingDisk::ForwardingDisk;
};

/// Forwards as a coroutine, which lets others run before and after: operations overlap and complete out of order.
class SlowDisk final : public PassThroughDisk {
public:
    explicit SlowDisk(Disk below, u64 seed = 1) : PassThroughDisk(std::move(below)), state_(seed) {}
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        return dawdle(below_.read(sector, into, cancel));
    }
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        return write_later(sector, from, fua, cancel);
    }
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override {
        return dawdle(below_.unmap(range, cancel));
    }
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override {
        return dawdle(below_.block_status(range, cancel));
    }

private:
    template <typename T>
    Task<T> dawdle(Task<T> task) {
        T result = co_await std::move(task);
        for (u64 count = next() % 4; count > 0; --count) {
            co_await yield();
        }
        co_return result;
    }
    Task<DiskResult<void>> write_later(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
        for (u64 count = next() % 4; count > 0; --count) {
            co_await yield();
        }
        co_return co_await below_.write(sector, from, fua, cancel);
    }
    u64 next() { return (state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL) >> 33; }
    u64 state_;
};

/// Answers everything at once and touches no memory: what is measured over it is what is above it.
class NullDisk final : public DiskInterface {
public:
    explicit NullDisk(u64 sectors, u32 sector_size = 4096) : sectors_(sectors), sector_size_(sector_size) {}
    DiskFacts facts() const override {
        return {.sector_size = sector_size_, .physical_sector_size = sector_size_, .id = {}};
    }
    u64 sector_count() const override { return sectors_; }
    Task<DiskResult<void>> read(u64, SegmentList, CancelToken) override { return done(); }
    Task<DiskResult<void>> write(u64, SegmentList, ForceUnitAccess, CancelToken) override { return done(); }
    Task<DiskResult<void>> flush(CancelToken) override { return done(); }
    Task<DiskResult<void>> unmap(SectorRange, CancelToken) override { return done(); }
    Task<DiskResult<void>> write_zeroes(SectorRange, bool, ForceUnitAccess, CancelToken) override { return done(); }
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken) override {
        return Task<DiskResult<BlockStatus>>::ready(BlockStatus{.sectors = range.count, .state = BlockState::unknown});
    }
    Task<DiskResult<void>> eject() override { return done(); }
    Task<DiskResult<u64>> wait_for_resize(u64, CancelToken) override {
        return Task<DiskResult<u64>>::ready(fail(DiskError::gone));
    }

private:
    static Task<DiskResult<void>> done() { return Task<DiskResult<void>>::ready({}); }
    u64 sectors_;
    u32 sector_size_;
};

/// Holds reads, writes and flushes until it is released or they are cancelled; notes what was asked of it, and with
/// what.
class HeldDisk final : public PassThroughDisk {
public:
    explicit HeldDisk(Disk below) : PassThroughDisk(std::move(below)) {}
    Event released;
    usize held = 0;   ///< operations that wait now
    usize calls = 0;  ///< reads and writes that came in all
    usize flushes = 0;
    usize fua_writes = 0;
    u64 largest_bytes = 0;  ///< of one read or write

    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        note(into);
        ++held;
        Result<void> outcome = co_await released.wait({.cancel = cancel});
        --held;
        if (!outcome) {
            co_return fail(DiskError::cancelled);
        }
        co_return co_await below_.read(sector, into, cancel);
    }
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        note(from);
        fua_writes += fua == ForceUnitAccess::yes ? 1 : 0;
        ++held;
        Result<void> outcome = co_await released.wait({.cancel = cancel});
        --held;
        if (!outcome) {
            co_return fail(DiskError::cancelled);
        }
        co_return co_await below_.write(sector, from, fua, cancel);
    }
    Task<DiskResult<void>> flush(CancelToken cancel) override {
        ++flushes;
        if (!co_await released.wait({.cancel = cancel})) {
            co_return fail(DiskError::cancelled);
        }
        co_return co_await below_.flush(cancel);
    }

private:
    void note(SegmentList segments) {
        ++calls;
        largest_bytes = std::max(largest_bytes, total_bytes(segments));
    }
};

}  // namespace undercroft::test
