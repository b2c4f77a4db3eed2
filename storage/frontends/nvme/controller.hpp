// The emulated NVMe controller: a PCI function (class 010802h) whose BAR0 holds registers, doorbells and the MSI-X
// table. Its namespaces are disks.
//
// Threads: register and doorbell accesses come from any virtual processor at any time and never wait. Enabling,
// disabling and shutdown are done by a coroutine on executor 0; I/O queues are spread over all executors
// (queue_set.hpp). CSTS.RDY becomes 0 only when no task of any executor can touch guest memory any more.
//
// Registers: base 2.0 section 3.1; enable and reset: sections 3.5 to 3.7. Left out: subsystem reset, controller memory
// buffer, INTx and MSI.
#pragma once

#include <memory>

#include "kernel/async/task_group.hpp"
#include "kernel/guest/device.hpp"
#include "kernel/guest/memory.hpp"
#include "storage/frontends/nvme/admin_commands.hpp"
#include "storage/frontends/nvme/counters.hpp"
#include "storage/frontends/nvme/io_commands.hpp"
#include "storage/frontends/pci/function_header.hpp"

namespace undercroft::nvme {

/// Everything a controller needs; what is referred to must outlive it.
struct ControllerConfig {
    const GuestMemory& memory;
    MessageSink& messages;
    std::span<Executor* const> executors;         ///< one per virtual processor, at least one; the array is copied
    std::span<const NamespaceConfig> namespaces;  ///< copied
    Identity identity = {};
};

class Controller final : public PciFunction {
public:
    /// `invalid_argument` for bad namespaces (namespaces.hpp) or no executor, `out_of_memory`.
    static Result<std::unique_ptr<Controller>> create(const ControllerConfig& config);
    Controller(const Controller&) = delete;
    Controller& operator=(const Controller&) = delete;
    /// After `close` has ended, or where the guest never touched it.
    ~Controller() override;

    /// Stops everything and answers nothing from then on. On executor 0, once; all executors must be running.
    Task<void> close();

    u32 read_config(u16 offset_bytes) override;
    void write_config(u16 offset_bytes, u32 value, u32 mask) override;
    PciBar bar(usize index) const override;
    u64 read_bar(usize index, u64 offset_bytes, AccessSize size) override;
    void write_bar(usize index, u64 offset_bytes, AccessSize size, u64 value) override;

    /// Sums of what was counted so far; any processor.
    Counters counters() const;
    /// Counters and queues, for `inspect`; any processor.
    void describe(inspect::Node& node) const;

private:
    static constexpr u8 msix_offset = 0x40;  ///< of the MSI-X capability, the only one
    enum class Step : u8 { none, stop, start, shut_down };

    Controller(const ControllerConfig& config, NamespaceTable namespaces);

    u32 read_dword(u64 offset_bytes) const;
    void write_dword(u64 offset_bytes, u32 value);
    void write_configuration(u32 value);
    void write_address(std::atomic<u64>& address, u64 offset_bytes, u32 value);

    static void on_lifecycle_work(Work& self);
    void schedule_lifecycle();
    Task<void> run_lifecycle();
    Step take_step();
    void start_controller();
    bool configuration_is_valid(Configuration configuration) const;
    Task<void> stop_controller();
    Task<void> shut_down();
    bool shutdown_is_obsolete();
    Task<void> watch_size(const Namespace& watched, CancelToken cancel);
    void update_status(auto&& change);

    struct LifecycleWork : Work {
        explicit LifecycleWork(Controller& controller) : Work(&Controller::on_lifecycle_work), owner(controller) {}
        Controller& owner;
    };

    const GuestMemory& memory_;
    std::vector<Executor*> executors_;
    NamespaceTable namespaces_;
    IdentityFields identity_;
    PciFunctionHeader header_;
    MsixTable msix_;
    FeatureStore features_;
    QueueSet queues_;
    EventNotifier events_;
    ErrorLog errors_;
    AdminCommands admin_commands_;
    IoCommands io_commands_;

    // Registers: read without a lock; the lock orders writers, and what they ask of the lifecycle.
    Spinlock register_lock_;
    std::atomic<u32> configuration_{0};
    std::atomic<u32> status_{0};
    std::atomic<u32> admin_attributes_{0};
    std::atomic<u64> admin_submission_{0};
    std::atomic<u64> admin_completion_{0};
    bool reset_requested_ = false;
    bool shutdown_requested_ = false;
    std::atomic<bool> closed_{false};

    // Executor 0 alone.
    LifecycleWork lifecycle_work_{*this};
    std::atomic<bool> lifecycle_scheduled_{false};
    bool lifecycle_running_ = false;
    bool running_ = false;
    TaskGroup lifecycle_;
    std::optional<TaskGroup> watchers_;
    std::optional<CancelSource> shutdown_cancel_;
    Counter resets_;
};

}  // namespace undercroft::nvme
