// The way of every command, and reading.
#include "storage/scsi/logical_unit.hpp"

#include "kernel/base/assert.hpp"
#include "storage/scsi/data_part.hpp"

namespace undercroft::scsi {

namespace {

bool is_barred(const Command& command, AdditionalSense why_not) {
    bool bars_most = why_not == AdditionalSense::sanitize_in_progress || why_not == AdditionalSense::sanitize_failed;
    return command.has(CommandFlag::needs_medium) || (bars_most && !command.has(CommandFlag::while_sanitizing));
}

}  // namespace

Task<Completion> LogicalUnit::execute(const Request& request) {
    ASSERT(request.nexus < identity_.nexuses);
    Cdb cdb = read_cdb(request.cdb);
    Result<const Command*, CdbFault> command = parse_cdb(cdb, request.cdb.size(), kind_);
    if (!command || ((*command)->has(CommandFlag::depends) && !offers(**command))) [[unlikely]] {
        return Task<Completion>::ready(refuse_cdb(request, command));
    }
    if (identity_.keeps_sense && (*command)->opcode != Opcode::request_sense) {
        nexuses_[request.nexus].last_sense = {};
    }
    if (watches_reservations_) {
        look_around(request.nexus);
    }
    AttentionQueue& attentions = nexuses_[request.nexus].attentions;
    if (!attentions.is_empty() && !(*command)->has(CommandFlag::before_attention)) [[unlikely]] {
        if (std::optional<UnitAttention> attention = attentions.take()) {
            return Task<Completion>::ready(check(request, SenseKey::unit_attention, sense_of(*attention)));
        }
    }
    u32 holder = reserved_by_.load(std::memory_order_acquire);
    if (holder != 0 && holder != request.nexus + 1 && !(*command)->has(CommandFlag::before_reservation)) [[unlikely]] {
        return Task<Completion>::ready(failed(request, DiskError::reservation_conflict));
    }
    if (AdditionalSense why_not = readiness(); why_not != AdditionalSense::none && is_barred(**command, why_not))
        [[unlikely]] {
        return Task<Completion>::ready(check(request, unready_sense(why_not)));
    }
    if (watches_reservations_ && !(*command)->has(CommandFlag::before_reservation) &&
        !(*command)->has(CommandFlag::asks_disk) && is_kept_out(cdb, request.nexus)) {
        return Task<Completion>::ready(failed(request, DiskError::reservation_conflict));
    }
    return run(**command, cdb, request);
}

Completion LogicalUnit::succeed(const Request& request, u64 transferred) {
    return {.transferred = transferred,
            .residual = total_bytes(request.data_in) + total_bytes(request.data_out) - transferred};
}

Task<Completion> LogicalUnit::read_blocks(const Disk& disk, u64 sector, u64 bytes, bool flush_first,
                                          const Request& request) {
    if (flush_first) [[unlikely]] {
        // What is read must be on the medium: cached writes go there first.
        if (DiskResult<void> flushed = co_await disk.flush(request.cancel); !flushed) {
            co_return failed(request, flushed.error());
        }
    }
    u64 offered = total_bytes(request.data_in);
    if (offered < bytes) [[unlikely]] {
        co_return overrun(request);
    }
    SegmentList into = request.data_in;
    std::unique_ptr<SegmentSlice> part;
    if (offered > bytes) [[unlikely]] {
        part = part_of(request.data_in, bytes);
        if (part == nullptr) {
            co_return failed(request, DiskError::io);
        }
        into = part->list();
    }
    DiskResult<void> result = co_await disk.read(sector, into, request.cancel);
    co_return result ? succeed(request, bytes) : failed(request, result.error());
}

}  // namespace undercroft::scsi
