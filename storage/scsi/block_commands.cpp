// Which command of a block device is carried out where, and those that flush, start, stop and tell (SBC-3 clause 5). What
// compares is in block_verify.cpp, what erases in block_erase.cpp and sanitize.cpp.
#include <algorithm>

#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/extent.hpp"
#include "storage/scsi/response.hpp"

namespace undercroft::scsi {

namespace {

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
    case Opcode::sanitize:
        return sanitize(cdb, request);
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

Task<Completion> BlockUnit::start_stop(const Cdb& cdb, const Request& request) {
    constexpr u8 start = 0x01;
    constexpr u8 no_flush = 0x04;
    if ((cdb[4] & start) != 0) {
        (void)change_readiness(AdditionalSense::initializing_command_required, AdditionalSense::none);
        return Task<Completion>::ready(succeed(request));
    }
    // Stopped first: nothing may be written behind the flush.
    (void)change_readiness(AdditionalSense::none, AdditionalSense::initializing_command_required);
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
