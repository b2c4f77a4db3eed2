// Pages that the device can reach, for data whose own memory it cannot use in place: lent a command at a time, with
// waiting. One executor's. A command takes all its pages at once and then needs nothing else that another command
// holds, so waiting cannot deadlock.
#pragma once

#include "drivers/device.hpp"
#include "drivers/nvme/options.hpp"
#include "drivers/nvme/prp.hpp"
#include "kernel/async/semaphore.hpp"

namespace undercroft::nvme::host {

class BounceMemory {
public:
    static constexpr usize pages_max = bounce_bytes_max / page_size;

    /// Some pages on loan, in no order. Given back by `release`.
    struct Loan {
        u16 pages[pages_max] = {};
        usize count = 0;
    };

    /// `pages` (at least `pages_max`) of device memory.
    static Result<std::unique_ptr<BounceMemory>> create(DeviceHost& host, usize pages);

    /// Waits for `count` pages, 1 to `pages_max`.
    Task<Result<void>> acquire(Loan& loan, usize count, WaitLimits limits);
    void release(Loan& loan);

    /// Copies `from` into the loan's pages, or `into` out of them.
    void copy_in(const Loan& loan, const SegmentView& from);
    void copy_out(const Loan& loan, const SegmentView& into);
    /// Points `prp` at the first `bytes` bytes of the loan.
    bool add_to(PrpBuilder& prp, const Loan& loan, usize bytes) const;

private:
    template <typename Copy>
    void for_each_piece(const Loan& loan, const SegmentView& view, Copy&& copy);
    explicit BounceMemory(usize pages) : available_(pages) {}

    DmaBuffer buffer_;
    std::unique_ptr<u16[]> free_;
    usize free_count_ = 0;
    Semaphore available_;
};

}  // namespace undercroft::nvme::host
