// Queue management.
#include "storage/frontends/nvme/queue_set.hpp"

#include "storage/frontends/nvme/events.hpp"

namespace undercroft::nvme {

namespace {
constexpr u64 memory_page = u64{1} << memory_page_log2;
constexpr u64 drain_pause_ns = 100 * nanoseconds_per_microsecond;
}  // namespace

QueueSet::QueueSet(const GuestMemory& memory, MsixTable& msix, const InterruptCoalescing& coalescing,
                   std::span<Executor* const> executors)
    : memory_(memory), executors_(executors) {
    ASSERT(!executors.empty());
    for (u16 id = 0; id < queues_max; ++id) {
        completion_[id].attach(msix, coalescing, id == 0);
    }
}

void QueueSet::attach(CommandHandler& admin, CommandHandler& io, ErrorLog& errors, EventNotifier& events) {
    errors_ = &errors;
    events_ = &events;
    for (u16 id = 0; id < queues_max; ++id) {
        submission_[id].attach(id, owner_of(id), id == 0 ? admin : io, errors);
    }
}

Result<std::byte*> QueueSet::ring(u64 address, u64 bytes) const {
    if (!is_aligned(address, memory_page)) {
        return fail(Error::invalid_argument);
    }
    return TRY(memory_.resolve(address, bytes)).data();
}

Result<void> QueueSet::start_admin(AdminQueueAttributes attributes, u64 submission_address, u64 completion_address) {
    u32 submission_entries = attributes.submission_entries();
    u32 completion_entries = attributes.completion_entries();
    if (submission_entries < 2 || completion_entries < 2) {
        return fail(Error::invalid_argument);
    }
    std::byte* submission = TRY(ring(submission_address, u64{submission_entries} * sizeof(SubmissionEntry)));
    std::byte* completion = TRY(ring(completion_address, u64{completion_entries} * sizeof(CompletionEntry)));
    completion_[0].activate({.ring = completion, .entries = completion_entries, .interrupts = true, .vector = 0});
    Result<void> started = submission_[0].activate({.ring = submission,
                                                    .entries = submission_entries,
                                                    .completion_queue = &completion_[0],
                                                    .completion_queue_id = 0});
    if (!started) {
        completion_[0].deactivate();
        return started;
    }
    submission_exists_[0] = completion_exists_[0] = true;
    return {};
}

void QueueSet::write_doorbell(u64 index, u32 value) {
    u64 id = index / 2;
    if (id >= queues_max) {
        return;  // reserved
    }
    auto queue_id = static_cast<u16>(id);
    if (index % 2 == 0) {
        report(submission_[id].write_tail(value), queue_id);
    } else {
        report(completion_[id].write_head(value), queue_id);
    }
}

void QueueSet::report(DoorbellResult result, u16 completion_queue_id) {
    switch (result) {
    case DoorbellResult::accepted:
        return;
    case DoorbellResult::unblocked:
        return kick(completion_queue_id);
    case DoorbellResult::no_such_queue:
        errors_->record_doorbell();
        return events_->report_invalid_doorbell_register();
    case DoorbellResult::invalid_value:
        errors_->record_doorbell();
        return events_->report_invalid_doorbell_value();
    }
}

void QueueSet::kick(u16 completion_queue_id) {
    if (completion_queue_id == 0) {
        events_->schedule();
    }
    for (SubmissionQueue& queue : submission_) {
        if (queue.is_active() && queue.completion_queue_id() == completion_queue_id) {
            queue.schedule();
        }
    }
}

Outcome QueueSet::create_completion_queue(const SubmissionEntry& entry) {
    CreateQueueSize size{entry.dword10};
    CreateCompletionQueue options{entry.dword11};
    u16 id = size.queue_id();
    if (id == 0 || id >= queues_max || completion_exists_[id]) {
        return failure(Status::invalid_queue_identifier);
    }
    if (size.entries() < 2 || size.entries() > queue_entries_max || !completion_size_valid_) {
        return failure(Status::invalid_queue_size);
    }
    if (!options.contiguous()) {
        return failure(Status::invalid_field);
    }
    if (options.vector() >= vectors_max) {
        return failure(Status::invalid_interrupt_vector);
    }
    if (!is_aligned(entry.data_pointer.prp1, memory_page)) {
        return failure(Status::prp_offset_invalid);
    }
    Result<std::byte*> memory = ring(entry.data_pointer.prp1, u64{size.entries()} * sizeof(CompletionEntry));
    if (!memory) {
        return failure(Status::invalid_field);
    }
    completion_[id].activate({.ring = *memory,
                              .entries = size.entries(),
                              .interrupts = options.interrupts_enabled(),
                              .vector = options.vector(),
                              .shadow_head = shadow_word(shadow_.doorbells, 2u * id + 1),
                              .event_index = shadow_word(shadow_.events, 2u * id + 1)});
    completion_exists_[id] = true;
    return {};
}

Outcome QueueSet::create_submission_queue(const SubmissionEntry& entry) {
    CreateQueueSize size{entry.dword10};
    CreateSubmissionQueue options{entry.dword11};
    u16 id = size.queue_id();
    u16 completion_id = options.completion_queue_id();
    if (id == 0 || id >= queues_max || submission_exists_[id]) {
        return failure(Status::invalid_queue_identifier);
    }
    if (completion_id == 0 || completion_id >= queues_max) {
        return failure(Status::invalid_queue_identifier);
    }
    if (!completion_exists_[completion_id]) {
        return failure(Status::completion_queue_invalid);
    }
    if (size.entries() < 2 || size.entries() > queue_entries_max || !submission_size_valid_) {
        return failure(Status::invalid_queue_size);
    }
    if (!options.contiguous()) {
        return failure(Status::invalid_field);
    }
    if (!is_aligned(entry.data_pointer.prp1, memory_page)) {
        return failure(Status::prp_offset_invalid);
    }
    Result<std::byte*> memory = ring(entry.data_pointer.prp1, u64{size.entries()} * sizeof(SubmissionEntry));
    if (!memory) {
        return failure(Status::invalid_field);
    }
    Result<void> started = submission_[id].activate({.ring = *memory,
                                                     .entries = size.entries(),
                                                     .completion_queue = &completion_[completion_id],
                                                     .completion_queue_id = completion_id,
                                                     .shadow_tail = shadow_word(shadow_.doorbells, 2u * id),
                                                     .event_index = shadow_word(shadow_.events, 2u * id)});
    if (!started) {
        return failure(Status::internal_error);
    }
    submission_exists_[id] = true;
    return {};
}

Outcome QueueSet::delete_completion_queue(u16 id) {
    if (id == 0 || id >= queues_max || !completion_exists_[id]) {
        return failure(Status::invalid_queue_identifier);
    }
    for (u16 other = 1; other < queues_max; ++other) {
        if (submission_exists_[other] && submission_[other].completion_queue_id() == id) {
            return failure(Status::invalid_queue_deletion);
        }
    }
    completion_[id].deactivate();
    completion_exists_[id] = false;
    return {};
}

Task<Outcome> QueueSet::delete_submission_queue(u16 id) {
    // Others may be at the same queue, or at shadow doorbells: one at a time.
    Result<void> turn = co_await management_.acquire();
    ASSERT(turn.has_value());
    if (id == 0 || id >= queues_max || !submission_exists_[id]) {
        management_.release();
        co_return failure(Status::invalid_queue_identifier);
    }
    SubmissionQueue& queue = submission_[id];
    co_await resume_on(queue.owner());
    queue.deactivate();
    queue.cancel_all(Ending::queue_deleted);
    Result<void> ended = co_await queue.join();
    ASSERT(ended.has_value());
    co_await resume_on(main_executor());
    submission_exists_[id] = false;
    management_.release();
    co_return Outcome{};
}

Task<Outcome> QueueSet::use_shadow_doorbells(u64 shadow_address, u64 event_address) {
    Result<std::byte*> doorbells = ring(shadow_address, memory_page);
    Result<std::byte*> events = ring(event_address, memory_page);
    if (!doorbells || !events) {
        co_return failure(Status::invalid_field);
    }
    Result<void> turn = co_await management_.acquire();
    ASSERT(turn.has_value());
    shadow_ = {.doorbells = *doorbells, .events = *events};
    // Not the admin queue: drivers never use a shared doorbell for it.
    for (u16 id = 1; id < queues_max; ++id) {
        completion_[id].use_shadow(shadow_word(shadow_.doorbells, 2u * id + 1),
                                   shadow_word(shadow_.events, 2u * id + 1));
        if (submission_exists_[id]) {
            co_await resume_on(owner_of(id));
            submission_[id].use_shadow(shadow_word(shadow_.doorbells, 2u * id), shadow_word(shadow_.events, 2u * id));
        }
    }
    co_await resume_on(main_executor());
    management_.release();
    co_return Outcome{};
}

Task<bool> QueueSet::abort(u16 queue_id, u16 command_id) {
    if (queue_id >= queues_max || !submission_[queue_id].is_active()) {
        co_return false;
    }
    SubmissionQueue& queue = submission_[queue_id];
    co_await resume_on(queue.owner());
    bool aborted = false;
    Request* request = queue.find(command_id);
    // Only commands of I/O queues wait for anything that can be called off.
    if (request != nullptr && queue_id != 0 && request->ending == Ending::none) {
        u64 generation = request->generation;
        request->ending = Ending::abort_command;
        request->cancel->cancel();
        u64 deadline = Executor::current().now_ns() + nanoseconds_per_second;
        Result<void> ended = co_await queue.wait_for_end(*request, generation, {.deadline_ns = deadline});
        // Used again since: nothing is known of how it ended, and the host finds its completion.
        aborted = ended.has_value() && request->generation == generation + 1 && request->was_aborted;
    }
    co_await resume_on(main_executor());
    co_return aborted;
}

bool QueueSet::has_io_queues() const {
    for (u16 id = 1; id < queues_max; ++id) {
        if (submission_exists_[id] || completion_exists_[id]) {
            return true;
        }
    }
    return false;
}

Task<void> QueueSet::stop() {
    for (Executor* executor : executors_) {
        co_await resume_on(*executor);
        for (SubmissionQueue& queue : submission_) {
            if (&queue.owner() == executor) {
                queue.deactivate();
                queue.cancel_all(Ending::reset);
            }
        }
    }
    for (Executor* executor : executors_) {
        co_await resume_on(*executor);
        for (SubmissionQueue& queue : submission_) {
            if (&queue.owner() == executor) {
                Result<void> ended = co_await queue.join();
                ASSERT(ended.has_value());
            }
        }
    }
    co_await resume_on(main_executor());
    for (CompletionQueue& queue : completion_) {
        queue.deactivate();
    }
    submission_exists_.fill(false);
    completion_exists_.fill(false);
    shadow_ = {};
}

bool QueueSet::has_scheduled_work() const {
    bool busy = events_->is_scheduled();
    for (u16 id = 0; id < queues_max; ++id) {
        busy |= submission_[id].is_scheduled() || completion_[id].is_scheduled();
    }
    return busy;
}

Task<void> QueueSet::drain() {
    // Each executor runs what it holds while we wait behind it; an item that was on its way between two is there in the
    // next round.
    while (has_scheduled_work()) {
        for (Executor* executor : executors_) {
            co_await resume_on(*executor);
            co_await yield();
        }
        co_await resume_on(main_executor());
        // An interrupt may wait for its coalescing time.
        Result<void> slept = co_await sleep_for(drain_pause_ns);
        ASSERT(slept.error() == Error::timed_out);
    }
}

}  // namespace undercroft::nvme
