// Controller reset: asked for from any executor, done on executors[0], in the one order in which no command's memory is
// given back too early:
//   1. every queue down, each on its executor: nothing new is sent
//   2. the controller disabled, or cut off from memory if it will not be
//   3. what was under way ends as `interrupted`; who sent it tries again, a bounded number of times
//   4. the controller set up again, the queues created and brought up
// When that fails, or does not help, several times in a row, the controller is given up and everything ends as `failed`
// or `gone`.
#include "drivers/nvme/driver.hpp"
#include "drivers/nvme/namespace.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::nvme::host {

/// From any executor. `reason` is a literal.
void Driver::request_recovery(const char* reason) {
    recovery_reason_.store(reason, std::memory_order_relaxed);
    if (!recovery_posted_.exchange(true)) {
        first_executor_.post_remote(recovery_work_);
    }
}

void Driver::on_recovery_requested(Work& self) {
    Driver& driver = static_cast<RecoveryWork&>(self).driver;
    driver.recovery_posted_ = false;
    driver.recovery_wanted_.set();
}

Task<void> Driver::recovery_loop() {
    CancelToken cancel = recovery_tasks_.token();
    while (!closing_) {
        Result<void> wanted = co_await recovery_wanted_.wait({.cancel = cancel});
        if (!wanted || closing_) {
            break;
        }
        recovery_wanted_.reset();
        if (state() == State::running) {
            co_await recover();
        }
    }
}

/// Whether the controller has answered an I/O command since the last reset.
bool Driver::has_progressed() {
    bool progressed = false;
    for (auto& channel : channels_) {
        if (channel->ready) {
            u64 completed = channel->queue->completed_count();
            progressed |= completed != channel->completed_at_reset;
            channel->completed_at_reset = completed;
        }
    }
    return progressed;
}

Task<void> Driver::recover() {
    state_.store(State::recovering, std::memory_order_release);
    reset_epoch_.fetch_add(1);
    co_await take_queues_down();
    resets_in_a_row_ = has_progressed() ? 0 : resets_in_a_row_;
    const char* reason = recovery_reason_.load(std::memory_order_relaxed);
    while (state() == State::recovering) {
        log_warning("nvme: reset: %s", reason);
        Result<void> outcome = co_await reset_once();
        if (outcome) {
            running_again_.notify_all();
            log_info("nvme: running again after reset");
            rescan_wanted_.set();  // not here: it needs a controller that answers, and a reset should that one not
            co_return;
        }
        reason = to_string(outcome.error());
        if (outcome.error() == Error::gone) {
            co_await give_up(Ending::gone);
        } else if (closing_ || resets_in_a_row_ >= options_.resets_max) {
            co_await give_up(Ending::failed);
        }
    }
}

/// Steps 2 to 4. On failure the controller is off memory, and nothing is under way.
Task<Result<void>> Driver::reset_once() {
    Result<void> disabled = co_await disable();
    co_await fail_queues(Ending::interrupted);
    if (++resets_in_a_row_ > options_.resets_max || !disabled) {
        co_return fail(disabled ? Error::device_error : disabled.error());
    }
    resets_.fetch_add(1, std::memory_order_relaxed);
    (void)co_await setup_.acquire();  // whoever had it was interrupted above
    Result<void> outcome = co_await try_recover();
    setup_.release();
    if (!outcome) {
        co_await take_queues_down();
        cut_off();
        co_await fail_queues(Ending::interrupted);
    }
    co_return outcome;
}

Task<Result<void>> Driver::try_recover() {
    CO_TRY(co_await initialise());
    initialising_ = true;
    Result<void> outcome;
    for (auto& channel : channels_) {
        if (outcome && channel->created) {
            outcome = co_await create_queues(*channel);
        }
    }
    initialising_ = false;
    if (outcome) {
        state_.store(State::running, std::memory_order_release);
        co_await bring_queues_up();
    }
    co_return outcome;
}

Task<void> Driver::take_queues_down() {
    for (auto& channel : channels_) {
        co_await resume_on(channel->executor);
        if (channel->queue != nullptr) {
            channel->queue->take_down();
        }
    }
    co_await resume_on(first_executor_);
    admin_->take_down();
}

/// The device is off memory: what was under way ends, each on its executor.
Task<void> Driver::fail_queues(Ending ending) {
    for (auto& channel : channels_) {
        co_await resume_on(channel->executor);
        if (channel->queue != nullptr) {
            channel->queue->fail_all(ending);
        }
    }
    co_await resume_on(first_executor_);
    admin_->fail_all(ending);
}

Task<void> Driver::bring_queues_up() {
    for (auto& channel : channels_) {
        if (channel->created) {
            co_await resume_on(channel->executor);
            channel->queue->bring_up();
        }
    }
    co_await resume_on(first_executor_);
}

/// The end, unless somebody opens the device anew: all that waits and all that comes is told why.
Task<void> Driver::give_up(Ending ending) {
    cut_off();
    state_.store(ending == Ending::gone ? State::gone : State::failed, std::memory_order_release);
    log_error("nvme: given up: %s", ending == Ending::gone ? "removed" : "failed");
    for (auto& channel : channels_) {
        co_await resume_on(channel->executor);
        if (channel->queue != nullptr) {
            channel->queue->kill(ending);
        }
    }
    co_await resume_on(first_executor_);
    admin_->kill(ending);
    running_again_.notify_all();
    for (auto& name_space : namespaces_) {
        name_space->report_gone();
    }
}

}  // namespace undercroft::nvme::host
