// The virtio PCI function's life: made, started by its driver, reset, closed.
#include "storage/frontends/virtio/pci_controller.hpp"

#include <new>

#include "kernel/base/log.hpp"

namespace undercroft::virtio {

namespace {

constexpr u64 drain_pause_ns = 100 * nanoseconds_per_microsecond;
constexpr u64 transport_features = feature_version_1 | feature_indirect | feature_event_index | feature_packed;

PciIdentity identity_of(DeviceType type) {
    u16 number = static_cast<u16>(type);
    return {.vendor_id = pci_vendor_id,
            .device_id = static_cast<u16>(pci_device_id_base + number),
            .class_code = type == DeviceType::scsi ? pci::class_scsi : pci::class_other_mass_storage,
            .revision = 1,
            .subsystem_vendor_id = pci_vendor_id,
            .subsystem_id = static_cast<u16>(pci_subsystem_id_min + number)};
}

}  // namespace

Result<std::unique_ptr<PciController>> PciController::create(PciControllerConfig config) {
    u16 queues = config.device != nullptr ? config.device->queue_count() : u16{0};
    if (config.executors.empty() || queues == 0 || queues > queues_max) {
        return fail(Error::invalid_argument);
    }
    std::unique_ptr<PciController> controller(new (std::nothrow) PciController(std::move(config)));
    if (controller == nullptr) {
        return fail(Error::out_of_memory);
    }
    return controller;
}

PciController::PciController(PciControllerConfig config)
    : memory_(config.memory), executors_(config.executors.begin(), config.executors.end()),
      device_(std::move(config.device)), queue_count_(device_->queue_count()),
      header_(identity_of(device_->type()), PciCapabilities::msix),
      msix_(config.messages, {.vectors = queue_count_ + 1U,
                              .bar = pci_place::memory_bar,
                              .table_offset = pci_place::msix_table,
                              .pending_offset = pci_place::msix_pending}),
      queues_(std::make_unique<PciQueue[]>(queue_count_)),
      queue_registers_(std::make_unique<QueueRegisters[]>(queue_count_)) {
    for (u16 index = 0; index < queue_count_; ++index) {
        usize processor = device_->processor_of(index, executors_.size());
        queues_[index].attach(index, *executors_[processor], *device_, *this);
    }
    clear_registers();
}

PciController::~PciController() { ASSERT(!running_ && !lifecycle_running_ && !lifecycle_scheduled_.load()); }

u64 PciController::offered_features() const { return device_->features() | transport_features; }

void PciController::clear_registers() {
    device_feature_select_ = driver_feature_select_ = 0;
    driver_features_ = 0;
    config_vector_ = no_vector;
    queue_select_ = 0;
    status_ = 0;
    isr_.store(0);
    for (u16 index = 0; index < queue_count_; ++index) {
        queue_registers_[index] = {};
        queues_[index].set_vector(no_vector);
    }
}

// --- Status, and what it starts --------------------------------------------------------------------------------------

void PciController::write_status(u8 value) {
    if (value == 0) {
        return request_reset();
    }
    u64 offered = offered_features();
    bool starts = false;
    {
        SpinlockGuard guard(lock_);
        if (reset_requested_) {
            return;  // a driver waits for the reset's end first
        }
        bool acceptable = (driver_features_ & ~offered) == 0 && (driver_features_ & feature_version_1) != 0;
        if ((status_ & status_features_ok) == 0 && !acceptable) {
            value &= static_cast<u8>(~status_features_ok);
        }
        status_ = static_cast<u8>(value | (status_ & (status_needs_reset | status_features_ok)));
        u8 ready = status_features_ok | status_driver_ok;
        starts = !running_ && (status_ & ready) == ready;
        if (starts) {
            device_->accept_features(driver_features_);
            running_.store(true, std::memory_order_release);
            for (u16 index = 0; index < queue_count_; ++index) {
                if (queue_registers_[index].enabled) {
                    start_queue(index);
                }
            }
        }
    }
    if (starts) {
        schedule_lifecycle();
    }
}

void PciController::enable_queue(u16 index) {
    if (!queue_registers_[index].enabled && !reset_requested_) {
        queue_registers_[index].enabled = true;
        if (running_) {
            start_queue(index);
        }
    }
}

void PciController::start_queue(u16 index) {
    const QueueRegisters& registers = queue_registers_[index];
    bool packed = (driver_features_ & feature_packed) != 0;
    QueueSetup setup{.size = registers.size,
                     .descriptors = registers.descriptors,
                     .driver_area = registers.driver,
                     .device_area = registers.device,
                     .packed = packed,
                     .event_index = (driver_features_ & feature_event_index) != 0,
                     .indirect = (driver_features_ & feature_indirect) != 0,
                     .next_available = packed ? event_wrap : u16{0},
                     .next_used = packed ? event_wrap : u16{0}};
    Result<Queue> queue = Queue::create(memory_, setup);
    if (queue) {
        queues_[index].activate(*queue);
    } else {
        log_warning("virtio: queue %u is not usable (%s)", index, to_string(queue.error()));
        status_ |= status_needs_reset;
    }
}

void PciController::queue_has_used(u16 vector) {
    if (msix_.is_enabled()) {
        msix_.raise(vector);
    } else {
        isr_.fetch_or(isr_queue);
    }
}

void PciController::queue_broke(u16 index, Error why) {
    log_warning("virtio: the driver broke queue %u (%s); it is not served until a reset", index, to_string(why));
    {
        SpinlockGuard guard(lock_);
        status_ |= status_needs_reset;
    }
    tell_configuration();
}

void PciController::configuration_changed() {
    {
        SpinlockGuard guard(lock_);
        ++generation_;
    }
    tell_configuration();
}

void PciController::tell_configuration() {
    u16 vector = no_vector;
    {
        SpinlockGuard guard(lock_);
        vector = config_vector_;
    }
    isr_.fetch_or(isr_config);
    msix_.raise(vector);
}

// --- Reset -----------------------------------------------------------------------------------------------------------

void PciController::request_reset() {
    {
        SpinlockGuard guard(lock_);
        if (!running_) {
            return clear_registers();  // nothing is under way
        }
        reset_requested_ = true;
    }
    schedule_lifecycle();
}

void PciController::schedule_lifecycle() {
    if (lifecycle_scheduled_.exchange(true, std::memory_order_seq_cst)) {
        return;
    }
    Executor& owner = *executors_[0];
    owner.post_from_anywhere(lifecycle_work_);
}

void PciController::on_lifecycle_work(Work& self) {
    PciController& controller = static_cast<LifecycleWork&>(self).controller;
    controller.lifecycle_scheduled_.exchange(false, std::memory_order_seq_cst);
    if (!controller.lifecycle_running_) {
        controller.lifecycle_running_ = true;
        controller.lifecycle_.spawn(controller.run_lifecycle());
    }
}

PciController::Step PciController::take_step() {
    SpinlockGuard guard(lock_);
    if (closed_.load(std::memory_order_seq_cst)) {
        return Step::none;
    }
    if (reset_requested_) {
        return Step::stop;
    }
    return running_ && !watchers_ ? Step::watch : Step::none;
}

Task<void> PciController::run_lifecycle() {
    for (;;) {
        switch (take_step()) {
        case Step::none:
            lifecycle_running_ = false;
            co_return;
        case Step::watch:
            watchers_.emplace();
            watchers_->spawn(device_->watch(*this, watchers_->token()));
            break;
        case Step::stop:
            co_await stop();
            resets_.add();
            break;
        }
    }
}

Task<void> PciController::stop() {
    if (watchers_) {
        watchers_->stop();
        Result<void> ended = co_await watchers_->join();
        ASSERT(ended.has_value());
        watchers_.reset();
    }
    auto each_of = [this](Executor* executor, auto&& act) {
        for (u16 index = 0; index < queue_count_; ++index) {
            if (&queues_[index].executor() == executor) {
                act(queues_[index]);
            }
        }
    };
    for (Executor* executor : executors_) {
        co_await resume_on(*executor);
        each_of(executor, [](PciQueue& queue) { queue.deactivate(); });
    }
    for (u16 index = 0; index < queue_count_; ++index) {
        co_await resume_on(queues_[index].executor());
        co_await queues_[index].join();
    }
    co_await resume_on(*executors_[0]);
    device_->reset();
    SpinlockGuard guard(lock_);
    clear_registers();
    reset_requested_ = false;
    running_.store(false, std::memory_order_release);
}

Task<void> PciController::close() {
    {
        SpinlockGuard guard(lock_);
        closed_.store(true, std::memory_order_seq_cst);
        reset_requested_ = true;
    }
    // What the lifecycle is at ends by itself; then nothing starts it again.
    while (lifecycle_scheduled_.load(std::memory_order_seq_cst) || lifecycle_running_) {
        Result<void> ended = co_await lifecycle_.join();
        ASSERT(ended.has_value());
        co_await yield();
    }
    co_await stop();
    auto is_busy = [this] {
        bool busy = false;
        for (u16 index = 0; index < queue_count_; ++index) {
            busy |= queues_[index].is_busy();
        }
        return busy;
    };
    while (is_busy()) {
        (void)co_await sleep_for(drain_pause_ns);
    }
}

PciCounters PciController::counters() const {
    PciCounters sum;
    for (u16 index = 0; index < queue_count_; ++index) {
        sum.requests += queues_[index].requests();
        sum.notifications += queues_[index].notifications();
    }
    sum.interrupts = msix_.raised();
    sum.resets = resets_.get();
    return sum;
}

}  // namespace undercroft::virtio
