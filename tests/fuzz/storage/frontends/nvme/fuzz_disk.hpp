// A small disk for fuzzing a frontend: what each operation does (pass, fail, take time, hang until cancelled) comes
// from a list of bytes. It checks that the memory it is handed is the guest's.
#pragma once

#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

#include "kernel/async/event.hpp"
#include "storage/disk_size.hpp"

namespace undercroft::test {

class FuzzDisk final : public DiskInterface {
public:
    static constexpr u64 sectors_max = 512;

    FuzzDisk(std::span<const std::byte> guest_memory, bool read_only, bool fua)
        : guest_memory_(guest_memory), data_(std::make_unique<std::byte[]>(sectors_max * 512)), size_(256) {
        facts_.read_only = read_only;
        facts_.fua_respected = fua;
        facts_.unmap = UnmapBehavior::zeroes;
    }

    /// Behaviours of the operations to come, used up one by one; then all pass.
    void plan(u8 behavior) {
        if (plan_.size() < 256) {
            plan_.push_back(behavior);
        }
    }
    /// From now on everything passes, and what hangs goes on.
    void heal() {
        plan_.clear();
        healed_.set();
    }
    void resize(u64 sectors) { size_.set(std::min(sectors, sectors_max)); }

    DiskFacts facts() const override { return facts_; }
    u64 sector_count() const override { return size_.get(); }
    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        CO_TRY(co_await behave(cancel));
        CO_TRY(check(sector, into));
        u64 offset = sector * 512;
        for (const MemorySegment& segment : into) {
            std::memcpy(segment.data, data_.get() + offset, segment.size);
            offset += segment.size;
        }
        co_return DiskResult<void>{};
    }
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess, CancelToken cancel) override {
        CO_TRY(co_await behave(cancel));
        CO_TRY(check(sector, from));
        u64 offset = sector * 512;
        for (const MemorySegment& segment : from) {
            std::memcpy(data_.get() + offset, segment.data, segment.size);
            offset += segment.size;
        }
        co_return DiskResult<void>{};
    }
    Task<DiskResult<void>> flush(CancelToken cancel) override { return behave(cancel); }
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override {
        CO_TRY(co_await behave(cancel));
        co_return zero(range);
    }
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool, ForceUnitAccess, CancelToken cancel) override {
        CO_TRY(co_await behave(cancel));
        co_return zero(range);
    }
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken) override {
        return Task<DiskResult<BlockStatus>>::ready(BlockStatus{.sectors = range.count, .state = BlockState::unknown});
    }
    Task<DiskResult<void>> eject() override {
        return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject));
    }
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override {
        return size_.wait(known_sectors, cancel);
    }

private:
    Task<DiskResult<void>> behave(CancelToken cancel) {
        u8 behavior = 0;
        if (!plan_.empty()) {
            behavior = plan_.back();
            plan_.pop_back();
        }
        Result<void> waited;
        switch (behavior >> 6) {
        case 1:
            co_return fail(static_cast<DiskError>(behavior % disk_error_count));
        case 2:
            waited = co_await sleep_for((behavior & 0x3f) * nanoseconds_per_millisecond, cancel);
            if (waited.error() == Error::cancelled) {
                co_return fail(DiskError::cancelled);
            }
            break;
        case 3:
            // Half of those that hang do not listen either, for a while.
            waited = co_await healed_.wait({.cancel = (behavior & 1) != 0 ? cancel : CancelToken{}});
            if (!waited) {
                co_return fail(DiskError::cancelled);
            }
            break;
        default:
            break;
        }
        co_return DiskResult<void>{};
    }
    DiskResult<void> check(u64 sector, SegmentList segments) const {
        u64 bytes = 0;
        for (const MemorySegment& segment : segments) {
            bytes += segment.size;
            // Compare and Verify read to memory of the controller's own: not in the arena at all, which is fine;
            // straddling its edge is not.
            bool begins_inside =
                segment.data >= guest_memory_.data() && segment.data < guest_memory_.data() + guest_memory_.size();
            if (segment.size == 0 ||
                (begins_inside && segment.data + segment.size > guest_memory_.data() + guest_memory_.size())) {
                std::abort();
            }
        }
        if (bytes % 512 != 0) {
            std::abort();
        }
        if (sector > sector_count() || bytes / 512 > sector_count() - sector) {
            return fail(DiskError::illegal_block);
        }
        return {};
    }
    DiskResult<void> zero(SectorRange range) {
        if (range.start > sector_count() || range.count > sector_count() - range.start) {
            return fail(DiskError::illegal_block);
        }
        std::memset(data_.get() + range.start * 512, 0, range.count * 512);
        return {};
    }

    std::span<const std::byte> guest_memory_;
    DiskFacts facts_;
    std::unique_ptr<std::byte[]> data_;
    std::vector<u8> plan_;
    Event healed_;
    DiskSize size_;
};

}  // namespace undercroft::test
