// A disk for tests of the controller: a RAM disk behind a plan of what its next operations do: pass, fail, or be held
// until released or cancelled.
#pragma once

#include <deque>

#include "kernel/async/event.hpp"
#include "storage/backends/ram_disk.hpp"

namespace undercroft::test {

class FakeDisk final : public DiskInterface {
public:
    explicit FakeDisk(const RamDiskOptions& options) : inner_(*RamDisk::create(options)) { facts_ = inner_->facts(); }

    // What happens.
    DiskFacts facts_;
    std::optional<DiskError> fail_with;  ///< every operation, while set
    bool hold = false;                   ///< operations wait for `release`, or for their token
    bool ignores_cancel = false;         ///< held operations wait for `release` alone
    WaitQueue held;
    usize holding = 0;

    // What happened.
    usize reads = 0, writes = 0, fua_writes = 0, flushes = 0, unmaps = 0, zeroings = 0, unmapping_zeroings = 0;
    usize longest_list = 0;

    void release() {
        hold = false;
        held.notify_all();
    }
    /// Lets one of the held operations go on.
    void release_one() {
        passes_ = 1;
        held.notify_all();
    }
    RamDisk& inner() { return *inner_; }

    DiskFacts facts() const override { return facts_; }
    u64 sector_count() const override { return inner_->sector_count(); }
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        ++reads;
        longest_list = std::max(longest_list, into.size());
        CO_TRY(co_await gate(cancel));
        co_return co_await inner_->read(sector, into, cancel);
    }
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        ++writes;
        fua_writes += fua == ForceUnitAccess::yes ? 1 : 0;
        CO_TRY(co_await gate(cancel));
        co_return co_await inner_->write(sector, from, fua, cancel);
    }
    Task<DiskResult<void>> flush(CancelToken cancel) override {
        ++flushes;
        CO_TRY(co_await gate(cancel));
        co_return DiskResult<void>{};
    }
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override {
        ++unmaps;
        CO_TRY(co_await gate(cancel));
        co_return co_await inner_->unmap(range, cancel);
    }
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override {
        ++zeroings;
        unmapping_zeroings += allow_unmap ? 1 : 0;
        CO_TRY(co_await gate(cancel));
        co_return co_await inner_->write_zeroes(range, allow_unmap, fua, cancel);
    }
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override {
        return inner_->block_status(range, cancel);
    }
    Task<DiskResult<void>> eject() override { return inner_->eject(); }
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override {
        return inner_->wait_for_resize(known_sectors, cancel);
    }

private:
    Task<DiskResult<void>> gate(CancelToken cancel) {
        if (hold) {
            ++holding;
            while (hold) {
                Result<void> waited = co_await held.wait({.cancel = ignores_cancel ? CancelToken{} : cancel});
                if (!waited) {
                    --holding;
                    co_return fail(DiskError::cancelled);
                }
                if (passes_ > 0) {
                    --passes_;
                    break;
                }
            }
            --holding;
        }
        if (fail_with) {
            co_return fail(*fail_with);
        }
        co_return DiskResult<void>{};
    }
    std::shared_ptr<RamDisk> inner_;
    usize passes_ = 0;
};

}  // namespace undercroft::test
