// SANITIZE of a block device (SBC-3 4.11): every block is overwritten or erased by a task of the unit's own, whoever resets
// it meanwhile, until that has ended or the unit is taken away; other commands are told how far it is. After a failure the
// unit keeps itself closed until a sanitize succeeds or, where that was agreed, the initiator leaves the failure. Leaves out
// the change of a cryptographic key, and a loss of power: then the operation is forgotten, and has to be asked for again.
#include <algorithm>

#include "kernel/async/wait_queue.hpp"
#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/pattern.hpp"

namespace undercroft::scsi {

namespace {

/// Of blocks that are erased: between two pieces, others run and the progress moves.
constexpr u64 erase_piece_bytes = 16 * mib;
/// For commands that were under way when the sanitize began.
constexpr u64 others_wait_ns = 120 * nanoseconds_per_second;
constexpr u64 others_look_ns = nanoseconds_per_millisecond;

/// SBC-3 table 83, followed by the pattern.
struct OverwriteHeader {
    u8 flags = 0;  // INVERT 80h, TEST 60h, OVERWRITE COUNT 1Fh
    u8 reserved = 0;
    Be<u16> pattern_bytes = 0;
};
static_assert(sizeof(OverwriteHeader) == 4 && offsetof(OverwriteHeader, pattern_bytes) == 2);
constexpr u8 overwrite_invert = 0x80;
constexpr u8 overwrite_test = 0x60;
constexpr u8 overwrite_count = 0x1f;

}  // namespace

Sense BlockUnit::unready_sense(AdditionalSense why_not) const {
    if (why_not == AdditionalSense::sanitize_failed) {
        return {.key = SenseKey::medium_error, .code = why_not};
    }
    Sense sense{.key = SenseKey::not_ready, .code = why_not};
    if (why_not == AdditionalSense::sanitize_in_progress) {
        sense.progress = sanitize_progress_.load(std::memory_order_relaxed);
    }
    return sense;
}

Completion BlockUnit::leave_sanitize_failure(const Request& request) {
    AdditionalSense now = readiness();
    if (now == AdditionalSense::sanitize_in_progress) {
        return check(request, unready_sense(now));
    }
    if (now == AdditionalSense::sanitize_failed) {
        if (!sanitize_unrestricted_.load(std::memory_order_relaxed)) {
            return refuse_field(request, 1);
        }
        (void)change_readiness(AdditionalSense::sanitize_failed, AdditionalSense::none);
    }
    return succeed(request);
}

Task<Completion> BlockUnit::sanitize(Cdb cdb, const Request& request) {
    if (cdb.service_action() == service_exit_failure_mode) {
        return Task<Completion>::ready(leave_sanitize_failure(request));
    }
    if (is_write_protected()) {
        return Task<Completion>::ready(failed(request, DiskError::read_only));
    }
    SanitizePlan plan{.is_unrestricted = (cdb[1] & cdb_sanitize_unrestricted) != 0,
                      .is_waited_for = (cdb[1] & cdb_sanitize_immediate) == 0,
                      .nexus = request.nexus};
    if (cdb.service_action() == service_block_erase) {
        return start_sanitize(std::move(plan), request);
    }
    OverwriteHeader header;
    u16 list_bytes = cdb.be16(7);
    if (list_bytes <= sizeof(header) || list_bytes > sizeof(header) + bytes_of(1)) {
        return Task<Completion>::ready(refuse_field(request, 7));
    }
    if (total_bytes(request.data_out) < list_bytes) {
        return Task<Completion>::ready(overrun(request));
    }
    SegmentCursor cursor(request.data_out);
    cursor.copy_out(std::as_writable_bytes(std::span(&header, 1)));
    if ((header.flags & overwrite_test) != 0 || (header.flags & overwrite_count) == 0) {
        return Task<Completion>::ready(refuse_parameter(request, offsetof(OverwriteHeader, flags)));
    }
    if (header.pattern_bytes != list_bytes - sizeof(header)) {
        return Task<Completion>::ready(refuse_parameter(request, offsetof(OverwriteHeader, pattern_bytes)));
    }
    plan.passes = header.flags & overwrite_count;
    plan.parameter_bytes = list_bytes;
    plan.inverts = (header.flags & overwrite_invert) != 0;
    // A pattern begins anew in each block (SBC-3 table 83): the last one of a block may be cut.
    usize block_bytes = static_cast<usize>(bytes_of(1));
    std::unique_ptr<std::byte[]> block(new (std::nothrow) std::byte[block_bytes]);
    plan.pattern_bytes = std::max<usize>(piece_bytes, block_bytes);
    if (block != nullptr) {
        cursor.copy_out({block.get(), header.pattern_bytes});
        for (usize at = header.pattern_bytes; at < block_bytes; ++at) {
            block[at] = block[at - header.pattern_bytes];
        }
        plan.pattern = repeated({block.get(), block_bytes}, plan.pattern_bytes);
    }
    if (plan.pattern == nullptr) {
        return Task<Completion>::ready(failed(request, DiskError::io));
    }
    return start_sanitize(std::move(plan), request);
}

Task<Completion> BlockUnit::start_sanitize(SanitizePlan plan, const Request& request) {
    u64 transferred = plan.parameter_bytes;
    AdditionalSense now = readiness();
    if (now == AdditionalSense::sanitize_failed && plan.is_unrestricted &&
        !sanitize_unrestricted_.load(std::memory_order_relaxed)) {
        co_return refuse_field(request, 1);
    }
    bool is_open = now == AdditionalSense::none || now == AdditionalSense::sanitize_failed;
    if (!is_open || !change_readiness(now, AdditionalSense::sanitize_in_progress)) {
        co_return check(request, unready_sense(readiness()));
    }
    sanitize_unrestricted_.store(plan.is_unrestricted, std::memory_order_relaxed);
    sanitize_progress_.store(0, std::memory_order_relaxed);
    bool waits = plan.is_waited_for;
    auto operation = std::make_shared<SanitizeOperation>(std::move(plan));
    sanitize_next_ = operation;
    sanitizes_begun_.set(sanitizes_begun_.get() + 1);
    if (!waits) {
        co_return succeed(request, transferred);
    }
    // An abort ends the wait, not the operation.
    DiskResult<u64> ended = co_await operation->outcome.wait(static_cast<u64>(SanitizeOutcome::open), request.cancel);
    operation->is_waited_for.store(false, std::memory_order_release);
    if (!ended) {
        co_return failed(request, ended.error());
    }
    bool has_failed = *ended == static_cast<u64>(SanitizeOutcome::failed);
    co_return has_failed ? check(request, unready_sense(AdditionalSense::sanitize_failed))
                         : succeed(request, transferred);
}

Task<void> BlockUnit::serve_sanitize(CancelToken cancel) {
    u64 known = sanitizes_begun_.get();
    is_watched_.store(true, std::memory_order_release);
    while (DiskResult<u64> begun = co_await sanitizes_begun_.wait(known, cancel)) {
        known = *begun;
        std::shared_ptr<SanitizeOperation> operation = std::move(sanitize_next_);
        DiskResult<void> result = co_await run_sanitize(*operation, cancel);
        // The unit is open before the command that waits ends: what its initiator sends next finds it so.
        (void)change_readiness(AdditionalSense::sanitize_in_progress,
                               result ? AdditionalSense::none : AdditionalSense::sanitize_failed);
        operation->outcome.set(static_cast<u64>(result ? SanitizeOutcome::done : SanitizeOutcome::failed));
    }
    is_watched_.store(false, std::memory_order_release);
}

// What was under way when the unit closed itself could still write over what is done here.
Task<DiskResult<void>> BlockUnit::wait_for_others(const SanitizeOperation& operation, CancelToken cancel) {
    u64 deadline_ns = Executor::current().now_ns() + others_wait_ns;
    while (commands_under_way() > (operation.is_waited_for.load(std::memory_order_acquire) ? 1 : 0)) {
        if (Executor::current().now_ns() > deadline_ns) {
            co_return fail(DiskError::timed_out);
        }
        if (Result<void> slept = co_await sleep_for(others_look_ns, cancel);
            !slept && slept.error() == Error::cancelled) {
            co_return fail(DiskError::cancelled);
        }
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> BlockUnit::run_sanitize(SanitizeOperation& operation, CancelToken cancel) {
    CO_TRY(co_await wait_for_others(operation, cancel));
    const SanitizePlan& plan = operation.plan;
    const Disk& disk = disk_of(plan.nexus);
    u64 piece_blocks = (plan.pattern != nullptr ? plan.pattern_bytes : erase_piece_bytes) >> block_shift_;
    for (u32 pass = 0; pass < plan.passes; ++pass) {
        for (usize at = 0; pass > 0 && plan.inverts && at < plan.pattern_bytes; ++at) {
            plan.pattern[at] = ~plan.pattern[at];
        }
        // The size is asked for each time: a disk that grows is sanitized to its end.
        for (u64 at = 0; at < disk.sector_count(); at += piece_blocks) {
            u64 size = disk.sector_count();
            CO_TRY(
                co_await sanitize_piece(operation, {.start = at, .count = std::min(piece_blocks, size - at)}, cancel));
            u64 done = (u64{pass} << 16) + (at / piece_blocks << 16) / (size / piece_blocks + 1);
            sanitize_progress_.store(static_cast<u16>(done / plan.passes), std::memory_order_relaxed);
            co_await yield();
            if (cancel.is_cancelled()) {
                co_return fail(DiskError::cancelled);
            }
        }
        CO_TRY(co_await disk.flush(cancel));
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> BlockUnit::sanitize_piece(SanitizeOperation& operation, SectorRange range, CancelToken cancel) {
    const SanitizePlan& plan = operation.plan;
    const Disk& disk = disk_of(plan.nexus);
    if (plan.pattern == nullptr) {
        return disk.write_zeroes(range, true, ForceUnitAccess::no, cancel);
    }
    operation.segment = {.data = plan.pattern.get(), .size = static_cast<usize>(bytes_of(range.count))};
    return disk.write(range.start, {&operation.segment, 1}, ForceUnitAccess::no, cancel);
}

}  // namespace undercroft::scsi
