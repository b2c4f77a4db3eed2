// Reading and writing: the part of a block device that is fast.
#include "storage/scsi/block_unit.hpp"

#include <bit>

#include "storage/scsi/data_part.hpp"
#include "storage/scsi/extent.hpp"

namespace undercroft::scsi {

std::optional<Completion> BlockUnit::refuse(const Request& request, SectorRange range, bool changes) const {
    u64 size = disk().sector_count();
    if (range.start > size || range.count > size - range.start) [[unlikely]] {
        return failed(request, DiskError::illegal_block);
    }
    if (changes && is_write_protected()) [[unlikely]] {
        return failed(request, DiskError::read_only);
    }
    if (range.count == 0) [[unlikely]] {
        return succeed(request);
    }
    return std::nullopt;
}

Task<Completion> BlockUnit::run(const Command& command, Cdb cdb, const Request& request) {
    switch (command.opcode) {
    case Opcode::read_6:
    case Opcode::read_10:
    case Opcode::read_12:
    case Opcode::read_16:
        return start_read(cdb, request);
    case Opcode::write_6:
    case Opcode::write_10:
    case Opcode::write_12:
    case Opcode::write_16:
        return start_write(cdb, request);
    default:
        return run_rare(command, cdb, request);
    }
}

Task<Completion> BlockUnit::start_read(const Cdb& cdb, const Request& request) {
    SectorRange range = extent_of(cdb);
    if (std::optional<Completion> refused = refuse(request, range, false)) [[unlikely]] {
        return Task<Completion>::ready(*refused);
    }
    bool flush_first = cdb.opcode() != Opcode::read_6 && (cdb[1] & cdb_force_unit_access) != 0;
    return read_blocks(disk_of(request), range.start, bytes_of(range.count), flush_first, request);
}

Task<Completion> BlockUnit::start_write(const Cdb& cdb, const Request& request) {
    SectorRange range = extent_of(cdb);
    if (std::optional<Completion> refused = refuse(request, range, true)) [[unlikely]] {
        return Task<Completion>::ready(*refused);
    }
    bool forced = cdb.opcode() != Opcode::write_6 && (cdb[1] & cdb_force_unit_access) != 0;
    return write(request, range, must_be_durable(forced));
}

Task<Completion> BlockUnit::write(const Request& request, SectorRange range, bool durable) {
    u64 bytes = bytes_of(range.count);
    u64 offered = total_bytes(request.data_out);
    bool by_disk = durable && disk().facts().fua_respected;
    ForceUnitAccess fua = by_disk ? ForceUnitAccess::yes : ForceUnitAccess::no;
    if (offered < bytes) [[unlikely]] {
        co_return overrun(request);
    }
    SegmentList from = request.data_out;
    std::unique_ptr<SegmentSlice> part;
    if (offered > bytes) [[unlikely]] {
        part = part_of(request.data_out, bytes);
        if (part == nullptr) {
            co_return failed(request, DiskError::io);
        }
        from = part->list();
    }
    DiskResult<void> result = co_await disk_of(request).write(range.start, from, fua, request.cancel);
    if (result && durable && !by_disk) {
        result = co_await disk_of(request).flush(request.cancel);
    }
    co_return result ? succeed(request, bytes) : failed(request, result.error());
}

}  // namespace undercroft::scsi
