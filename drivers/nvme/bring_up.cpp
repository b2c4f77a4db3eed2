// From a controller in any state to one that takes I/O commands: the part that the first start and every reset share.
// Base 2.0, sections 3.5 (initialisation) and 3.7 (reset).
#include <algorithm>

#include "drivers/nvme/driver.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::nvme::host {

Result<void> Driver::check_capabilities() {
    capabilities_ = Capabilities{registers_.read64(register_offset::capabilities)};
    if (capabilities_.raw == ~u64{0}) {
        return fail(Error::gone);
    }
    bool has_pages =
        capabilities_.page_size_min_log2() <= page_size_log2 && capabilities_.page_size_max_log2() >= page_size_log2;
    if (!has_pages || (capabilities_.command_sets() & capability_command_set::nvm) == 0) {
        return fail(Error::unsupported);
    }
    bool doorbells_fit =
        completion_doorbell_offset(1, capabilities_.doorbell_stride()) + sizeof(u32) <= registers_.size_bytes();
    if (capabilities_.queue_entries_max() < 2 || !doorbells_fit) {
        return fail(Error::malformed);
    }
    return {};
}

/// Waits until CSTS.RDY is `ready`, for as long as CAP.TO says.
Task<Result<void>> Driver::wait_ready(bool ready) {
    u64 wanted_ns = std::max(capabilities_.timeout_ns(), ready_timeout_min_ns);
    u64 deadline_ns = Executor::current().now_ns() + std::min(wanted_ns, options_.ready_timeout_max_ns);
    for (;;) {
        ControllerStatus status{registers_.read32(register_offset::status)};
        if (status.gone()) {
            co_return fail(Error::gone);
        }
        if (status.ready() == ready) {
            co_return Result<void>{};
        }
        if (ready && status.fatal()) {
            co_return fail(Error::device_error);
        }
        if (Executor::current().now_ns() >= deadline_ns) {
            co_return fail(Error::timed_out);
        }
        (void)co_await sleep_for(register_poll_interval_ns);
    }
}

/// CC.EN = 0, and the wait until the controller is idle. Cuts it off from memory where it will not be.
Task<Result<void>> Driver::disable() {
    Configuration configuration{registers_.read32(register_offset::configuration)};
    if (ControllerStatus{registers_.read32(register_offset::status)}.gone()) {
        cut_off();
        co_return fail(Error::gone);
    }
    // Not while it is still starting: a change of CC.EN before CSTS.RDY followed the last one has no defined effect.
    if (configuration.enable()) {
        (void)co_await wait_ready(true);
        registers_.write32(register_offset::configuration,
                           configuration.with_enable(false).with_shutdown(ShutdownNotification::none).raw);
    }
    Result<void> stopped = co_await wait_ready(false);
    if (!stopped) {
        cut_off();
    }
    co_return stopped;
}

/// Stops the device from reaching memory, whatever state it is in.
void Driver::cut_off() {
    Result<void> result = host_.set_bus_master(false);
    if (!result) {
        // Nothing more can be done from here; the monitor's IOMMU view is what stands behind this.
        log_error("nvme: bus master cannot be cleared: %s", to_string(result.error()));
    }
}

/// Admin queue registers, CC.EN = 1, and the wait until the controller is ready.
Task<Result<void>> Driver::enable() {
    CO_TRY(host_.set_bus_master(true));
    admin_->reset_rings();
    registers_.write32(register_offset::admin_queue_attributes, AdminQueueAttributes{}
                                                                    .with_submission_entries(admin_queue_entries)
                                                                    .with_completion_entries(admin_queue_entries)
                                                                    .raw);
    registers_.write64(register_offset::admin_submission_queue, admin_->submission_address());
    registers_.write64(register_offset::admin_completion_queue, admin_->completion_address());
    registers_.write32(register_offset::configuration, Configuration{}
                                                           .with_command_set(CommandSetSelected::nvm)
                                                           .with_page_size_log2(page_size_log2)
                                                           .with_submission_entry_log2(submission_entry_log2)
                                                           .with_completion_entry_log2(completion_entry_log2)
                                                           .with_enable(true)
                                                           .raw);
    CO_TRY(co_await wait_ready(true));
    admin_->bring_up();
    co_return Result<void>{};
}

