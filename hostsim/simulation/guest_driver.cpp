// The controller's life as the guest leads it: enabled, reset, shut down, with its queues and its events.
#include "hostsim/simulation/guest_driver.hpp"

#include <cstring>

#include "kernel/spec/pci.hpp"
#include "storage/frontends/nvme/limits.hpp"

namespace undercroft::simulation {

using namespace nvme;

namespace {

constexpr u64 message_address = 0xfee0'0000;
constexpr u32 admin_entries = 16;
constexpr u64 register_poll_ns = 2 * nanoseconds_per_millisecond;
/// Linux's: shutdown_timeout.
constexpr u64 shutdown_timeout_ns = 5 * nanoseconds_per_second;
/// Pause of the supervisor between two looks.
constexpr u64 supervisor_pause_ns = 50 * nanoseconds_per_millisecond;
/// Least time between two asynchronous events that are answered.
constexpr u64 event_pause_ns = 1 * nanoseconds_per_millisecond;

}  // namespace

GuestDriver::GuestDriver(const Config& config)
    : config_(config), random_(config.seed ^ 0x6775'6573'74), interrupts_(config.habits.queues + 1u),
      admin_data_(config.memory.allocate(page_size).value()), shadow_(config.memory.allocate(2 * page_size).value()),
      admin_(config.memory, config.recorder, 0, admin_entries), messages_pending_(config.habits.queues + 1u) {
    for (u16 id = 1; id <= config.habits.queues; ++id) {
        queues_.push_back(
            std::make_unique<GuestQueue>(config.memory, config.recorder, id, config.habits.queue_entries));
    }
}

GuestDriver::~GuestDriver() { bindings_.clear(); }

void GuestDriver::deliver(u64 address, u32 data) {
    if (address != message_address || data >= interrupts_.count()) {
        return config_.recorder.problem("a message that the guest did not ask for");
    }
    messages_pending_[data] = true;
    interrupts_.raise(data);
}

void GuestDriver::set_messages_up() {
    for (u32 vector = 0; vector < interrupts_.count(); ++vector) {
        u64 entry = msix_table_offset + u64{vector} * pci::msix_entry::size_bytes;
        write64(entry + pci::msix_entry::address_low, message_address);
        write32(entry + pci::msix_entry::data, vector);
        write32(entry + pci::msix_entry::vector_control, 0);
    }
    // The only capability; its message control is the upper half of its first dword.
    u16 msix = static_cast<u16>(device_->read_config(pci::config_offset::capabilities));
    device_->write_config(msix, u32{pci::MsixControl::enable_bit} << 16, 0xffff'0000);
}

Task<Result<void>> GuestDriver::start(PciFunction& device) {
    device_ = &device;
    set_messages_up();
    bindings_.push_back(interrupts_.bind(0).value());
    for (u16 vector = 1; vector <= config_.habits.queues; ++vector) {
        co_await resume_on(*config_.executors[vector % config_.executors.size()]);
        bindings_.push_back(interrupts_.bind(vector).value());
        co_await resume_on(*config_.executors[0]);
    }
    tasks_.spawn(service(admin_));
    for (auto& queue : queues_) {
        tasks_.spawn(service(*queue));
    }
    CO_TRY(co_await bring_up());
    tasks_.spawn(supervise());
    co_return Result<void>{};
}

Task<Result<void>> GuestDriver::wait_ready(bool ready) {
    Capabilities capabilities{read32(register_offset::capabilities)};
    u64 deadline_ns = Executor::current().now_ns() + capabilities.timeout_ns();
    for (;;) {
        ControllerStatus status{read32(register_offset::status)};
        if (status.fatal() && ready) {
            co_return fail(Error::device_error);
        }
        if (status.ready() == ready) {
            co_return Result<void>{};
        }
        if (Executor::current().now_ns() >= deadline_ns) {
            co_return fail(Error::timed_out);
        }
        (void)co_await sleep_for(register_poll_ns);
    }
}

Task<Result<void>> GuestDriver::enable() {
    admin_.attach(*device_);
    write32(register_offset::admin_queue_attributes,
            AdminQueueAttributes{}.with_submission_entries(admin_entries).with_completion_entries(admin_entries).raw);
    write64(register_offset::admin_submission_queue, admin_.submission_address());
    write64(register_offset::admin_completion_queue, admin_.completion_address());
    write32(register_offset::configuration, Configuration{}
                                                .with_page_size_log2(12)
                                                .with_submission_entry_log2(submission_entry_log2)
                                                .with_completion_entry_log2(completion_entry_log2)
                                                .with_enable(true)
                                                .raw);
    co_return co_await wait_ready(true);
}

Task<Result<void>> GuestDriver::bring_up() {
    CO_TRY(co_await enable());
    u32 epoch = ++epoch_;
    if (config_.habits.is_windows) {
        CO_TRY(co_await look_around());
    }
    if (config_.habits.shadow_doorbells) {
        SubmissionEntry entry;
        entry.opcode = static_cast<u8>(AdminOpcode::doorbell_buffer_config);
        entry.data_pointer.prp1 = shadow_.device_address();
        entry.data_pointer.prp2 = shadow_.device_address() + page_size;
        if (!(co_await execute_admin(entry)).succeeded()) {
            co_return fail(Error::device_error);
        }
    }
    for (auto& queue : queues_) {
        CO_TRY(co_await create_queue(*queue));
    }
    if (!config_.habits.is_windows) {
        CO_TRY(co_await configure_events(event_configuration::namespace_attribute));
    }
    CO_TRY(co_await identify_namespace());
    if (epoch != epoch_) {
        co_return fail(Error::busy);
    }
    tasks_.spawn(config_.habits.is_windows ? rescan() : ask_for_events());
    running_ = true;
    running_again_.notify_all();
    co_return Result<void>{};
}

Task<Result<void>> GuestDriver::configure_events(u32 wanted) {
    SubmissionEntry events;
    events.opcode = static_cast<u8>(AdminOpcode::set_features);
    events.dword10 = static_cast<u32>(Feature::asynchronous_event_configuration);
    events.dword11 = wanted;
    if (!(co_await execute_admin(events)).succeeded()) {
        co_return fail(Error::device_error);
    }
    co_return Result<void>{};
}

Task<Result<void>> GuestDriver::create_queue(GuestQueue& queue) {
    queue.attach(*device_);
    SubmissionEntry completion;
    completion.opcode = static_cast<u8>(AdminOpcode::create_completion_queue);
    completion.data_pointer.prp1 = queue.completion_address();
    completion.dword10 = CreateQueueSize::make(queue.id(), queue.entries()).raw;
    completion.dword11 = CreateCompletionQueue::make(true, queue.id()).raw;
    SubmissionEntry submission;
    submission.opcode = static_cast<u8>(AdminOpcode::create_submission_queue);
    submission.data_pointer.prp1 = queue.submission_address();
    submission.dword10 = CreateQueueSize::make(queue.id(), queue.entries()).raw;
    submission.dword11 = CreateSubmissionQueue::make(queue.id()).raw;
    if (config_.habits.shadow_doorbells) {
        for (usize page = 0; page < 2; ++page) {
            std::memset(shadow_.data() + page * page_size + usize{2} * queue.id() * sizeof(u32), 0, 2 * sizeof(u32));
        }
        queue.use_shadow(shadow_.data(), shadow_.data() + page_size);
    }
    bool created = (co_await execute_admin(completion)).succeeded();
    created = created && (co_await execute_admin(submission)).succeeded();
    if (!created) {
        queue.detach();
        co_return fail(Error::device_error);
    }
    co_return Result<void>{};
}

Task<Result<void>> GuestDriver::delete_queue(GuestQueue& queue) {
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(AdminOpcode::delete_submission_queue);
    entry.dword10 = queue.id();
    Answer answer = co_await execute_admin(entry);
    if (answer.status == no_status) {
        co_return fail(Error::gone);
    }
    // What was not completed by now is completed by the deletion: base 2.0 section 5.7.
    (void)queue.poll();
    entry.opcode = static_cast<u8>(AdminOpcode::delete_completion_queue);
    answer = co_await execute_admin(entry);
    if (!answer.succeeded()) {
        co_return fail(Error::device_error);
    }
    co_return Result<void>{};
}

/// Deletes a queue with whatever it has under way, and makes it anew.
Task<void> GuestDriver::recreate_queue(GuestQueue& queue) {
    u32 epoch = epoch_;
    running_ = false;  // nothing new meanwhile
    bool recreated = (co_await delete_queue(queue)).has_value();
    if (epoch == epoch_) {
        queue.detach();
        recreated = recreated && (co_await create_queue(queue)).has_value();
    }
    if (epoch != epoch_) {
        co_return;
    }
    if (!recreated) {
        reset_wanted_.set();
        co_return;
    }
    running_ = true;
    running_again_.notify_all();
}

Task<Result<void>> GuestDriver::shut_down() {
    running_ = false;
    Configuration configuration{read32(register_offset::configuration)};
    write32(register_offset::configuration, configuration.with_shutdown(ShutdownNotification::normal).raw);
    u64 deadline_ns = Executor::current().now_ns() + shutdown_timeout_ns;
    while (ControllerStatus{read32(register_offset::status)}.shutdown() != ShutdownStatus::complete) {
        if (Executor::current().now_ns() >= deadline_ns) {
            co_return fail(Error::timed_out);
        }
        (void)co_await sleep_for(register_poll_ns);
    }
    co_return Result<void>{};
}

void GuestDriver::disable_now() {
    running_ = false;
    ++epoch_;
    Configuration configuration{read32(register_offset::configuration)};
    write32(register_offset::configuration, configuration.with_enable(false).raw);
}

Task<Result<void>> GuestDriver::disable() {
    disable_now();
    Result<void> disabled = co_await wait_ready(false);
    config_.recorder.expect(disabled.has_value(), "the controller is not disabled within CAP.TO");
    // From here on nothing that was under way is the controller's any more.
    admin_.detach();
    for (auto& queue : queues_) {
        queue->detach();
    }
    co_return disabled;
}

Task<Result<void>> GuestDriver::reset() {
    ++resets_;
    config_.recorder.event("the guest resets its controller");
    CO_TRY(co_await disable());
    co_return co_await bring_up();
}

Task<Result<void>> GuestDriver::stop() {
    stopping_ = true;
    tasks_.stop();
    if (device_ != nullptr) {
        (void)co_await disable();  // the recorder has heard of it
    }
    dead_ = true;
    running_again_.notify_all();
    size_.close();
    co_return co_await tasks_.join();
}

/// Resets where somebody asked for it, and, as the plan has it, where nobody did.
Task<void> GuestDriver::supervise() {
    CancelToken cancel = tasks_.token();
    while (!cancel.is_cancelled()) {
        u64 until_ns = Executor::current().now_ns() + supervisor_pause_ns;
        (void)co_await reset_wanted_.wait({.deadline_ns = until_ns, .cancel = cancel});
        if (cancel.is_cancelled()) {
            co_return;
        }
        SeededRandom draw = random_.fork();
        bool spontaneous = !calm_ && draw.chance(config_.habits.resets);
        if (reset_wanted_.is_set() || spontaneous) {
            reset_wanted_.reset();
            Result<void> done = co_await reset();
            // Commands of the bring-up may be late, and ask for another.
            if (!done && !cancel.is_cancelled() && done.error() == Error::timed_out) {
                dead_ = true;
                running_again_.notify_all();
                co_return;
            }
            if (!done) {
                reset_wanted_.set();
                (void)co_await sleep_for(supervisor_pause_ns, cancel);
            }
        } else if (!calm_ && running_ && draw.chance(config_.habits.queue_deletions)) {
            co_await recreate_queue(*queues_[draw.below(queues_.size())]);
        }
    }
}

Task<void> GuestDriver::service(GuestQueue& queue) {
    CancelToken cancel = tasks_.token();
    InterruptBinding& binding = *bindings_[queue.id()];
    while (!cancel.is_cancelled()) {
        if (Result<void> arrived = co_await binding.wait({.cancel = cancel}); arrived) {
            messages_pending_[queue.id()] = false;
            (void)queue.poll();
        }
    }
}

/// Keeps one asynchronous event request parked, and looks at the namespace when it comes back.
Task<void> GuestDriver::ask_for_events() {
    u32 epoch = epoch_;
    while (epoch == epoch_ && !stopping_) {
        SubmissionEntry entry;
        entry.opcode = static_cast<u8>(AdminOpcode::asynchronous_event_request);
        Answer answer = co_await execute(admin_, entry, no_deadline);
        if (!answer.succeeded() || epoch != epoch_) {
            co_return;
        }
        DmaBuffer log = config_.memory.allocate(page_size).value();
        SubmissionEntry read;
        read.opcode = static_cast<u8>(AdminOpcode::get_log_page);
        read.namespace_id = all_namespaces;
        read.data_pointer.prp1 = log.device_address();
        GetLogPage page = GetLogPage::make(LogPage::changed_namespaces, page_size, false);
        read.dword10 = page.dword10;
        read.dword11 = page.dword11;
        answer = co_await execute_admin(read);
        if (answer.status == no_status) {
            co_return;
        }
        (void)co_await identify_namespace();
        (void)co_await sleep_for(event_pause_ns, tasks_.token());
    }
}

void GuestDriver::report_counters() {
    config_.recorder.report.counters.guest_resets += resets_;
    config_.recorder.report.counters.guest_aborts += aborts_;
}

}  // namespace undercroft::simulation
