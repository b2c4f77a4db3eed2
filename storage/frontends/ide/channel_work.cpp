// The executor's side of a channel: a coroutine that takes one job after the other, as long as there are any.
#include <algorithm>
#include <cstring>

#include "storage/frontends/ide/channel.hpp"
#include "storage/frontends/ide/channel_limits.hpp"
#include "storage/segments.hpp"

namespace undercroft::ide {

namespace {

SectorRange trim_range(const std::byte* at) {
    ata::TrimRange entry;
    std::memcpy(&entry, at, sizeof(entry));
    constexpr unsigned lba_bits = 48;
    return {entry & ((u64{1} << lba_bits) - 1), entry >> lba_bits};
}

/// A cancellation that nobody but the clock asked for is a failure of the disk.
DiskResult<void> judge(const LoneTask::Step& step, DiskResult<void> outcome) {
    bool is_late = step.is_late() && !outcome && outcome.error() == DiskError::cancelled;
    return is_late ? DiskResult<void>(fail(DiskError::timed_out)) : outcome;
}

}  // namespace

bool Channel::take_job() {
    bool reset_is_held = (control_ & ata::control_bit::software_reset) != 0;
    if (reset_wanted_) {
        job_ = reset_is_held ? Job::none : Job::reset;
    } else if (step_wanted_) {
        step_wanted_ = false;
        job_ = Job::step;
    } else {
        job_ = int13_wanted_ ? Job::int13 : Job::none;
    }
    return job_ != Job::none;
}

Task<void> Channel::do_job() {
    switch (job_) {
    case Job::none:
        break;
    case Job::reset:
        finish_reset();
        break;
    case Job::step:
        co_await run_step();
        break;
    case Job::int13:
        co_await run_int13();
        break;
    }
}

void Channel::finish_reset() {
    SpinlockGuard guard(lock_);
    reset_wanted_ = false;
    step_wanted_ = false;
    task_.settle();
    int13_wanted_.reset();
    phase_ = Phase::idle;
    if (!std::exchange(reset_keeps_selection_, false)) {
        selected_ = 0;
    }
    packet_ = {};
    for (const std::unique_ptr<Drive>& drive : drives_) {
        if (drive != nullptr) {
            drive->reset();
        }
    }
    resume_guests();
    update_line();
}

Task<void> Channel::run_step() {
    Drive& drive = *drives_[active_];
    if (operation_.is_dma) {
        start_walk();
    }
    finish_step(drive, co_await run_bounded(drive));
}

Task<DiskResult<void>> Channel::run_bounded(const Drive& drive) {
    LoneTask::Step step(task_, step_deadline_ns_);
    if (operation_.action == Action::packet) {
        co_return judge(step, co_await run_packet(drive, step.token()));
    }
    if (operation_.action == Action::trim) {
        co_return judge(step, co_await run_trim(drive, step.token()));
    }
    if (operation_.is_dma) {
        co_return judge(step, co_await run_bus_master(drive, step.token()));
    }
    co_return judge(step, co_await run_buffered(drive, step.token()));
}

/// The operation's next `sectors`, between the disk and `segments`.
Task<DiskResult<void>> Channel::access_disk(const Drive& drive, SegmentList segments, u64 sectors, CancelToken token) {
    const Disk& disk = drive.disk();
    if (operation_.action == Action::write) {
        bool is_fua = operation_.is_durable && disk.facts().fua_respected;
        CO_TRY(
            co_await disk.write(operation_.lba, segments, is_fua ? ForceUnitAccess::yes : ForceUnitAccess::no, token));
        if (operation_.is_durable && !is_fua) {
            CO_TRY(co_await disk.flush(token));
        }
    } else {
        CO_TRY(co_await disk.read(operation_.lba, segments, token));
    }
    operation_.lba += sectors;
    operation_.sectors_left -= sectors;
    co_return DiskResult<void>{};
}

/// A buffer full, to or from the disk; of a verification, all of it.
Task<DiskResult<void>> Channel::run_buffered(const Drive& drive, CancelToken token) {
    if (operation_.action == Action::flush) {
        co_return co_await drive.disk().flush(token);
    }
    do {
        u64 sectors = std::min<u64>(operation_.sectors_left, buffer_bytes_max / drive.sector_size());
        MemorySegment segment{buffer_.get(), static_cast<usize>(sectors * drive.sector_size())};
        CO_TRY(co_await access_disk(drive, {&segment, 1}, sectors, token));
        buffer_bytes_ = segment.size;
    } while (operation_.action == Action::verify && operation_.sectors_left > 0);
    co_return DiskResult<void>{};
}

/// As much of the operation as the table has regions for.
Task<DiskResult<void>> Channel::run_bus_master(const Drive& drive, CancelToken token) {
    while (operation_.sectors_left > 0) {
        if (token.is_cancelled()) {
            co_return fail(DiskError::cancelled);
        }
        u64 wanted = std::min(operation_.sectors_left * drive.sector_size(), bus_master_piece_bytes);
        Result<SegmentList> regions = walker_.next(memory_, wanted, drive.sector_size());
        if (!regions) {
            co_return fail(DiskError::memory_access);
        }
        u64 sectors = total_bytes(*regions) / drive.sector_size();
        if (sectors == 0) {
            break;
        }
        CO_TRY(co_await access_disk(drive, *regions, sectors, token));
    }
    co_return DiskResult<void>{};
}

void Channel::start_walk() {
    SpinlockGuard guard(lock_);
    if (bus_master_.take_start()) {
        walker_.start(bus_master_.table());
    }
}

/// The ranges, all checked before the first is given up; neighbours go together.
Task<DiskResult<void>> Channel::run_trim(const Drive& drive, CancelToken token) {
    usize bytes = static_cast<usize>(operation_.sectors_left) * ata::trim_block_bytes;
    Result<SegmentList> regions = walker_.next(memory_, bytes, ata::trim_block_bytes);
    if (!regions || total_bytes(*regions) != bytes) {
        co_return fail(DiskError::memory_access);
    }
    SegmentCursor(*regions).copy_out({buffer_.get(), bytes});
    for (usize at = 0; at < bytes; at += sizeof(ata::TrimRange)) {
        SectorRange range = trim_range(buffer_.get() + at);
        if (range.start > drive.sector_count() || range.count > drive.sector_count() - range.start) {
            co_return fail(DiskError::illegal_block);
        }
    }
    SectorRange pending{};
    for (usize at = 0; at < bytes; at += sizeof(ata::TrimRange)) {
        SectorRange range = trim_range(buffer_.get() + at);
        if (range.count == 0) {
            continue;
        }
        if (pending.start + pending.count == range.start) {
            pending.count += range.count;
            continue;
        }
        CO_TRY(co_await drive.disk().unmap(pending, token));
        pending = range;
    }
    CO_TRY(co_await drive.disk().unmap(pending, token));
    operation_.sectors_left = 0;
    co_return DiskResult<void>{};
}

/// The disk has done what it was asked, or has not: what comes next.
void Channel::finish_step(Drive& drive, DiskResult<void> outcome) {
    SpinlockGuard guard(lock_);
    if (reset_wanted_ || task_.is_closed()) {
        return resume_guests();
    }
    bool was_stopped = task_.is_cancelled() && !outcome && outcome.error() == DiskError::cancelled;
    task_.settle();
    resume_guests();
    if (operation_.action == Action::packet) {
        return finish_packet(drive, !outcome);
    }
    if (was_stopped) {
        return wait_for_bus_master();
    }
    if (!outcome) {
        return fail_step(drive, outcome.error());
    }
    if (operation_.is_dma) {
        bus_master_.finish(operation_.sectors_left > 0 || walker_.is_used_up());
        return operation_.sectors_left > 0 ? wait_for_bus_master() : complete(drive);
    }
    if (operation_.action == Action::read) {
        buffer_at_ = 0;
        phase_ = Phase::data_to_guest;
        return offer_block(drive, true);
    }
    if (operation_.sectors_left > 0) {
        return expect_data(drive, true);
    }
    if (operation_.action == Action::flush) {
        drive.power = operation_.power_after;
    }
    complete(drive);
}

void Channel::fail_step(Drive& drive, DiskError error) {
    ErrorReport report = report_of(error);
    if (operation_.is_dma && report.is_memory) {
        bus_master_.fail_transfer();
    }
    drive.report_lba(operation_.lba, operation_.is_ext);
    complete_with(drive, report);
}

/// With the lock held: the calling processor does not run its guest until the step that is under way has ended.
void Channel::pause_guest() {
    if (paused_count_ < paused_.size()) {
        paused_[paused_count_++] = pause_.pause();
    }
}

void Channel::resume_guests() {
    while (paused_count_ > 0) {
        pause_.resume(paused_[--paused_count_]);
    }
}

}  // namespace undercroft::ide
