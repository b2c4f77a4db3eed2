// The commands of a block device that compare, erase, or only tell (SBC-3 clause 5).
#include <algorithm>
#include <bit>
#include <cstring>

#include "kernel/async/wait_queue.hpp"
#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/data_part.hpp"
#include "storage/scsi/extent.hpp"
#include "storage/scsi/response.hpp"

namespace undercroft::scsi {

namespace {

/// One read, write or comparison of those that are done in pieces.
constexpr u64 piece_bytes = DiskInterface::compare_piece_bytes;

/// BYTCHK (SBC-3 table 135), bits 1 and 2 of byte 1.
enum class ByteCheck : u8 { none = 0, all = 1, reserved = 2, one_block = 3 };
ByteCheck byte_check(const Cdb& cdb) { return static_cast<ByteCheck>(cdb[1] >> 1 & 3); }

/// Memory of `bytes` in which `block` stands again and again; null where there is none.
std::unique_ptr<std::byte[]> repeated(std::span<const std::byte> block, usize bytes) {
    std::unique_ptr<std::byte[]> memory(new (std::nothrow) std::byte[bytes]);
    for (usize at = 0; memory != nullptr && at < bytes; at += block.size()) {
        std::memcpy(memory.get() + at, block.data(), block.size());
    }
    return memory;
}

/// The first block that an initiator offers, copied, so that it cannot change any more; null where there is no memory.
std::unique_ptr<std::byte[]> first_block(SegmentList data, usize block_bytes) {
    std::unique_ptr<std::byte[]> block(new (std::nothrow) std::byte[block_bytes]);
    if (block != nullptr) {
        SegmentCursor(data).copy_out({block.get(), block_bytes});
    }
    return block;
}

/// SBC-3 table 116, followed by descriptors.
struct UnmapHeader {
    Be<u16> data_bytes = 0;        // of what follows this field
    Be<u16> descriptor_bytes = 0;  // of the descriptors
    u8 reserved[4] = {};
};
static_assert(sizeof(UnmapHeader) == 8 && offsetof(UnmapHeader, reserved) == 4);

/// SBC-3 table 117.
struct UnmapDescriptor {
    Be<u64> lba = 0;
    Be<u32> blocks = 0;
    u8 reserved[4] = {};
};
static_assert(sizeof(UnmapDescriptor) == 16 && offsetof(UnmapDescriptor, reserved) == 12);

/// SBC-3 table 47.
struct LbaStatusDescriptor {
    Be<u64> lba = 0;
    Be<u32> blocks = 0;
    u8 provisioning = 0;  // 0 mapped, 1 deallocated
    u8 reserved[3] = {};
};
static_assert(sizeof(LbaStatusDescriptor) == 16 && offsetof(LbaStatusDescriptor, reserved) == 13);

constexpr usize lba_status_descriptors_max = 32;
/// Of a disk that tells a block at a time.
constexpr usize lba_status_questions_max = 1024;

}  // namespace

Task<Completion> BlockUnit::run_rare(const Command& command, Cdb cdb, const Request& request) {
    switch (command.opcode) {
    case Opcode::verify_10:
    case Opcode::verify_12:
    case Opcode::verify_16:
        return verify(cdb, request);
    case Opcode::write_and_verify_10:
    case Opcode::write_and_verify_12:
    case Opcode::write_and_verify_16:
        return write_and_verify(cdb, request);
    case Opcode::write_atomic_16: {
        // One block is what `Disk` writes whole or not at all; it is also what page B0h promises.
        SectorRange range{.start = cdb.be64(2), .count = cdb.be16(12)};
        if (range.count > 1) {
            return Task<Completion>::ready(refuse_field(request, 12));
        }
        if (std::optional<Completion> refused = refuse(request, range, true)) {
            return Task<Completion>::ready(*refused);
        }
        return write(request, range, must_be_durable((cdb[1] & cdb_force_unit_access) != 0));
    }
    case Opcode::compare_and_write:
        return compare_and_write(cdb, request);
    case Opcode::write_same_10:
    case Opcode::write_same_16:
        return write_same(cdb, request);
    case Opcode::unmap:
        return unmap(cdb, request);
    case Opcode::synchronize_cache_10:
    case Opcode::synchronize_cache_16:
        return synchronize(cdb, request);
    case Opcode::format_unit:
        return format(cdb, request);
    case Opcode::start_stop_unit:
        return start_stop(cdb, request);
    case Opcode::persistent_reserve_in:
        return reserve_in(cdb, request);
    case Opcode::persistent_reserve_out:
        return reserve_out(cdb, request);
    case Opcode::read_capacity_10:
        return Task<Completion>::ready(read_capacity_10(request));
    case Opcode::service_action_in_16:
        return command.service_action == service_get_lba_status
                   ? lba_status(cdb, request)
                   : Task<Completion>::ready(read_capacity_16(cdb, request));
    default:
        return LogicalUnit::run(command, cdb, request);
    }
}

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

Task<Completion> BlockUnit::write_same(Cdb cdb, const Request& request) {
    SectorRange range = extent_of(cdb);
    bool may_unmap = (cdb[1] & cdb_unmap) != 0;
    bool has_data = cdb.opcode() == Opcode::write_same_10 || (cdb[1] & cdb_no_data_out) == 0;
    if (may_unmap && disk().facts().unmap == UnmapBehavior::ignored) {
        co_return refuse_field(request, 1);
    }
    if (range.count == 0) {
        co_return refuse_field(request, cdb.opcode() == Opcode::write_same_10 ? 7 : 10);  // WSNZ of page B0h
    }
    if (std::optional<Completion> refused = refuse(request, range, true)) {
        co_return *refused;
    }
    auto block_bytes = static_cast<usize>(bytes_of(1));
    if (has_data && total_bytes(request.data_out) < block_bytes) {
        co_return overrun(request);
    }
    auto block = has_data ? first_block(request.data_out, block_bytes) : nullptr;
    if (has_data && block == nullptr) {
        co_return failed(request, DiskError::io);
    }
    u64 transferred = has_data ? block_bytes : 0;
    bool durable = must_be_durable(false);
    DiskResult<void> result;
    if (block == nullptr ||
        std::all_of(block.get(), block.get() + block_bytes, [](std::byte byte) { return byte == std::byte{0}; })) {
        result = co_await disk_of(request).write_zeroes(range, may_unmap, ForceUnitAccess::no, request.cancel);
    } else {
        u64 piece_blocks = std::max<u64>(piece_bytes >> block_shift_, 1);
        auto bytes = static_cast<usize>(bytes_of(std::min(piece_blocks, range.count)));
        auto memory = repeated({block.get(), block_bytes}, bytes);
        result = memory == nullptr ? DiskResult<void>(fail(DiskError::io)) : DiskResult<void>{};
        for (u64 done = 0; result && done < range.count; done += piece_blocks) {
            u64 blocks = std::min(piece_blocks, range.count - done);
            MemorySegment piece{.data = memory.get(), .size = static_cast<usize>(bytes_of(blocks))};
            result =
                co_await disk_of(request).write(range.start + done, {&piece, 1}, ForceUnitAccess::no, request.cancel);
        }
    }
    if (result && durable) {
        result = co_await disk_of(request).flush(request.cancel);
    }
    co_return result ? succeed(request, transferred) : failed(request, result.error());
}

Task<Completion> BlockUnit::unmap(Cdb cdb, const Request& request) {
    u32 list_bytes = cdb.be16(7);
    if (is_write_protected()) {
        co_return failed(request, DiskError::read_only);
    }
    if (list_bytes == 0) {
        co_return succeed(request);
    }
    if (total_bytes(request.data_out) < list_bytes) {
        co_return overrun(request);
    }
    UnmapHeader header;
    SegmentCursor cursor(request.data_out);
    if (list_bytes >= sizeof(header)) {
        cursor.copy_out(std::as_writable_bytes(std::span(&header, 1)));
    }
    if (list_bytes < sizeof(header) || header.descriptor_bytes > list_bytes - sizeof(header)) {
        co_return check(request, SenseKey::illegal_request, AdditionalSense::parameter_list_length_error);
    }
    // What is left of a descriptor that does not fit is ignored (SBC-3 5.30.2).
    usize count = header.descriptor_bytes / sizeof(UnmapDescriptor);
    if (count > unmap_descriptors_max) {
        co_return refuse_parameter(request, offsetof(UnmapHeader, descriptor_bytes));
    }
    for (usize index = 0; index < count; ++index) {
        UnmapDescriptor descriptor;
        cursor.copy_out(std::as_writable_bytes(std::span(&descriptor, 1)));
        SectorRange range{.start = descriptor.lba, .count = descriptor.blocks};
        if (DiskResult<void> result = co_await disk_of(request).unmap(range, request.cancel); !result) {
            co_return failed(request, result.error());
        }
    }
    if (must_be_durable(false)) {
        if (DiskResult<void> result = co_await disk_of(request).flush(request.cancel); !result) {
            co_return failed(request, result.error());
        }
    }
    co_return succeed(request, list_bytes);
}

Task<Completion> BlockUnit::after(Task<DiskResult<void>> work, const Request& request, u64 transferred) {
    DiskResult<void> result = co_await std::move(work);
    co_return result ? succeed(request, transferred) : failed(request, result.error());
}

Task<Completion> BlockUnit::synchronize(const Cdb& cdb, const Request& request) {
    SectorRange range = extent_of(cdb);
    if (std::optional<Completion> refused = refuse(request, range, false);
        refused && (range.count != 0 || refused->status != Status::good)) {
        return Task<Completion>::ready(*refused);
    }
    // 0 blocks: to the end (SBC-3 5.22). IMMED too ends when it is done.
    return after(disk_of(request).flush(request.cancel), request, 0);
}

Task<Completion> BlockUnit::format(const Cdb& cdb, const Request& request) {
    constexpr u8 has_parameters = 0x10;  // FMTDATA, byte 1 of the CDB
    constexpr u8 is_long_list = 0x20;    // LONGLIST
    constexpr u8 immediate = 0x02;       // IMMED, byte 1 of the parameter list header
    if (is_write_protected()) {
        return Task<Completion>::ready(failed(request, DiskError::read_only));
    }
    usize used = 0;
    if ((cdb[1] & has_parameters) != 0) {
        // SBC-3 tables 38 and 39: no protection, no pattern, no list of defects. IMMED too ends when it is done.
        u8 header[8] = {};
        used = (cdb[1] & is_long_list) != 0 ? 8 : 4;
        if (total_bytes(request.data_out) < used) {
            return Task<Completion>::ready(overrun(request));
        }
        SegmentCursor(request.data_out).copy_out(std::as_writable_bytes(std::span(header, used)));
        // FOV alone may be set beside IMMED: with it, options say "default" (SBC-3 5.3.2.2).
        constexpr u8 options_valid = 0x80;
        for (usize at = 0; at < used; ++at) {
            u8 allowed = at == 1 ? immediate | options_valid : 0;
            if ((header[at] & ~allowed) != 0) {
                return Task<Completion>::ready(refuse_parameter(request, static_cast<u16>(at)));
            }
        }
    }
    // What blocks hold after a format is ours to choose (SBC-3 5.3.1): nothing, where the disk can forget.
    return after(disk_of(request).unmap({.start = 0, .count = disk().sector_count()}, request.cancel), request, used);
}

Task<Completion> BlockUnit::start_stop(const Cdb& cdb, const Request& request) {
    constexpr u8 start = 0x01;
    constexpr u8 no_flush = 0x04;
    if ((cdb[4] & start) != 0) {
        set_readiness(AdditionalSense::none);
        return Task<Completion>::ready(succeed(request));
    }
    // Stopped first: nothing may be written behind the flush.
    set_readiness(AdditionalSense::initializing_command_required);
    if ((cdb[4] & no_flush) != 0) {
        return Task<Completion>::ready(succeed(request));
    }
    return after(disk_of(request).flush(request.cancel), request, 0);
}

Task<Completion> BlockUnit::lba_status(Cdb cdb, const Request& request) {
    u64 size = disk().sector_count();
    u64 at = cdb.be64(2);
    if (at >= size) {
        co_return failed(request, DiskError::illegal_block);
    }
    u64 room = cdb.be32(10) < 8 ? 0 : (cdb.be32(10) - 8) / sizeof(LbaStatusDescriptor);
    usize wanted = static_cast<usize>(std::clamp<u64>(room, 1, lba_status_descriptors_max));
    LbaStatusDescriptor descriptors[lba_status_descriptors_max];
    usize count = 0;
    for (usize question = 0; at < size && question < lba_status_questions_max; ++question) {
        u64 left = std::min<u64>(size - at, 0xffff'ffff);
        DiskResult<BlockStatus> status =
            co_await disk_of(request).block_status({.start = at, .count = left}, request.cancel);
        if (!status) {
            co_return failed(request, status.error());
        }
        u64 blocks = std::clamp<u64>(status->sectors, 1, left);
        // What reads as zeros without being there; what the disk cannot tell is mapped.
        u8 provisioning = status->state == BlockState::zero ? 1 : 0;
        LbaStatusDescriptor* last = count > 0 ? &descriptors[count - 1] : nullptr;
        if (last != nullptr && last->provisioning == provisioning && last->blocks + blocks <= 0xffff'ffff) {
            last->blocks = static_cast<u32>(last->blocks + blocks);
        } else if (count == wanted) {
            break;
        } else {
            descriptors[count++] = {.lba = at, .blocks = static_cast<u32>(blocks), .provisioning = provisioning};
        }
        at += blocks;
    }
    ResponseWriter writer(request, cdb.be32(10));
    writer.put_part(Be<u32>(static_cast<u32>(4 + count * sizeof(LbaStatusDescriptor))));
    writer.put_part(Be<u32>(0));
    writer.put(std::as_bytes(std::span(descriptors, count)));
    co_return completion_of(request, writer);
}

}  // namespace undercroft::scsi
