// Namespace: operations, and how they are split into commands.
#include "drivers/nvme/namespace.hpp"

#include <algorithm>
#include <new>

#include "kernel/base/log.hpp"

namespace undercroft::nvme::host {

namespace {

constexpr Outcome outcome_of(Status status) {
    return {.ending = Ending::completed, .status = StatusField::make(status, true, false), .result = 0};
}
constexpr Outcome succeeded_outcome = outcome_of(Status::success);
constexpr Outcome gone_outcome{.ending = Ending::gone, .status = {}, .result = 0};

u64 bytes_of(SegmentList segments) {
    u64 bytes = 0;
    for (const MemorySegment& segment : segments) {
        bytes += segment.size;
    }
    return bytes;
}

}  // namespace

/// A request in pieces: workers take the next piece until there is none, or one has failed.
struct Namespace::Split {
    const Operation& operation;
    u64 step = 0;
    u64 next = 0;
    Outcome outcome = succeeded_outcome;
};

Namespace::Namespace(Driver& driver, const NamespaceFacts& facts)
    : driver_(&driver), facts_(facts), blocks_(facts.blocks) {}

Result<std::shared_ptr<Namespace>> Namespace::create(Driver& driver, const NamespaceFacts& facts) {
    std::shared_ptr<Namespace> created(new (std::nothrow) Namespace(driver, facts));
    if (!created) {
        return fail(Error::out_of_memory);
    }
    if (!driver.facts().write_zeroes) {
        created->zero_page_ = TRY(driver.host_.allocate_dma(page_size));
        created->zero_segments_.assign(transfer_bytes_max / page_size,
                                       MemorySegment{created->zero_page_.data(), page_size});
    }
    return created;
}

void Namespace::update(const Result<NamespaceFacts>& facts) {
    // One that came back with other blocks is another disk; it stays away.
    u64 blocks = facts && facts->block_size == facts_.block_size ? facts->blocks : 0;
    if (blocks != blocks_.exchange(blocks, std::memory_order_acq_rel)) {
        log_info("nvme: namespace %u has %llu blocks now", facts_.id, static_cast<unsigned long long>(blocks));
        if (observer_ != nullptr) {
            observer_->size_changed(blocks);
        }
    }
}

void Namespace::report_gone() {
    if (observer_ != nullptr) {
        observer_->controller_gone();
    }
}

void Namespace::detach() {
    driver_.store(nullptr, std::memory_order_release);
    report_gone();
    zero_page_ = {};
}

bool Namespace::deallocate_zeroes() const {
    // Dataset Management is a hint, whatever DLFEAT says of blocks that did get deallocated; Write Zeroes with DEAC is
    // not.
    Driver* driver = driver_.load(std::memory_order_acquire);
    return driver != nullptr && driver->facts().write_zeroes && facts_.deallocate.reads_zeroes &&
           facts_.deallocate.write_zeroes_may_deallocate;
}

bool Namespace::can_deallocate() const {
    Driver* driver = driver_.load(std::memory_order_acquire);
    return deallocate_zeroes() || (driver != nullptr && driver->facts().dataset_management);
}

bool Namespace::in_range(u64 lba, u64 count) const {
    u64 total = blocks();
    return lba <= total && count <= total - lba;
}

Task<Outcome> Namespace::read(u64 lba, SegmentList into, CancelToken cancel) {
    return run({.kind = Kind::read,
                .lba = lba,
                .blocks = bytes_of(into) / facts_.block_size,
                .segments = into,
                .cancel = cancel});
}

Task<Outcome> Namespace::write(u64 lba, SegmentList from, bool force_unit_access, CancelToken cancel) {
    return run({.kind = Kind::write,
                .lba = lba,
                .blocks = bytes_of(from) / facts_.block_size,
                .segments = from,
                .force_unit_access = force_unit_access,
                .cancel = cancel});
}

Task<Outcome> Namespace::write_zeroes(u64 lba, u64 blocks, bool may_deallocate, bool force_unit_access,
                                      CancelToken cancel) {
    Driver* driver = driver_.load(std::memory_order_acquire);
    bool has_command = driver != nullptr && driver->facts().write_zeroes;
    return run({.kind = has_command ? Kind::write_zeroes : Kind::write_zero_pages,
                .lba = lba,
                .blocks = blocks,
                .segments = zero_segments_,
                .force_unit_access = force_unit_access,
                .may_deallocate = may_deallocate && facts_.deallocate.reads_zeroes,
                .cancel = cancel});
}

Task<Outcome> Namespace::deallocate(u64 lba, u64 blocks, CancelToken cancel) {
    if (!can_deallocate()) {
        return Task<Outcome>::ready(outcome_of(Status::invalid_opcode));
    }
    bool with_zeroes = deallocate_zeroes();
    return run({.kind = with_zeroes ? Kind::write_zeroes : Kind::deallocate,
                .lba = lba,
                .blocks = blocks,
                .segments = {},
                .may_deallocate = true,
                .cancel = cancel});
}

Task<Outcome> Namespace::flush(CancelToken cancel) {
    Driver* driver = driver_.load(std::memory_order_acquire);
    if (driver == nullptr) {
        return Task<Outcome>::ready(gone_outcome);
    }
    if (!driver->facts().volatile_write_cache) {
        return Task<Outcome>::ready(succeeded_outcome);
    }
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(IoOpcode::flush);
    entry.namespace_id = facts_.id;
    return execute({.entry = entry, .direction = Direction::none, .data = SegmentView({}, 0, 0)}, cancel);
}

u64 Namespace::blocks_per_command(Kind kind) const {
    Driver* driver = driver_.load(std::memory_order_acquire);
    u64 limit = page_size;
    switch (kind) {
    case Kind::read:
    case Kind::write:
    case Kind::write_zero_pages:
        limit = driver->facts().transfer_bytes_max / facts_.block_size;
        break;
    case Kind::write_zeroes:
        limit = driver->range_limits().write_zeroes_bytes_max / facts_.block_size;
        break;
    case Kind::deallocate:
        return std::max<u64>(driver->range_limits().deallocate_range_blocks_max, 1);
    }
    return std::clamp<u64>(limit, 1, io_blocks_max);
}

/// Checks the range, and runs the operation as one command or several.
Task<Outcome> Namespace::run(Operation operation) {
    if (driver_.load(std::memory_order_acquire) == nullptr) {
        return Task<Outcome>::ready(gone_outcome);
    }
    if (!in_range(operation.lba, operation.blocks)) {
        return Task<Outcome>::ready(outcome_of(Status::lba_out_of_range));
    }
    if (operation.blocks == 0) {
        return Task<Outcome>::ready(succeeded_outcome);
    }
    u64 step = blocks_per_command(operation.kind);
    if (operation.blocks <= step) {
        return run_piece(operation, 0, operation.blocks);
    }
    return run_split(operation, step);
}

Task<Outcome> Namespace::run_split(Operation operation, u64 step) {
    Split split{.operation = operation, .step = step};
    u64 pieces = (operation.blocks + step - 1) / step;
    TaskGroup group;
    for (u64 worker = 0; worker < std::min<u64>(pieces, parallel_commands_max); ++worker) {
        group.spawn(run_pieces(split));
    }
    (void)co_await group.join();
    co_return split.outcome;
}

Task<void> Namespace::run_pieces(Split& split) {
    while (split.next < split.operation.blocks && split.outcome.succeeded()) {
        u64 offset = split.next;
        u64 blocks = std::min(split.step, split.operation.blocks - offset);
        split.next += blocks;
        Outcome outcome = co_await run_piece(split.operation, offset, blocks);
        if (!outcome.succeeded() && split.outcome.succeeded()) {
            split.outcome = outcome;
        }
    }
}

SubmissionEntry Namespace::io_entry(IoOpcode opcode, u64 lba, u64 blocks) const {
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(opcode);
    entry.namespace_id = facts_.id;
    entry.set_starting_lba(lba);
    entry.dword12 = IoControl{}.with_blocks(static_cast<u32>(blocks)).raw;
    return entry;
}

/// One piece, which fits one command.
Task<Outcome> Namespace::run_piece(const Operation& operation, u64 offset, u64 blocks) {
    u64 lba = operation.lba + offset;
    u64 bytes = blocks * facts_.block_size;
    u64 skip = offset * facts_.block_size;
    SubmissionEntry entry;
    switch (operation.kind) {
    case Kind::read:
        entry = io_entry(IoOpcode::read, lba, blocks);
        return execute({entry, Direction::from_device, SegmentView(operation.segments, skip, bytes)}, operation.cancel);
    case Kind::write:
    case Kind::write_zero_pages:
        entry = io_entry(IoOpcode::write, lba, blocks);
        entry.dword12 |= IoControl{}.with_force_unit_access(operation.force_unit_access).raw;
        skip = operation.kind == Kind::write ? skip : 0;
        return execute({entry, Direction::to_device, SegmentView(operation.segments, skip, bytes)}, operation.cancel);
    case Kind::write_zeroes:
        entry = io_entry(IoOpcode::write_zeroes, lba, blocks);
        entry.dword12 |= IoControl{}
                             .with_force_unit_access(operation.force_unit_access)
                             .with_deallocate(operation.may_deallocate)
                             .raw;
        return execute({entry, Direction::none, SegmentView({}, 0, 0)}, operation.cancel);
    case Kind::deallocate:
        break;
    }
    return deallocate_piece(lba, blocks, operation.cancel);
}

/// Dataset Management with one range. NVM section 3.2.3.
Task<Outcome> Namespace::deallocate_piece(u64 lba, u64 blocks, CancelToken cancel) {
    alignas(sizeof(DatasetRange)) DatasetRange range;
    range.blocks = static_cast<u32>(blocks);
    range.starting_lba = lba;
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(IoOpcode::dataset_management);
    entry.namespace_id = facts_.id;
    entry.dword10 = 0;  // one range, zero's based
    entry.dword11 = dataset_attribute::deallocate;
    // SAFETY: the range lives in this frame, which outlasts the command; it has no invalid bytes.
    MemorySegment segment{reinterpret_cast<std::byte*>(&range), sizeof(range)};
    SegmentView data(SegmentList(&segment, 1), 0, sizeof(range));
    co_return co_await execute({entry, Direction::to_device, data}, cancel);
}

}  // namespace undercroft::nvme::host
