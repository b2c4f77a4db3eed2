// Reading and writing: the part of a block device that is fast.
#include "storage/scsi/block_unit.hpp"

#include <bit>

#include "storage/scsi/data_part.hpp"
#include "storage/scsi/extent.hpp"

namespace undercroft::scsi {

BlockUnit::BlockUnit(BlockUnitConfig config)
    : LogicalUnit(UnitKind::block, DeviceType::block, std::move(config.identity)), disk_(std::move(config.disk)),
      block_shift_(static_cast<u32>(std::countr_zero(disk_.sector_size()))) {}

Task<void> BlockUnit::watch(CancelToken cancel) {
    u64 known = disk_.sector_count();
    while (!cancel.is_cancelled()) {
        DiskResult<u64> changed = co_await disk_.wait_for_resize(known, cancel);
        if (!changed) {
            co_return;  // cancelled, or there will be no other size
        }
        known = *changed;
        raise(UnitAttention::capacity_changed);
        tell(UnitEvent::capacity_changed);
    }
}

void BlockUnit::reset(UnitAttention why) {
    write_cache_.store(true, std::memory_order_relaxed);
    LogicalUnit::reset(why);
}

bool BlockUnit::is_outside(SectorRange range) const {
    u64 size = disk_.sector_count();
    return range.start > size || range.count > size - range.start;
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
    case Opcode::synchronize_cache_10:
    case Opcode::synchronize_cache_16:
        if (is_outside(extent_of(cdb))) {
            return Task<Completion>::ready(failed(request, DiskError::illegal_block));
        }
        return synchronize(request);
    case Opcode::read_capacity_10:
        return Task<Completion>::ready(read_capacity_10(request));
    case Opcode::service_action_in_16:
        return Task<Completion>::ready(read_capacity_16(cdb, request));
    default:
        return LogicalUnit::run(command, cdb, request);
    }
}

Task<Completion> BlockUnit::start_read(const Cdb& cdb, const Request& request) {
    SectorRange range = extent_of(cdb);
    if (is_outside(range)) [[unlikely]] {
        return Task<Completion>::ready(failed(request, DiskError::illegal_block));
    }
    if (range.count == 0) [[unlikely]] {
        return Task<Completion>::ready(succeed(request));
    }
    bool flush_first = cdb.opcode() != Opcode::read_6 && (cdb[1] & cdb_force_unit_access) != 0;
    return read(request, range, flush_first);
}

Task<Completion> BlockUnit::start_write(const Cdb& cdb, const Request& request) {
    SectorRange range = extent_of(cdb);
    if (is_outside(range)) [[unlikely]] {
        return Task<Completion>::ready(failed(request, DiskError::illegal_block));
    }
    if (is_write_protected()) [[unlikely]] {
        return Task<Completion>::ready(failed(request, DiskError::read_only));
    }
    if (range.count == 0) [[unlikely]] {
        return Task<Completion>::ready(succeed(request));
    }
    bool durable = writes_through() || (cdb.opcode() != Opcode::write_6 && (cdb[1] & cdb_force_unit_access) != 0);
    return write(request, range, durable);
}

Task<Completion> BlockUnit::read(const Request& request, SectorRange range, bool flush_first) {
    if (flush_first) [[unlikely]] {
        // What is read must be on the medium: cached writes go there first.
        if (DiskResult<void> flushed = co_await disk_.flush(request.cancel); !flushed) {
            co_return failed(request, flushed.error());
        }
    }
    u64 bytes = bytes_of(range.count);
    u64 offered = total_bytes(request.data_in);
    DiskResult<void> result;
    if (offered == bytes) [[likely]] {
        result = co_await disk_.read(range.start, request.data_in, request.cancel);
    } else if (offered > bytes) {
        auto part = part_of(request.data_in, bytes);
        if (part == nullptr) {
            co_return failed(request, DiskError::io);
        }
        result = co_await disk_.read(range.start, part->list(), request.cancel);
    } else {
        co_return overrun(request);
    }
    co_return result ? succeed(request, bytes) : failed(request, result.error());
}

Task<Completion> BlockUnit::write(const Request& request, SectorRange range, bool durable) {
    u64 bytes = bytes_of(range.count);
    u64 offered = total_bytes(request.data_out);
    bool by_disk = durable && disk_.facts().fua_respected;
    ForceUnitAccess fua = by_disk ? ForceUnitAccess::yes : ForceUnitAccess::no;
    DiskResult<void> result;
    if (offered == bytes) [[likely]] {
        result = co_await disk_.write(range.start, request.data_out, fua, request.cancel);
    } else if (offered > bytes) {
        auto part = part_of(request.data_out, bytes);
        if (part == nullptr) {
            co_return failed(request, DiskError::io);
        }
        result = co_await disk_.write(range.start, part->list(), fua, request.cancel);
    } else {
        co_return overrun(request);
    }
    if (result && durable && !by_disk) {
        result = co_await disk_.flush(request.cancel);
    }
    co_return result ? succeed(request, bytes) : failed(request, result.error());
}

Task<Completion> BlockUnit::synchronize(const Request& request) {
    DiskResult<void> result = co_await disk_.flush(request.cancel);
    co_return result ? succeed(request) : failed(request, result.error());
}

}  // namespace undercroft::scsi
