// I/O commands. What can be refused without waiting is refused before a coroutine exists; the usual transfer costs one
// of ours, and the disk's.
#include "storage/frontends/nvme/io_commands.hpp"

#include <algorithm>

#include "storage/frontends/nvme/data_pointer.hpp"
#include "storage/frontends/nvme/submission_queue.hpp"
#include "storage/segments.hpp"

namespace undercroft::nvme {

namespace {

void finish(Request& request, const Outcome& outcome) { request.queue->finish(request, outcome); }

Outcome outcome_of_wait(Error error) {
    return failure(error == Error::cancelled ? Status::abort_requested : Status::internal_error);
}

/// Blocks that a piece of `bounce_bytes` holds.
u64 blocks_per_bounce(const Namespace& target) { return bounce_bytes >> target.block_shift; }

}  // namespace

void IoCommands::start(Request& request) {
    const SubmissionEntry& entry = request.entry;
    IoOpcode opcode{entry.opcode};
    switch (opcode) {
    case IoOpcode::flush:
    case IoOpcode::read:
    case IoOpcode::write:
    case IoOpcode::compare:
    case IoOpcode::verify:
    case IoOpcode::write_zeroes:
    case IoOpcode::dataset_management:
        break;
    default:
        return finish(request, failure(Status::invalid_opcode));
    }
    if (entry.fused() != FusedOperation::normal) {
        return finish(request, failure(Status::invalid_field));
    }
    if (opcode == IoOpcode::flush) {
        return start_flush(request);
    }
    const Namespace* target = namespaces_.find(entry.namespace_id);
    if (target == nullptr) {
        return finish(request, failure(Status::invalid_namespace_or_format));
    }
    if (opcode == IoOpcode::dataset_management) {
        u64 ranges = get_bits(u32{entry.dword10}, 0, 8) + 1;
        return start_transfer(request, *target, ranges * sizeof(DatasetRange));
    }
    start_range(request, *target);
}

void IoCommands::start_flush(Request& request) {
    u32 id = request.entry.namespace_id;
    if (id != all_namespaces && namespaces_.find(id) == nullptr) {
        return finish(request, failure(Status::invalid_namespace_or_format));
    }
    request.queue->spawn(flush(request));
}

void IoCommands::start_range(Request& request, const Namespace& target) {
    const SubmissionEntry& entry = request.entry;
    IoOpcode opcode{entry.opcode};
    u64 blocks = IoControl{entry.dword12}.blocks();
    bool has_data = opcode == IoOpcode::read || opcode == IoOpcode::write || opcode == IoOpcode::compare;
    u64 bytes = blocks << target.block_shift;
    if (has_data && bytes > transfer_bytes_max) {
        return finish(request, failure(Status::invalid_field));
    }
    u64 size = target.blocks();
    if (entry.starting_lba() > size || blocks > size - entry.starting_lba()) {
        return finish(request, failure(Status::lba_out_of_range));
    }
    request.queue->place(request, entry.starting_lba() << target.block_shift, bytes);
    bool changes = opcode == IoOpcode::write || opcode == IoOpcode::write_zeroes;
    if (changes && target.disk.facts().read_only) {
        return finish(request, outcome_of(DiskError::read_only));
    }
    if (has_data) {
        return start_transfer(request, target, bytes);
    }
    request.queue->spawn(run(request, target));
}

void IoCommands::start_transfer(Request& request, const Namespace& target, u64 bytes) {
    if (segments_needed(request.entry, bytes) > inline_segments) {
        return request.queue->spawn(gather_and_run(request, target, bytes));
    }
    SegmentBuilder segments(request.inline_list);
    Status status = resolve_data(memory_, request.entry, bytes, segments);
    if (status != Status::success) {
        return finish(request, failure(status));
    }
    request.data = segments.list();
    request.queue->spawn(run(request, target));
}

Task<void> IoCommands::gather_and_run(Request& request, const Namespace& target, u64 bytes) {
    auto storage = co_await request.queue->large_segments(request);
    if (!storage) {
        finish(request, outcome_of_wait(storage.error()));
        co_return;
    }
    SegmentBuilder segments(*storage);
    Status status = resolve_data(memory_, request.entry, bytes, segments);
    if (status != Status::success) {
        finish(request, failure(status));
        co_return;
    }
    request.data = segments.list();
    co_await run(request, target);
}

Task<void> IoCommands::run(Request& request, const Namespace& target) {
    switch (IoOpcode{request.entry.opcode}) {
    case IoOpcode::read:
        return read(request, target);
    case IoOpcode::write:
        return write(request, target);
    case IoOpcode::write_zeroes:
        return write_zeroes(request, target);
    case IoOpcode::compare:
        return compare(request, target);
    case IoOpcode::verify:
        return verify(request, target);
    default:
        return deallocate(request, target);
    }
}

Task<void> IoCommands::read(Request& request, const Namespace& target) {
    DiskResult<void> result;
    if (IoControl{request.entry.dword12}.force_unit_access()) [[unlikely]] {
        // What is read must be on the medium: cached writes go there first.
        result = co_await target.disk.flush(request.token());
    }
    if (result) {
        result = co_await target.disk.read(request.entry.starting_lba(), request.data, request.token());
    }
    request.queue->count_read(u64{IoControl{request.entry.dword12}.blocks()} << target.block_shift);
    finish(request, outcome_of(result));
}

Task<void> IoCommands::write(Request& request, const Namespace& target) {
    bool durable = must_be_durable(request.entry);
    bool by_disk = durable && target.disk.facts().fua_respected;
    DiskResult<void> result =
        co_await target.disk.write(request.entry.starting_lba(), request.data,
                                   by_disk ? ForceUnitAccess::yes : ForceUnitAccess::no, request.token());
    if (result && durable && !by_disk) {
        result = co_await target.disk.flush(request.token());
    }
    request.queue->count_written(u64{IoControl{request.entry.dword12}.blocks()} << target.block_shift);
    finish(request, outcome_of(result));
}

Task<void> IoCommands::write_zeroes(Request& request, const Namespace& target) {
    IoControl control{request.entry.dword12};
    bool durable = must_be_durable(request.entry);
    bool by_disk = durable && target.disk.facts().fua_respected;
    SectorRange range{.start = request.entry.starting_lba(), .count = control.blocks()};
    DiskResult<void> result = co_await target.disk.write_zeroes(
        range, control.deallocate(), by_disk ? ForceUnitAccess::yes : ForceUnitAccess::no, request.token());
    if (result && durable && !by_disk) {
        result = co_await target.disk.flush(request.token());
    }
    finish(request, outcome_of(result));
}

Task<void> IoCommands::flush(Request& request) {
    u32 id = request.entry.namespace_id;
    DiskResult<void> result;
    for (const Namespace& target : namespaces_.all()) {
        if (result && (id == all_namespaces || id == target.id)) {
            result = co_await target.disk.flush(request.token());
        }
    }
    finish(request, outcome_of(result));
}

Task<void> IoCommands::compare(Request& request, const Namespace& target) {
    auto bounce = co_await request.queue->bounce_buffer(request);
    if (!bounce) {
        finish(request, outcome_of_wait(bounce.error()));
        co_return;
    }
    u64 lba = request.entry.starting_lba();
    u64 left = IoControl{request.entry.dword12}.blocks();
    SegmentCursor expected(request.data);
    Outcome outcome;
    while (left > 0 && outcome.status == Status::success) {
        u64 blocks = std::min(left, blocks_per_bounce(target));
        MemorySegment piece{bounce->data(), static_cast<usize>(blocks << target.block_shift)};
        outcome = outcome_of(co_await target.disk.read(lba, SegmentList(&piece, 1), request.token()));
        for (usize done = 0; done < piece.size && outcome.status == Status::success;) {
            usize bytes = std::min(piece.size - done, expected.contiguous().size());
            if (std::memcmp(piece.data + done, expected.contiguous().data(), bytes) != 0) {
                outcome = failure(Status::compare_failure);
            }
            expected.advance(bytes);
            done += bytes;
        }
        lba += blocks;
        left -= blocks;
    }
    finish(request, outcome);
}

Task<void> IoCommands::verify(Request& request, const Namespace& target) {
    auto bounce = co_await request.queue->bounce_buffer(request);
    if (!bounce) {
        finish(request, outcome_of_wait(bounce.error()));
        co_return;
    }
    u64 lba = request.entry.starting_lba();
    u64 left = IoControl{request.entry.dword12}.blocks();
    DiskResult<void> result;
    while (left > 0 && result) {
        u64 blocks = std::min(left, blocks_per_bounce(target));
        MemorySegment piece{bounce->data(), static_cast<usize>(blocks << target.block_shift)};
        result = co_await target.disk.read(lba, SegmentList(&piece, 1), request.token());
        lba += blocks;
        left -= blocks;
    }
    finish(request, outcome_of(result));
}

Task<void> IoCommands::deallocate(Request& request, const Namespace& target) {
    if ((request.entry.dword11 & dataset_attribute::deallocate) == 0) {
        // The other attributes are advice.
        finish(request, {});
        co_return;
    }
    if (target.disk.facts().read_only) {
        finish(request, outcome_of(DiskError::read_only));
        co_return;
    }
    auto bounce = co_await request.queue->bounce_buffer(request);
    if (!bounce) {
        finish(request, outcome_of_wait(bounce.error()));
        co_return;
    }
    u32 count = get_bits(u32{request.entry.dword10}, 0, 8) + 1;
    // SAFETY: the buffer is large enough, aligned for bytes, and DatasetRange is made of bytes; it is ours until the
    // request ends.
    auto* ranges = reinterpret_cast<DatasetRange*>(bounce->data());
    SegmentCursor(request.data).copy_out(bounce->first(count * sizeof(DatasetRange)));
    u64 size = target.blocks();
    for (u32 index = 0; index < count; ++index) {
        u64 start = ranges[index].starting_lba;
        if (start > size || ranges[index].blocks > size - start) {
            finish(request, failure(Status::lba_out_of_range));
            co_return;
        }
    }
    DiskResult<void> result;
    for (u32 index = 0; index < count && result; ++index) {
        SectorRange range{.start = ranges[index].starting_lba, .count = ranges[index].blocks};
        result = co_await target.disk.unmap(range, request.token());
    }
    if (result && !write_cache_enabled_.load(std::memory_order_relaxed)) {
        result = co_await target.disk.flush(request.token());
    }
    finish(request, outcome_of(result));
}

}  // namespace undercroft::nvme
