// The driver's life: open, what exists while it runs, close.
#include "drivers/nvme/driver.hpp"

#include <algorithm>
#include <new>

#include "drivers/nvme/namespace.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::nvme::host {

namespace {
constexpr u16 admin_vector = 0;
}

Driver::Driver(DeviceHost& host, DriverOptions options, std::span<Executor* const> executors)
    : host_(host), registers_(host.registers()), options_(options), first_executor_(*executors[0]),
      recovery_work_(*this) {
    for (Executor* executor : executors.first(std::min(executors.size(), io_queues_max))) {
        channels_.push_back(std::make_unique<Channel>(*executor));
    }
}

Driver::~Driver() { ASSERT(state() == State::closed); }

Task<Result<std::unique_ptr<Driver>>> Driver::open(DeviceHost& host, DriverOptions options,
                                                   std::span<Executor* const> executors) {
    ASSERT(!executors.empty() && executors[0] == &Executor::current());
    std::unique_ptr<Driver> driver(new (std::nothrow) Driver(host, options, executors));
    if (!driver) {
        co_return fail(Error::out_of_memory);
    }
    Result<void> started = co_await driver->start();
    if (!started) {
        (void)co_await driver->close();
        co_return fail(started.error());
    }
    co_return std::move(driver);
}

Result<void> Driver::make_admin_queue() {
    admin_data_ = TRY(host_.allocate_dma(identify_bytes));
    admin_ = TRY(QueuePair::create(host_, first_executor_,
                                   {.id = 0,
                                    .vector = admin_vector,
                                    .entries = admin_queue_entries,
                                    .doorbell_stride = capabilities_.doorbell_stride()}));
    admin_interrupt_ = TRY(host_.bind_interrupt(admin_vector));
    return {};
}

Task<Result<void>> Driver::start() {
    CO_TRY(check_capabilities());
    CO_TRY(make_admin_queue());
    queue_tasks_.spawn(service(*admin_, *admin_interrupt_, queue_tasks_.token()));
    queue_tasks_.spawn(watch(*admin_, queue_tasks_.token()));
    recovery_tasks_.spawn(recovery_loop());
    CO_TRY(co_await initialise());
    state_.store(State::running, std::memory_order_release);
    queue_tasks_.spawn(event_loop());
    queue_tasks_.spawn(rescan_loop());
    log_info("nvme: %s, serial %s: %zu I/O queues of %u entries, transfers up to %zu KiB", facts_.model_number.data(),
             facts_.serial_number.data(), usable_channels(),
             std::min(options_.queue_entries_max, capabilities_.queue_entries_max()), facts_.transfer_bytes_max / kib);
    co_return Result<void>{};
}

Task<Result<void>> Driver::close() {
    ASSERT(&Executor::current() == &first_executor_);
    if (state() == State::closed) {
        co_return Result<void>{};
    }
    closing_ = true;
    recovery_tasks_.stop();
    recovery_wanted_.set();
    (void)co_await recovery_tasks_.join();

    Result<void> confirmed = fail(Error::gone);
    if (admin_ != nullptr) {
        co_await take_queues_down();
        if (state() == State::running) {
            confirmed = co_await shut_down();
        }
        (void)co_await disable();
    }
    cut_off();
    state_.store(State::closed, std::memory_order_release);
    if (admin_ != nullptr) {
        co_await fail_queues(Ending::gone);
        admin_->kill(Ending::gone);
    }
    co_await join_tasks();
    for (auto& name_space : namespaces_) {
        name_space->detach();
    }
    namespaces_.clear();
    co_return confirmed;
}

/// Ends the tasks of every queue, each on the executor where it lives.
Task<void> Driver::join_tasks() {
    running_again_.notify_all();
    for (auto& channel : channels_) {
        co_await resume_on(channel->executor);
        if (channel->queue != nullptr) {
            channel->queue->kill(Ending::gone);
        }
        channel->tasks.stop();
        (void)co_await channel->tasks.join();
        channel->interrupt.reset();
    }
    co_await resume_on(first_executor_);
    queue_tasks_.stop();
    (void)co_await queue_tasks_.join();
    admin_interrupt_.reset();
}

/// CC.SHN, and the wait for CSTS.SHST. Base 2.0, section 3.6.2. The queues are down; the controller may still process
/// what it has.
Task<Result<void>> Driver::shut_down() {
    Configuration configuration{registers_.read32(register_offset::configuration)};
    if (ControllerStatus{registers_.read32(register_offset::status)}.gone()) {
        co_return fail(Error::gone);
    }
    registers_.write32(register_offset::configuration, configuration.with_shutdown(ShutdownNotification::normal).raw);
    u64 wanted_ns = facts_.shutdown_ns != 0 ? facts_.shutdown_ns : options_.shutdown_timeout_max_ns;
    u64 deadline_ns = Executor::current().now_ns() + std::min(wanted_ns, options_.shutdown_timeout_max_ns);
    for (;;) {
        ControllerStatus status{registers_.read32(register_offset::status)};
        if (status.gone()) {
            co_return fail(Error::gone);
        }
        if (status.shutdown() == ShutdownStatus::complete) {
            co_return Result<void>{};
        }
        if (Executor::current().now_ns() >= deadline_ns) {
            co_return fail(Error::timed_out);
        }
        (void)co_await sleep_for(register_poll_interval_ns);
    }
}

DriverStatistics Driver::statistics() const {
    DriverStatistics result{.resets = resets_, .aborts = aborts_, .violations = 0, .events = events_};
    if (admin_ != nullptr) {
        result.violations += admin_->violation_count();
    }
    for (const auto& channel : channels_) {
        if (channel->ready) {
            result.violations += channel->queue->violation_count();
        }
    }
    return result;
}

usize Driver::io_queue_count() const {
    usize count = 0;
    for (const auto& channel : channels_) {
        count += channel->ready;
    }
    return count;
}

}  // namespace undercroft::nvme::host
