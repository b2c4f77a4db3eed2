// The controller's life: made, enabled, disabled, shut down, closed.
#include "storage/frontends/nvme/controller.hpp"

#include <new>

namespace undercroft::nvme {

namespace {
/// At most one report of a changed size in this time.
constexpr u64 resize_pause_ns = 10 * nanoseconds_per_millisecond;
}  // namespace

Result<std::unique_ptr<Controller>> Controller::create(const ControllerConfig& config) {
    if (config.executors.empty()) {
        return fail(Error::invalid_argument);
    }
    NamespaceTable namespaces = TRY(NamespaceTable::create(config.namespaces, config.identity.subsystem_name));
    std::unique_ptr<Controller> controller(new (std::nothrow) Controller(config, std::move(namespaces)));
    if (controller == nullptr) {
        return fail(Error::out_of_memory);
    }
    return controller;
}

Controller::Controller(const ControllerConfig& config, NamespaceTable namespaces)
    : memory_(config.memory), executors_(config.executors.begin(), config.executors.end()),
      namespaces_(std::move(namespaces)), identity_(config.identity),
      header_({.vendor_id = config.identity.vendor_id,
               .device_id = config.identity.device_id,
               .class_code = pci::class_nvme,
               .revision = 1,
               .subsystem_vendor_id = config.identity.vendor_id,
               .subsystem_id = config.identity.device_id},
              msix_offset),
      msix_(
          config.messages,
          {.vectors = vectors_max, .bar = 0, .table_offset = msix_table_offset, .pending_offset = msix_pending_offset}),
      queues_(memory_, msix_, features_.coalescing(), executors_),
      admin_commands_(memory_, identity_, namespaces_, queues_, events_, features_, errors_),
      io_commands_(memory_, namespaces_, features_.write_cache_enabled()) {
    queues_.attach(admin_commands_, io_commands_, errors_, events_);
    events_.attach(queues_.admin_submission(), queues_.admin_completion());
}

Controller::~Controller() { ASSERT(!running_ && !lifecycle_running_ && !lifecycle_scheduled_.load()); }

Task<void> Controller::close() {
    closed_.store(true, std::memory_order_seq_cst);
    if (shutdown_cancel_) {
        shutdown_cancel_->cancel();
    }
    // What the lifecycle is at ends by itself; then nothing starts it again.
    while (lifecycle_scheduled_.load(std::memory_order_seq_cst) || lifecycle_running_) {
        co_await resume_on(queues_.main_executor());
        Result<void> ended = co_await lifecycle_.join();
        ASSERT(ended.has_value());
        co_await yield();
    }
    co_await stop_controller();
    co_await queues_.drain();
}

void Controller::update_status(auto&& change) {
    SpinlockGuard guard(register_lock_);
    status_.store(change(ControllerStatus{status_.load(std::memory_order_relaxed)}).raw, std::memory_order_seq_cst);
}

void Controller::schedule_lifecycle() {
    if (lifecycle_scheduled_.exchange(true, std::memory_order_seq_cst)) {
        return;
    }
    Executor& owner = queues_.main_executor();
    owner.post_from_anywhere(lifecycle_work_);
}

void Controller::on_lifecycle_work(Work& self) {
    Controller& controller = static_cast<LifecycleWork&>(self).owner;
    controller.lifecycle_scheduled_.exchange(false, std::memory_order_seq_cst);
    if (!controller.lifecycle_running_) {
        controller.lifecycle_running_ = true;
        controller.lifecycle_.spawn(controller.run_lifecycle());
        return;
    }
    // Neither a reset nor a start waits for the flushes of a shutdown, nor does a shutdown that was withdrawn.
    if (controller.shutdown_cancel_ && controller.shutdown_is_obsolete()) {
        controller.shutdown_cancel_->cancel();
    }
}

bool Controller::shutdown_is_obsolete() {
    SpinlockGuard guard(register_lock_);
    Configuration configuration{configuration_.load(std::memory_order_relaxed)};
    return reset_requested_ || configuration.shutdown() == ShutdownNotification::none ||
           (configuration.enable() && !running_);
}

Controller::Step Controller::take_step() {
    if (closed_.load(std::memory_order_seq_cst)) {
        return Step::none;
    }
    SpinlockGuard guard(register_lock_);
    if (reset_requested_) {
        reset_requested_ = false;
        shutdown_requested_ = false;
        return Step::stop;
    }
    bool enabled = Configuration{configuration_.load(std::memory_order_relaxed)}.enable();
    ControllerStatus status{status_.load(std::memory_order_relaxed)};
    if (enabled && !running_ && !status.fatal()) {
        return Step::start;
    }
    if (shutdown_requested_) {
        shutdown_requested_ = false;
        return Step::shut_down;
    }
    return Step::none;
}

Task<void> Controller::run_lifecycle() {
    for (;;) {
        switch (take_step()) {
        case Step::none:
            lifecycle_running_ = false;
            co_return;
        case Step::stop:
            co_await stop_controller();
            resets_.add();
            break;
        case Step::start:
            start_controller();
            break;
        case Step::shut_down:
            co_await shut_down();
            break;
        }
    }
}

bool Controller::configuration_is_valid(Configuration configuration) const {
    u32 command_set = configuration.command_set();
    bool command_set_valid = command_set == static_cast<u32>(CommandSetSelected::nvm) ||
                             command_set == static_cast<u32>(CommandSetSelected::all) ||
                             command_set == static_cast<u32>(CommandSetSelected::admin_only);
    return command_set_valid && configuration.page_size_log2() == memory_page_log2 && configuration.arbitration() == 0;
}

void Controller::start_controller() {
    Configuration configuration{configuration_.load(std::memory_order_seq_cst)};
    AdminQueueAttributes attributes{admin_attributes_.load(std::memory_order_seq_cst)};
    bool valid = configuration_is_valid(configuration);
    if (valid) {
        features_.reset(Executor::current().now_ns());
        events_.reset();
        events_.set_configuration(features_.event_configuration());
        queues_.set_entry_sizes(configuration.submission_entry_log2() == submission_entry_log2,
                                configuration.completion_entry_log2() == completion_entry_log2);
        valid = queues_.start_admin(attributes, admin_submission_.load(), admin_completion_.load()).has_value();
    }
    if (!valid) {
        update_status([](ControllerStatus status) { return status.with_fatal(true); });
        return;
    }
    running_ = true;
    watchers_.emplace();
    for (const Namespace& entry : namespaces_.all()) {
        watchers_->spawn(watch_size(entry, watchers_->token()));
    }
    update_status([](ControllerStatus) { return ControllerStatus{}.with_ready(true); });
}

Task<void> Controller::stop_controller() {
    if (watchers_) {
        watchers_->stop();
        Result<void> ended = co_await watchers_->join();
        ASSERT(ended.has_value());
        watchers_.reset();
    }
    co_await queues_.stop();
    events_.reset();
    running_ = false;
    update_status([](ControllerStatus) { return ControllerStatus{}; });
}

Task<void> Controller::shut_down() {
    shutdown_cancel_.emplace();
    for (const Namespace& entry : namespaces_.all()) {
        // A disk that cannot flush is no reason to keep the guest from switching off.
        DiskResult<void> flushed = co_await entry.disk.flush(shutdown_cancel_->token());
        static_cast<void>(flushed);
    }
    shutdown_cancel_.reset();
    if (!shutdown_is_obsolete()) {
        update_status([](ControllerStatus status) { return status.with_shutdown(ShutdownStatus::complete); });
    }
}

Task<void> Controller::watch_size(const Namespace& watched, CancelToken cancel) {
    u64 known = watched.blocks();
    while (!cancel.is_cancelled()) {
        DiskResult<u64> size = co_await watched.disk.wait_for_resize(known, cancel);
        if (!size) {
            co_return;
        }
        if (*size != known) {
            known = *size;
            events_.namespace_changed(watched.id);
        }
        Result<void> paused = co_await sleep_for(resize_pause_ns, cancel);
        static_cast<void>(paused);  // by its end, or by the cancellation that the loop asks about
    }
}

Counters Controller::counters() const {
    Counters sum;
    for (const SubmissionQueue& queue : queues_.submission_queues()) {
        (queue.id() == 0 ? sum.admin_commands : sum.io_commands) += queue.commands();
        sum.failed_commands += queue.failures();
        sum.doorbell_writes += queue.doorbell_writes();
        sum.bytes_read += queue.bytes_read();
        sum.bytes_written += queue.bytes_written();
    }
    for (const CompletionQueue& queue : queues_.completion_queues()) {
        sum.doorbell_writes += queue.doorbell_writes();
    }
    sum.interrupts = msix_.raised();
    sum.resets = resets_.get();
    return sum;
}

}  // namespace undercroft::nvme
