// The I/O queues of each executor: made when first used, served by interrupts, watched while commands are under way.
#include <algorithm>
#include <bit>

#include "drivers/nvme/driver.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::nvme::host {

/// The channel that commands of the calling executor go through: its own, or the one it shares.
Driver::Channel& Driver::home_channel() {
    Executor& current = Executor::current();
    usize index = 0;
    while (&channels_[index]->executor != &current) {
        ++index;
        ASSERT(index < channels_.size());  // the caller runs on an executor that `open` was not told of
    }
    usize usable = usable_channels();
    return *channels_[usable == 0 ? 0 : index % usable];
}

/// On the channel's executor: ends when its queue exists and the controller knows it.
Task<Result<void>> Driver::make_ready(Channel& channel) {
    CO_TRY(co_await channel.creation.acquire());
    Result<void> outcome;
    if (!channel.ready) {
        outcome = co_await make_channel(channel);
    }
    channel.creation.release();
    co_return outcome;
}

Task<Result<void>> Driver::make_channel(Channel& channel) {
    if (channel.queue == nullptr) {
        usize index = 0;
        while (channels_[index].get() != &channel) {
            ++index;
        }
        bool own_vector = index + 1 < host_.interrupt_count();
        u16 vector = own_vector ? static_cast<u16>(index + 1) : 0;
        if (own_vector && channel.interrupt == nullptr) {
            channel.interrupt = CO_TRY(host_.bind_interrupt(vector));
        }
        if (channel.bounce == nullptr) {
            channel.bounce = CO_TRY(BounceMemory::create(host_, options_.bounce_pages));
        }
        u32 entries = std::min({options_.queue_entries_max, capabilities_.queue_entries_max(), u32{256}});
        channel.queue = CO_TRY(QueuePair::create(host_, channel.executor,
                                                 {.id = static_cast<u16>(index + 1),
                                                  .vector = vector,
                                                  .entries = entries,
                                                  .doorbell_stride = capabilities_.doorbell_stride()}));
    }
    co_await resume_on(first_executor_);
    Result<void> created = co_await setup_.acquire(1, {.deadline_ns = first_executor_.now_ns() + setup_wait_max_ns});
    if (created) {
        u64 epoch = reset_epoch_;
        if (state() != State::running) {
            created = fail(Error::busy);
        } else if (!channel.created) {
            created = co_await create_queues(channel);
            if (created && reset_epoch_ != epoch) {
                created = fail(Error::busy);  // a reset has begun, and knows nothing of these queues
            }
            channel.created = created.has_value();
        }
        co_await resume_on(channel.executor);
        // A reset that began since takes the queue down on this executor; if it was here already, the epoch tells, and
        // it will bring the queue up itself.
        if (created && reset_epoch_ == epoch) {
            channel.queue->bring_up();
        }
        co_await resume_on(first_executor_);
        setup_.release();
    }
    co_await resume_on(channel.executor);
    if (created) {
        if (channel.interrupt != nullptr) {
            channel.tasks.spawn(service(*channel.queue, *channel.interrupt, channel.tasks.token()));
        }
        channel.tasks.spawn(watch(*channel.queue, channel.tasks.token()));
        channel.ready = true;
    }
    co_return created;
}

/// Takes in completions whenever `interrupt` arrives. The admin queue's serves the first I/O queue too where there is a
/// single vector.
Task<void> Driver::service(QueuePair& queue, InterruptBinding& interrupt, CancelToken cancel) {
    u64 violations = queue.violation_count();
    while (!cancel.is_cancelled()) {
        (void)queue.process_completions();
        Channel& first = *channels_[0];
        if (&queue == admin_.get() && first.ready && first.queue->vector() == queue.vector()) {
            (void)first.queue->process_completions();
        }
        if (queue.violation_count() != violations) {
            violations = queue.violation_count();
            request_recovery("it completed a command that was not under way");
        }
        Result<void> arrived = co_await interrupt.wait({.cancel = cancel});
        if (!arrived && arrived.error() != Error::cancelled && arrived.error() != Error::timed_out) {
            // No interrupts any more: the watch still looks at the queue.
            log_error("nvme: queue %u: no interrupts: %s", queue.id(), to_string(arrived.error()));
            co_return;
        }
    }
}

