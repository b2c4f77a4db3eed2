// The commands of a block device that read and compare what is there: VERIFY, WRITE AND VERIFY, COMPARE AND WRITE (SBC-3
// clause 5).
#include <algorithm>

#include "kernel/async/wait_queue.hpp"
#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/data_part.hpp"
#include "storage/scsi/extent.hpp"
#include "storage/scsi/pattern.hpp"

namespace undercroft::scsi {

namespace {

/// BYTCHK (SBC-3 table 135), bits 1 and 2 of byte 1.
enum class ByteCheck : u8 { none = 0, all = 1, reserved = 2, one_block = 3 };
ByteCheck byte_check(const Cdb& cdb) { return static_cast<ByteCheck>(cdb[1] >> 1 & 3); }

}  // namespace

Completion BlockUnit::compared(const Request& request, const DiskResult<Comparison>& result, u64 transferred) const {
    if (!result) {
        return failed(request, result.error());
    }
    if (!result->equal) {
        return check(request, Sense{.key = SenseKey::miscompare,
                                    .code = AdditionalSense::miscompare_during_verify,
                                    .information = result->first_difference_bytes});
    }
    return succeed(request, transferred);
}

Task<DiskResult<void>> BlockUnit::write_durably(const Request& request, u64 sector, SegmentList from, bool durable) {
    const Disk& disk = disk_of(request);
    bool by_disk = durable && disk.facts().fua_respected;
    CO_TRY(co_await disk.write(sector, from, by_disk ? ForceUnitAccess::yes : ForceUnitAccess::no, request.cancel));
    if (durable && !by_disk) {
        co_return co_await disk.flush(request.cancel);
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> BlockUnit::read_through(const Request& request, SectorRange range) {
    u64 piece_blocks = std::max<u64>(piece_bytes >> block_shift_, 1);
    auto bytes = static_cast<usize>(bytes_of(std::min(piece_blocks, range.count)));
    std::unique_ptr<std::byte[]> scratch(new (std::nothrow) std::byte[bytes]);
    if (scratch == nullptr) {
        co_return fail(DiskError::io);
    }
    for (u64 done = 0; done < range.count; done += piece_blocks) {
        u64 blocks = std::min(piece_blocks, range.count - done);
        MemorySegment piece{.data = scratch.get(), .size = static_cast<usize>(bytes_of(blocks))};
        CO_TRY(co_await disk_of(request).read(range.start + done, {&piece, 1}, request.cancel));
    }
    co_return DiskResult<void>{};
}

Task<Completion> BlockUnit::verify(Cdb cdb, const Request& request) {
    SectorRange range = extent_of(cdb);
    ByteCheck check_bytes = byte_check(cdb);
    if (check_bytes == ByteCheck::reserved) {
        co_return refuse_field(request, 1);
    }
    if (std::optional<Completion> refused = refuse(request, range, false)) {
        co_return *refused;
    }
    if (check_bytes == ByteCheck::none) {
        DiskResult<void> result = co_await read_through(request, range);
        co_return result ? succeed(request) : failed(request, result.error());
    }
    bool one_block = check_bytes == ByteCheck::one_block;
    u64 data_bytes = bytes_of(one_block ? 1 : range.count);
    if (total_bytes(request.data_out) < data_bytes) {
        co_return overrun(request);
    }
    if (!one_block) {
        auto part = part_of(request.data_out, data_bytes);
        if (part == nullptr) {
            co_return failed(request, DiskError::io);
        }
        co_return compared(request, co_await disk_of(request).compare(range.start, part->list(), request.cancel),
                           data_bytes);
    }
    auto block = first_block(request.data_out, static_cast<usize>(data_bytes));
    DiskResult<Comparison> result = fail(DiskError::io);
    for (u64 done = 0; block != nullptr && done < range.count && (done == 0 || (result && result->equal)); ++done) {
        MemorySegment piece{.data = block.get(), .size = static_cast<usize>(data_bytes)};
        result = co_await disk_of(request).compare(range.start + done, {&piece, 1}, request.cancel);
        if (result) {
            result->first_difference_bytes += bytes_of(done);
        }
    }
    co_return compared(request, result, data_bytes);
}

Task<Completion> BlockUnit::write_and_verify(Cdb cdb, const Request& request) {
    SectorRange range = extent_of(cdb);
    ByteCheck check_bytes = byte_check(cdb);
    if (check_bytes != ByteCheck::none && check_bytes != ByteCheck::all) {
        co_return refuse_field(request, 1);
    }
    if (std::optional<Completion> refused = refuse(request, range, true)) {
        co_return *refused;
    }
    u64 bytes = bytes_of(range.count);
    if (total_bytes(request.data_out) < bytes) {
        co_return overrun(request);
    }
    auto part = part_of(request.data_out, bytes);
    DiskResult<void> result = fail(DiskError::io);
    if (part != nullptr) {
        // What is verified is the medium, not a cache.
        result = co_await write_durably(request, range.start, part->list(), true);
    }
    if (result && check_bytes == ByteCheck::all) {
        co_return compared(request, co_await disk_of(request).compare(range.start, part->list(), request.cancel),
                           bytes);
    }
    if (result) {
        result = co_await read_through(request, range);
    }
    co_return result ? succeed(request, bytes) : failed(request, result.error());
}

Task<Completion> BlockUnit::compare_and_write(Cdb cdb, const Request& request) {
    constexpr u64 wait_ns = 50 * nanoseconds_per_microsecond;
    constexpr u64 patience_ns = 20 * nanoseconds_per_second;
    SectorRange range{.start = cdb.be64(2), .count = cdb[13]};
    if (std::optional<Completion> refused = refuse(request, range, true)) {
        co_return *refused;
    }
    u64 bytes = bytes_of(range.count);
    if (total_bytes(request.data_out) < 2 * bytes) {
        co_return overrun(request);
    }
    auto expected = part_of(request.data_out, bytes);
    auto next = part_of(request.data_out, bytes, bytes);
    if (expected == nullptr || next == nullptr) {
        co_return failed(request, DiskError::io);
    }
    u64 deadline_ns = Executor::current().now_ns() + patience_ns;
    // Commands of other executors may hold it: nobody can notify across, so this looks again.
    while (comparing_.exchange(true, std::memory_order_acquire)) {
        if (Executor::current().now_ns() > deadline_ns) {
            Completion busy = succeed(request);
            busy.status = Status::busy;
            co_return busy;
        }
        if (Result<void> slept = co_await sleep_for(wait_ns, request.cancel);
            !slept && slept.error() == Error::cancelled) {
            co_return failed(request, DiskError::cancelled);
        }
    }
    DiskResult<Comparison> comparison =
        co_await disk_of(request).compare(range.start, expected->list(), request.cancel);
    DiskResult<void> written;
    if (comparison && comparison->equal) {
        bool durable = must_be_durable((cdb[1] & cdb_force_unit_access) != 0);
        written = co_await write_durably(request, range.start, next->list(), durable);
    }
    comparing_.store(false, std::memory_order_release);
    co_return written ? compared(request, comparison, 2 * bytes) : failed(request, written.error());
}

}  // namespace undercroft::scsi