/// A controller in any state -> admin queue, facts, number of queues. The I/O queues are gone from the controller
/// afterwards.
Task<Result<void>> Driver::initialise() {
    CO_TRY(check_capabilities());
    CO_TRY(co_await disable());
    CO_TRY(co_await enable());
    initialising_ = true;
    Result<void> outcome = co_await negotiate();
    initialising_ = false;
    co_return outcome;
}

Task<Result<void>> Driver::negotiate() {
    IdentifyController controller;
    CO_TRY(co_await identify(IdentifyStructure::controller, 0, std::as_writable_bytes(std::span(&controller, 1))));
    facts_ = CO_TRY(check_controller(controller, capabilities_));
    range_limits_ = check_range_limits(nullptr, capabilities_, facts_);
    if (facts_.version >= version_1_4) {
        IdentifyNvmController limits;
        Result<void> known = co_await identify(IdentifyStructure::command_set_controller, 0,
                                               std::as_writable_bytes(std::span(&limits, 1)));
        if (known) {
            range_limits_ = check_range_limits(&limits, capabilities_, facts_);
        }
    }
    if (facts_.namespace_events) {
        // Without them a resize is seen at the next reset only; no reason not to go on.
        (void)co_await set_feature(Feature::asynchronous_event_configuration, event_configuration::namespace_attribute);
    }
    co_return co_await negotiate_queues();
}

/// How many I/O queue pairs there will be: no more than executors, vectors, doorbells, or what the controller grants.
/// Base 2.0, section 5.27.1.5.
Task<Result<void>> Driver::negotiate_queues() {
    usize wanted = channels_.size();
    u16 vectors = host_.interrupt_count();
    wanted = std::min<usize>(wanted, vectors > 1 ? vectors - 1 : 1);
    while (wanted > 1 &&
           completion_doorbell_offset(static_cast<u16>(wanted), capabilities_.doorbell_stride()) + sizeof(u32) >
               registers_.size_bytes()) {
        --wanted;
    }
    u32 minus_one = static_cast<u32>(wanted - 1);
    u32 granted = CO_TRY(co_await set_feature(Feature::number_of_queues, minus_one | minus_one << 16));
    usize submission = (granted & 0xffff) + 1;
    usize completion = (granted >> 16) + 1;
    usize usable = std::min({wanted, submission, completion});
    // After a reset: executors that have a queue keep it.
    usize before = usable_channels();
    if (usable < before) {
        co_return fail(Error::malformed);
    }
    usable_channels_.store(before == 0 ? usable : before, std::memory_order_release);
    co_return Result<void>{};
}

/// Tells the controller of a channel's queues; the rings are empty afterwards. Base 2.0, sections 5.4 and 5.5.
Task<Result<void>> Driver::create_queues(Channel& channel) {
    QueuePair& queue = *channel.queue;
    queue.reset_rings();
    SubmissionEntry completion;
    completion.opcode = static_cast<u8>(AdminOpcode::create_completion_queue);
    completion.data_pointer = {.prp1 = queue.completion_address(), .prp2 = unmappable_address};
    completion.dword10 = CreateQueueSize::make(queue.id(), queue.entries()).raw;
    completion.dword11 = CreateCompletionQueue::make(true, queue.vector()).raw;
    Outcome outcome = co_await execute_admin({.entry = completion});
    if (!outcome.succeeded()) {
        co_return fail(to_error(outcome));
    }
    SubmissionEntry submission;
    submission.opcode = static_cast<u8>(AdminOpcode::create_submission_queue);
    submission.data_pointer = {.prp1 = queue.submission_address(), .prp2 = unmappable_address};
    submission.dword10 = CreateQueueSize::make(queue.id(), queue.entries()).raw;
    submission.dword11 = CreateSubmissionQueue::make(queue.id()).raw;
    outcome = co_await execute_admin({.entry = submission});
    if (!outcome.succeeded()) {
        co_await delete_completion_queue(queue.id());
        co_return fail(to_error(outcome));
    }
    co_return Result<void>{};
}

Task<void> Driver::delete_completion_queue(u16 id) {
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(AdminOpcode::delete_completion_queue);
    entry.data_pointer = {.prp1 = unmappable_address, .prp2 = unmappable_address};
    entry.dword10 = id;
    // If it fails, the ring stays ours until the driver closes, so the controller may keep what it thinks it has.
    (void)co_await execute_admin({.entry = entry});
}

}  // namespace undercroft::nvme::host
