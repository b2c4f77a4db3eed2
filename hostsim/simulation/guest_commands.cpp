// What the guest asks of its controller, and how long it waits: a command that is late is looked for, then aborted, then
// ended by a reset, as Linux's driver does it.
#include <cstring>

#include "hostsim/simulation/guest_driver.hpp"
#include "storage/segments.hpp"

namespace undercroft::simulation {

using namespace nvme;

namespace {

/// Linux's ADMIN_TIMEOUT.
constexpr u64 admin_timeout_ns = 60 * nanoseconds_per_second;
/// What an interrupt may take that is not held back.
constexpr u64 direct_interrupt_time_ns = 1 * nanoseconds_per_millisecond;
/// How long the guest waits for what it aborted.
constexpr u64 abort_grace_ns = 30 * nanoseconds_per_second;
/// How long an operation waits for a controller that is being reset.
constexpr u64 reset_wait_ns = 600 * nanoseconds_per_second;

SubmissionEntry io_entry(IoOpcode opcode, u64 sector = 0, u64 sectors = 1) {
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(opcode);
    entry.namespace_id = 1;
    if (opcode != IoOpcode::flush && opcode != IoOpcode::dataset_management) {
        entry.set_starting_lba(sector);
        entry.dword12 = IoControl{}.with_blocks(static_cast<u32>(sectors)).raw;
    }
    return entry;
}

DiskError disk_error_of(Status status) {
    switch (status) {
    case Status::lba_out_of_range:
        return DiskError::illegal_block;
    case Status::abort_requested:
    case Status::aborted_queue_deleted:
        return DiskError::timed_out;
    case Status::write_to_read_only_range:
        return DiskError::read_only;
    default:
        return DiskError::io;
    }
}

}  // namespace

GuestQueue& GuestDriver::own_queue() {
    usize processor = 0;
    while (config_.executors[processor] != &Executor::current()) {
        ++processor;
    }
    return *queues_[processor % queues_.size()];
}

/// One command, until it was answered or the controller reset. It cannot end otherwise: its memory is the controller's.
Task<GuestDriver::Answer> GuestDriver::execute(GuestQueue& queue, SubmissionEntry entry, u64 timeout_ns) {
    u64 deadline_ns = timeout_ns == no_deadline ? no_deadline : Executor::current().now_ns() + timeout_ns;
    Result<GuestQueue::Slot> slot = co_await queue.acquire({.deadline_ns = deadline_ns});
    if (!slot) {
        co_return Answer{};
    }
    Result<u16> command_id = queue.submit(*slot, entry);
    if (!command_id) {
        queue.release(*slot);
        co_return Answer{};
    }
    Result<std::optional<CompletionEntry>> ended = co_await queue.wait(*slot, deadline_ns);
    if (!ended) {
        co_await look_for_lost_interrupt(queue);
        (void)queue.poll();
        bool aborted = &queue != &admin_ && config_.habits.aborts && co_await abort(queue.id(), *command_id);
        ended = co_await queue.wait(*slot, aborted ? Executor::current().now_ns() + abort_grace_ns : 0);
    }
    if (!ended) {
        reset_wanted_.set();
        ended = co_await queue.wait(*slot, no_deadline);
    }
    queue.release(*slot);
    if (!ended || !*ended) {
        co_return Answer{};
    }
    StatusField field = (*ended)->status_field();
    co_return Answer{.status = field.status(), .do_not_retry = field.do_not_retry(), .result = (*ended)->result};
}

/// With the aggregation time that the guest has allowed: base 2.0 section 5.27.1.6.
u64 GuestDriver::interrupt_time_ns() const {
    u64 aggregation_ns =
        config_.habits.is_windows ? u64{config_.habits.coalescing_100us} * 100 * nanoseconds_per_microsecond : 0;
    return direct_interrupt_time_ns + aggregation_ns;
}

/// A completion that lies there, and keeps lying there, without a message: the controller forgot it.
Task<void> GuestDriver::look_for_lost_interrupt(GuestQueue& queue) {
    u64 taken = queue.taken();
    u32 epoch = epoch_;
    // One that is being disabled holds its messages back for good.
    bool enabled = Configuration{read32(register_offset::configuration)}.enable();
    if (enabled && queue.has_new() && !messages_pending_[queue.id()]) {
        (void)co_await sleep_for(interrupt_time_ns());
        bool forgotten = queue.has_new() && queue.taken() == taken && !messages_pending_[queue.id()];
        config_.recorder.expect(!forgotten || epoch != epoch_, "a completion came without an interrupt");
    }
}

Task<GuestDriver::Answer> GuestDriver::execute_admin(SubmissionEntry entry) {
    return execute(admin_, entry, admin_timeout_ns);
}

Task<GuestDriver::Answer> GuestDriver::execute_with_page(SubmissionEntry entry) {
    (void)co_await admin_data_free_.acquire();  // who has it gives it back: each command ends
    entry.data_pointer.prp1 = admin_data_.device_address();
    Answer answer = co_await execute_admin(entry);
    admin_data_free_.release();
    co_return answer;
}

Task<bool> GuestDriver::abort(u16 queue_id, u16 command_id) {
    ++aborts_;
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(AdminOpcode::abort);
    entry.dword10 = u32{queue_id} | u32{command_id} << 16;
    Answer answer = co_await execute_admin(entry);
    co_return answer.succeeded();
}

Task<Result<void>> GuestDriver::identify_namespace() {
    CO_TRY(co_await admin_data_free_.acquire());
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(AdminOpcode::identify);
    entry.namespace_id = 1;
    entry.dword10 = static_cast<u32>(IdentifyStructure::name_space);
    entry.data_pointer.prp1 = admin_data_.device_address();
    Answer answer = co_await execute_admin(entry);
    auto identity = std::make_unique<IdentifyNamespace>();
    std::memcpy(identity.get(), admin_data_.data(), sizeof(*identity));
    admin_data_free_.release();
    if (!answer.succeeded()) {
        co_return fail(Error::device_error);
    }
    LbaFormat format = identity->lba_formats[identity->lba_format_index()];
    facts_.sector_size = u32{1} << format.data_bytes_log2;
    facts_.physical_sector_size = facts_.sector_size;
    facts_.fua_respected = true;
    facts_.unmap = config_.unmap;
    size_.set(identity->size_blocks);
    co_return Result<void>{};
}

/// Points the command at `data`, which lies in the guest's memory: PRPs, with a list where they are many. Segments but
/// the first start on a page, and but the last end on one. Base 2.0 section 4.1.1. Gives the list, to be kept.
DmaBuffer GuestDriver::point_at(SubmissionEntry& entry, SegmentList data) {
    std::vector<u64> pages;
    for (const MemorySegment& segment : data) {
        u64 address = config_.memory.find(segment.data, segment.size).value().address;
        for (u64 end = address + segment.size; address < end; address = align_down(address, page_size) + page_size) {
            pages.push_back(address);
        }
    }
    if (pages.empty()) {
        return {};
    }
    entry.data_pointer.prp1 = pages[0];
    if (pages.size() <= 2) {
        entry.data_pointer.prp2 = pages.size() == 2 ? pages[1] : 0;
        return {};
    }
    DmaBuffer list = config_.memory.allocate(page_size).value();
    std::memcpy(list.data(), pages.data() + 1, (pages.size() - 1) * sizeof(u64));
    entry.data_pointer.prp2 = list.device_address();
    return list;
}

Task<GuestDriver::Answer> GuestDriver::run_until_answered(SubmissionEntry entry, SegmentList data, CancelToken cancel) {
    DmaBuffer list = point_at(entry, data);
    Answer answer;
    for (u32 attempt = 0; attempt < config_.habits.attempts_max; ++attempt) {
        u64 until_ns = Executor::current().now_ns() + reset_wait_ns;
        while (!running_ && !dead_) {
            Result<void> again = co_await running_again_.wait({.deadline_ns = until_ns, .cancel = cancel});
            if (!again) {
                co_return answer;
            }
        }
        if (dead_ || cancel.is_cancelled()) {
            co_return answer;
        }
        answer = co_await execute(own_queue(), entry, config_.habits.command_timeout_ns);
        if (answer.succeeded() || answer.do_not_retry) {
            break;
        }
    }
    co_return answer;
}

Task<DiskResult<void>> GuestDriver::run(SubmissionEntry entry, SegmentList data, CancelToken cancel) {
    Answer answer = co_await run_until_answered(entry, data, cancel);
    if (!answer.succeeded()) {
        co_return fail(cancel.is_cancelled() ? DiskError::cancelled : disk_error_of(answer.status));
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> GuestDriver::read(u64 sector, SegmentList into, CancelToken cancel) {
    return run(io_entry(IoOpcode::read, sector, total_bytes(into) / facts_.sector_size), into, cancel);
}

Task<DiskResult<void>> GuestDriver::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    SubmissionEntry entry = io_entry(IoOpcode::write, sector, total_bytes(from) / facts_.sector_size);
    entry.dword12 |= IoControl{}.with_force_unit_access(fua == ForceUnitAccess::yes).raw;
    return run(entry, from, cancel);
}

Task<DiskResult<void>> GuestDriver::flush(CancelToken cancel) { return run(io_entry(IoOpcode::flush), {}, cancel); }

Task<DiskResult<void>> GuestDriver::unmap(SectorRange range, CancelToken cancel) {
    if (config_.habits.is_windows && range.count > 1) {
        co_return co_await unmap_in_two(range, cancel);
    }
    DmaBuffer memory = config_.memory.allocate(page_size).value();
    DatasetRange wire;
    wire.blocks = static_cast<u32>(range.count);
    wire.starting_lba = range.start;
    std::memcpy(memory.data(), &wire, sizeof(wire));
    SubmissionEntry entry = io_entry(IoOpcode::dataset_management);
    entry.dword11 = dataset_attribute::deallocate;
    MemorySegment segment{memory.data(), sizeof(wire)};
    co_return co_await run(entry, SegmentList(&segment, 1), cancel);
}

Task<DiskResult<void>> GuestDriver::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                                 CancelToken cancel) {
    if (config_.habits.is_windows) {
        return write_zeros(range, fua, cancel);
    }
    SubmissionEntry entry = io_entry(IoOpcode::write_zeroes, range.start, range.count);
    entry.dword12 |= IoControl{}.with_force_unit_access(fua == ForceUnitAccess::yes).with_deallocate(allow_unmap).raw;
    return run(entry, {}, cancel);
}

Task<DiskResult<Comparison>> GuestDriver::compare(u64 sector, SegmentList with, CancelToken cancel) {
    if (config_.habits.is_windows) {
        co_return co_await read_and_compare(sector, with, cancel);
    }
    Answer answer = co_await run_until_answered(
        io_entry(IoOpcode::compare, sector, total_bytes(with) / facts_.sector_size), with, cancel);
    if (answer.status == Status::compare_failure) {
        co_return Comparison{.equal = false};
    }
    if (!answer.succeeded()) {
        co_return fail(disk_error_of(answer.status));
    }
    co_return Comparison{};
}

Task<DiskResult<BlockStatus>> GuestDriver::block_status(SectorRange range, CancelToken) {
    return Task<DiskResult<BlockStatus>>::ready(BlockStatus{.sectors = range.count, .state = BlockState::unknown});
}

Task<DiskResult<void>> GuestDriver::eject() {
    return Task<DiskResult<void>>::ready(fail(DiskError::unsupported_eject));
}

Task<DiskResult<u64>> GuestDriver::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    return size_.wait(known_sectors, cancel);
}

}  // namespace undercroft::simulation
