// A virtio device on the guest's PCI bus: a modern function (no legacy interface, no INTx) whose BAR0 holds the common,
// ISR and device configuration, the MSI-X table and a place to notify; BAR2 is the same place as a port, which drivers
// take first: a port write needs no instruction decoding.
//
// Threads: configuration and register accesses come from any virtual processor and never wait. Queues belong to executors
// (pci_queue.hpp). Reset, and reports of a changed configuration, are done by a coroutine on executor 0; the status
// register reads as 0 only when no task of any executor can touch guest memory any more.
//
// Source: virtio 1.2 section 4.1; reset: section 2.4. Left out: queue reset, notification data, shared memory.
#pragma once

#include <memory>
#include <vector>

#include "storage/frontends/pci/function_header.hpp"
#include "storage/frontends/virtio/pci_layout.hpp"
#include "storage/frontends/virtio/pci_queue.hpp"

namespace undercroft::virtio {

/// Everything a function needs; what is referred to must outlive it.
struct PciControllerConfig {
    const GuestMemory& memory;
    MessageSink& messages;
    std::span<Executor* const> executors;  ///< one per virtual processor, at least one; the array is copied
    std::unique_ptr<Device> device;
};

/// Sums since the function was made.
struct PciCounters {
    u64 requests = 0;
    u64 notifications = 0;  ///< each was an exit of the guest
    u64 interrupts = 0;
    u64 resets = 0;
};

class PciController final : public PciFunction, private PciQueueOwner, private ConfigurationListener {
public:
    static constexpr u16 queues_max = 256;

    /// `invalid_argument` for no executor, no device, or one with no queue or more than `queues_max`; `out_of_memory`.
    static Result<std::unique_ptr<PciController>> create(PciControllerConfig config);
    PciController(const PciController&) = delete;
    PciController& operator=(const PciController&) = delete;
    /// After `close` has ended, or where the guest never touched it.
    ~PciController() override;

    /// Stops everything and answers nothing from then on. On executor 0, once; all executors must be running.
    Task<void> close();

    u32 read_config(u16 offset_bytes) override;
    void write_config(u16 offset_bytes, u32 value, u32 mask) override;
    PciBar bar(usize index) const override;
    u64 read_bar(usize index, u64 offset_bytes, AccessSize size) override;
    void write_bar(usize index, u64 offset_bytes, AccessSize size, u64 value) override;

    PciCounters counters() const;
    /// Its numbers, its queues and what the device says of itself, for `inspect`. Any executor.
    void describe(inspect::Node& node) const;
    const Device& device() const { return *device_; }

private:
    /// A queue as its registers say.
    struct QueueRegisters {
        u16 size = PciQueue::size_max;
        bool enabled = false;
        u64 descriptors = 0;
        u64 driver = 0;
        u64 device = 0;
    };
    enum class Step : u8 { none, watch, stop };

    explicit PciController(PciControllerConfig config);

    void queue_has_used(u16 vector) override;
    void queue_broke(u16 index, Error why) override;
    void configuration_changed() override;

    u64 offered_features() const;
    u32 read_access_capability();
    void write_access_capability(u16 offset_bytes, u32 value, u32 mask);
    CommonConfig common_snapshot();
    void write_common(u64 offset_bytes, AccessSize size, u64 value);
    void write_queue_register(u64 offset_bytes, AccessSize size, u64 value);
    void write_features(u32 value);
    void write_status(u8 value);
    void enable_queue(u16 index);
    void start_queue(u16 index);
    void set_needs_reset();
    void request_reset();
    void clear_registers();
    void tell_configuration();

    void schedule_lifecycle();
    static void on_lifecycle_work(Work& self);
    Step take_step();
    Task<void> run_lifecycle();
    Task<void> stop();

    struct LifecycleWork : Work {
        explicit LifecycleWork(PciController& controller)
            : Work(&PciController::on_lifecycle_work), controller(controller) {}
        PciController& controller;
    };

    const GuestMemory& memory_;
    std::vector<Executor*> executors_;
    std::unique_ptr<Device> device_;
    const u16 queue_count_;
    PciFunctionHeader header_;
    PciCapabilities capabilities_;
    MsixTable msix_;
    std::unique_ptr<PciQueue[]> queues_;

    // The lock orders what the registers say, and what they ask of the lifecycle.
    Spinlock lock_;
    u32 device_feature_select_ = 0;
    u32 driver_feature_select_ = 0;
    u64 driver_features_ = 0;
    u16 config_vector_ = no_vector;
    u16 queue_select_ = 0;
    u8 status_ = 0;
    u8 generation_ = 0;
    bool reset_requested_ = false;
    std::unique_ptr<QueueRegisters[]> queue_registers_;
    std::atomic<u8> isr_{0};
    std::atomic<bool> running_{false};  // the driver has said DRIVER_OK, and no reset has ended since
    std::atomic<bool> closed_{false};

    // Executor 0 alone.
    LifecycleWork lifecycle_work_{*this};
    std::atomic<bool> lifecycle_scheduled_{false};
    bool lifecycle_running_ = false;
    TaskGroup lifecycle_;
    std::optional<TaskGroup> watchers_;
    Counter resets_;
};

}  // namespace undercroft::virtio