/// While commands are under way: looks at their age, at the queue (an interrupt may be lost), and at the controller's
/// health.
Task<void> Driver::watch(QueuePair& queue, CancelToken cancel) {
    u64 violations = queue.violation_count();
    u32 missed = 0;
    while (!cancel.is_cancelled()) {
        if (queue.watched_count() == 0) {
            u64 deadline_ns =
                queue.id() == 0 ? first_executor_.now_ns() + options_.idle_watch_interval_ns : no_deadline;
            Result<void> busy = co_await queue.wait_busy({.deadline_ns = deadline_ns, .cancel = cancel});
            if (!busy && busy.error() == Error::cancelled) {
                break;
            }
            if (!busy) {
                look_at_idle_controller();
                look_for_missed(queue, missed);  // an asynchronous event
                continue;
            }
        }
        Result<void> slept = co_await sleep_for(options_.watch_interval_ns, cancel);
        if (!slept && slept.error() == Error::cancelled) {
            break;
        }
        queue.tick();
        look_for_missed(queue, missed);
        if (queue.violation_count() != violations) {
            violations = queue.violation_count();
            request_recovery("it completed a command that was not under way");
        }
        co_await look_after(queue);
    }
}

/// Takes in completions that came without an interrupt.
void Driver::look_for_missed(QueuePair& queue, u32& missed) {
    if (queue.process_completions()) {
        // May happen once in a while, when the interrupt is just on its way; a device whose interrupts are lost shows
        // here.
        ++missed;
        if (std::has_single_bit(missed)) {
            log_warning("nvme: queue %u: completions without an interrupt, %u times", queue.id(), missed);
        }
    }
}

/// A controller that failed or was removed is noticed even if nobody asks it anything.
void Driver::look_at_idle_controller() {
    ControllerStatus status{registers_.read32(register_offset::status)};
    if (state() == State::running && (status.gone() || status.fatal())) {
        request_recovery(status.gone() ? "it does not answer" : "it reports a fatal status");
    }
}

/// What to do about the oldest command of `queue`.
Task<void> Driver::look_after(QueuePair& queue) {
    std::optional<QueuePair::Overdue> oldest = queue.oldest();
    if (!oldest || oldest->age_ticks < 2 || !queue.is_up()) {
        co_return;
    }
    ControllerStatus status{registers_.read32(register_offset::status)};
    u64 age_ns = oldest->age_ticks * options_.watch_interval_ns;
    const char* trouble = nullptr;
    if (status.gone()) {
        trouble = "it does not answer";
    } else if (status.fatal()) {
        trouble = "it reports a fatal status";
    } else if (queue.id() == 0 && age_ns >= options_.admin_timeout_ns) {
        trouble = "an admin command took too long";
    } else if (queue.id() != 0 && age_ns >= options_.command_timeout_ns + options_.abort_grace_ns) {
        trouble = "a command took too long and was not aborted";
    }
    if (trouble != nullptr && queue.id() == 0 && initialising_) {
        // Whoever set the controller up waits for this command and goes on when it ends.
        log_warning("nvme: while being set up: %s", trouble);
        cut_off();
        queue.take_down();
        queue.fail_all(status.gone() ? Ending::gone : Ending::timed_out);
    } else if (trouble != nullptr) {
        request_recovery(trouble);
    } else if (queue.id() != 0 && age_ns >= options_.command_timeout_ns && !oldest->aborted) {
        queue.mark_aborted(oldest->slot);
        log_warning("nvme: queue %u: command %04x is late: abort", queue.id(), oldest->command_id);
        co_await resume_on(first_executor_);
        co_await abort(queue.id(), oldest->command_id);
        co_await resume_on(queue.executor());
    }
}

}  // namespace undercroft::nvme::host
