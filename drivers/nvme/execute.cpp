// One command from its data pointer to its outcome: in place or through bounce memory, tried again where that can help,
// on the channel of the executor that asked. The steady state allocates nothing but pooled coroutine frames.
#include "drivers/nvme/namespace.hpp"
#include "drivers/nvme/prp.hpp"

namespace undercroft::nvme::host {

namespace {

constexpr Outcome outcome_of(Ending ending) { return {.ending = ending, .status = {}, .result = 0}; }

enum class Retry : u8 { no, at_once, after_delay };

/// Whether another attempt may end better. Base 2.0, section 3.3.3.2.1 and figure 95.
Retry retry_of(const Outcome& outcome) {
    if (outcome.ending == Ending::interrupted) {
        return Retry::at_once;
    }
    if (outcome.ending != Ending::completed || outcome.status.do_not_retry()) {
        return Retry::no;
    }
    switch (outcome.status.status()) {
    case Status::abort_requested:  // by us: it was late
    case Status::aborted_queue_deleted:
    case Status::aborted_power_loss:
        return Retry::at_once;
    case Status::command_interrupted:
    case Status::namespace_not_ready:
    case Status::transient_transport_error:
        return Retry::after_delay;
    default:
        return Retry::no;
    }
}

/// What the caller is told after the last attempt.
Outcome final_outcome(const Outcome& outcome) {
    bool was_aborted = outcome.ending == Ending::completed && outcome.status.status() == Status::abort_requested;
    return outcome.ending == Ending::interrupted || was_aborted ? outcome_of(Ending::timed_out) : outcome;
}

}  // namespace

Task<Outcome> Namespace::execute(Command command, CancelToken cancel) {
    Driver* driver = driver_.load(std::memory_order_acquire);
    if (driver == nullptr) {
        return Task<Outcome>::ready(outcome_of(Ending::gone));
    }
    return execute_here(*driver, command, cancel);
}

/// For executors without a queue of their own. A cancel token stays on its executor, so none goes along.
Task<Outcome> Namespace::execute_elsewhere(Driver::Channel& channel, Command command) {
    Executor& home = Executor::current();
    co_await resume_on(channel.executor);
    Outcome outcome = co_await execute(command, {});
    co_await resume_on(home);
    co_return outcome;
}

Task<Outcome> Namespace::execute_here(Driver& driver, Command command, CancelToken cancel) {
    Driver::Channel& channel = driver.home_channel();
    if (&channel.executor != &Executor::current()) {
        co_return co_await execute_elsewhere(channel, command);
    }
    const DriverOptions& options = driver.options();
    WaitLimits limits{.deadline_ns = channel.executor.now_ns() + options.request_timeout_ns, .cancel = cancel};
    Outcome outcome = outcome_of(Ending::interrupted);
    for (u32 attempt = 1;; ++attempt) {
        if (cancel.is_cancelled()) {
            co_return outcome_of(Ending::cancelled);
        }
        Retry retry = Retry::after_delay;
        if (channel.ready || (co_await driver.make_ready(channel)).has_value()) {
            QueuePair& queue = *channel.queue;
            std::optional<SlotIndex> slot = queue.try_acquire();
            if (!slot) {
                Result<SlotIndex, Ending> waited = co_await queue.acquire(limits);
                if (!waited) {
                    co_return outcome_of(waited.error());
                }
                slot = *waited;
            }
            PrpBuilder prp(queue.list(*slot), queue.list_address(*slot));
            if (add_in_place(prp, driver.host_, command.data)) {
                command.entry.data_pointer = prp.finish();
                queue.submit(*slot, command.entry);
                outcome = co_await queue.delivery(*slot);
                queue.release(*slot);
            } else {
                queue.release(*slot);
                outcome = co_await execute_bounced(channel, command, limits);
            }
            retry = retry_of(outcome);
        } else if (driver.state() == Driver::State::gone || driver.state() == Driver::State::closed) {
            co_return outcome_of(Ending::gone);
        } else if (driver.state() == Driver::State::failed) {
            co_return outcome_of(Ending::failed);
        }
        bool late = channel.executor.now_ns() >= limits.deadline_ns;
        if (retry == Retry::no || attempt >= options.attempts_max || late) {
            co_return final_outcome(outcome);
        }
        if (retry == Retry::after_delay) {
            (void)co_await sleep_for(options.retry_delay_ns, cancel);
        }
    }
}

/// The command in parts of at most `bounce_bytes_max`, one after the other, each copied through device memory.
Task<Outcome> Namespace::execute_bounced(Driver::Channel& channel, const Command& command, WaitLimits limits) {
    QueuePair& queue = *channel.queue;
    BounceMemory& bounce = *channel.bounce;
    bool is_blocks = command.entry.opcode != static_cast<u8>(IoOpcode::dataset_management);
    Outcome outcome;
    u64 total = command.data.size_bytes();
    for (u64 offset = 0; offset < total; offset += bounce_bytes_max) {
        u64 bytes = std::min<u64>(total - offset, bounce_bytes_max);
        SegmentView part = command.data.part(offset, bytes);
        BounceMemory::Loan loan;
        Result<void> lent = co_await bounce.acquire(loan, (bytes + page_size - 1) / page_size, limits);
        if (!lent) {
            co_return outcome_of(lent.error() == Error::cancelled ? Ending::cancelled : Ending::timed_out);
        }
        if (command.direction == Direction::to_device) {
            bounce.copy_in(loan, part);
        }
        Result<SlotIndex, Ending> slot = co_await queue.acquire(limits);
        if (!slot) {
            bounce.release(loan);
            co_return outcome_of(slot.error());
        }
        PrpBuilder prp(queue.list(*slot), queue.list_address(*slot));
        bool fits = bounce.add_to(prp, loan, bytes);
        ASSERT(fits);  // whole pages, fewer than a list holds
        SubmissionEntry entry = command.entry;
        if (is_blocks) {
            entry.set_starting_lba(command.entry.starting_lba() + offset / facts_.block_size);
            IoControl control{command.entry.dword12};
            entry.dword12 = control.with_blocks(static_cast<u32>(bytes / facts_.block_size)).raw;
        }
        entry.data_pointer = prp.finish();
        queue.submit(*slot, entry);
        outcome = co_await queue.delivery(*slot);
        queue.release(*slot);
        if (outcome.succeeded() && command.direction == Direction::from_device) {
            bounce.copy_out(loan, part);
        }
        bounce.release(loan);
        if (!outcome.succeeded()) {
            co_return outcome;
        }
    }
    co_return outcome;
}

}  // namespace undercroft::nvme::host
