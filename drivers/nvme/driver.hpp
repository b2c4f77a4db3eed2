// Driver of one NVMe controller, over whatever offers its registers, memory and interrupts (drivers/device.hpp).
//
// One I/O queue pair an executor, made when first used and touched by that executor alone; the admin queue, resets and
// events live on executors[0]. Where the controller has fewer queues or vectors than there are executors, the others
// hop to one that has.
//
// What the device says is input. Whatever it does, each request ends within `DriverOptions::request_bound_ns`:
//   a command is late               -> Abort; still not back after a grace period -> controller reset, and what it
//                                      interrupted is tried again, a few times
//   CSTS.CFS, or a completion for a
//   command that is not under way   -> controller reset
//   a reset fails, or does not help -> the controller is cut off from memory (bus master) and given up: `failed`
//   registers read as all ones      -> the same, `gone`
// A request's memory is the device's until it completed the command, or is disabled, or is cut off. There is no fourth
// way.
//
// Leaves out: metadata and protection information, SGLs, namespace management, several controllers of one subsystem.
// Everything of the driver is in `nvme::host`, the specification's word for this side; storage/frontends/nvme is the
// controller side. NVM Express Base Specification 2.0, NVM Command Set Specification 1.0.
#pragma once

#include <atomic>
#include <vector>

#include "drivers/nvme/bounce.hpp"
#include "drivers/nvme/identify.hpp"
#include "drivers/nvme/queue_pair.hpp"
#include "kernel/async/event.hpp"
#include "kernel/async/task_group.hpp"
#include "kernel/inspect/node.hpp"

namespace undercroft::nvme::host {

class Namespace;

/// What the driver has been through, for `inspect` and tests.
struct DriverStatistics {
    u64 resets = 0;
    u64 aborts = 0;
    u64 violations = 0;  ///< completions that named no command
    u64 events = 0;
};

class Driver {
public:
    enum class State : u8 { starting, running, recovering, failed, gone, closed };

    /// Brings the controller up. Call on `executors[0]`; the executors and `host` outlive the driver. Errors: `gone`,
    /// `timed_out`, `unsupported` (no NVM command set, no 4 KiB pages), `malformed` (nonsense in registers or
    /// Identify), `device_error`, `out_of_memory`. The controller is then off.
    static Task<Result<std::unique_ptr<Driver>>> open(DeviceHost& host, DriverOptions options,
                                                      std::span<Executor* const> executors);
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;
    /// `close` must have ended.
    ~Driver();

    /// Shuts the controller down (CC.SHN, which makes what it caches durable), disables it, and ends what is under way
    /// with `gone`. Call on `executors[0]`, with no namespace operation running. The result says whether the controller
    /// confirmed; it is off in any case.
    Task<Result<void>> close();

    /// Ids of the active namespaces, at most `namespaces_max`. On executors[0].
    Task<Result<std::vector<u32>>> active_namespaces();
    /// Opens namespace `id`; the same object each time. On executors[0]. `not_found`, `unsupported`, `malformed`, or
    /// what the controller failed with.
    Task<Result<std::shared_ptr<Namespace>>> open_namespace(u32 id);

    /// Facts as of the last reset.
    const ControllerFacts& facts() const { return facts_; }
    const RangeLimits& range_limits() const { return range_limits_; }
    const DriverOptions& options() const { return options_; }
    State state() const { return state_.load(std::memory_order_acquire); }
    /// Approximate where other processors are at work.
    DriverStatistics statistics() const;
    /// State, statistics and queues, for `inspect`. On executors[0].
    void describe(inspect::Node& node) const;
    /// I/O queues that exist, for tests.
    usize io_queue_count() const;

private:
    friend class Namespace;

    /// What one executor has of the controller.
    struct Channel {
        explicit Channel(Executor& home) : executor(home) {}
        Executor& executor;
        std::unique_ptr<QueuePair> queue;
        std::unique_ptr<BounceMemory> bounce;
        std::unique_ptr<InterruptBinding> interrupt;
        TaskGroup tasks;
        Semaphore creation{1};
        bool created = false;            // the controller knows the queues; written on executors[0] under `setup_`
        std::atomic<bool> ready{false};  // everything above exists
        u64 completed_at_reset = 0;
    };
    /// An admin command and where its data go. On executors[0].
    struct AdminCommand {
        SubmissionEntry entry;
        QueuePair::Deadline deadline = QueuePair::Deadline::applies;
    };

    Driver(DeviceHost& host, DriverOptions options, std::span<Executor* const> executors);

    // driver.cpp: from nothing to running, and back
    Task<Result<void>> start();
    Result<void> make_admin_queue();
    Task<void> join_tasks();
    Task<Result<void>> shut_down();

    // bring_up.cpp: what both the first start and every reset do; on executors[0], holding `setup_`
    Result<void> check_capabilities();
    Task<Result<void>> enable();
    Task<Result<void>> disable();
    Task<Result<void>> wait_ready(bool ready);
    Task<Result<void>> initialise();
    Task<Result<void>> negotiate();
    Task<Result<void>> negotiate_queues();
    Task<Result<void>> create_queues(Channel& channel);
    Task<void> delete_completion_queue(u16 id);
    void cut_off();

    // admin.cpp
    Task<Outcome> execute_admin(AdminCommand command);
    Task<Result<void>> read_admin_data(SubmissionEntry entry, std::span<std::byte> into);
    Task<Result<void>> identify(IdentifyStructure structure, u32 namespace_id, std::span<std::byte> into);
    Task<Result<NamespaceFacts>> identify_namespace(u32 id);
    Task<Result<u32>> set_feature(Feature feature, u32 value);
    Task<void> abort(u16 queue_id, u16 command_id);

    // channels.cpp
    usize usable_channels() const { return usable_channels_.load(std::memory_order_acquire); }
    Channel& home_channel();
    Task<Result<void>> make_ready(Channel& channel);
    Task<Result<void>> make_channel(Channel& channel);
    Task<void> service(QueuePair& queue, InterruptBinding& interrupt, CancelToken cancel);
    Task<void> watch(QueuePair& queue, CancelToken cancel);
    Task<void> look_after(QueuePair& queue);
    void look_at_idle_controller();
    static void look_for_missed(QueuePair& queue, u32& missed);

    // recovery.cpp
    void request_recovery(const char* reason);
    static void on_recovery_requested(Work& self);
    Task<void> recovery_loop();
    Task<void> recover();
    Task<Result<void>> reset_once();
    Task<Result<void>> try_recover();
    Task<void> give_up(Ending ending);
    Task<void> take_queues_down();
    Task<void> fail_queues(Ending ending);
    Task<void> bring_queues_up();
    bool has_progressed();

    // events.cpp
    Task<void> event_loop();
    Task<void> handle_event(EventResult event);
    Task<void> rescan_loop();
    Task<Result<NamespaceFacts>> identify_patiently(u32 id);
    Task<void> rescan();

    struct RecoveryWork : Work {
        explicit RecoveryWork(Driver& owner) : Work(&Driver::on_recovery_requested), driver(owner) {}
        Driver& driver;
    };

    DeviceHost& host_;
    RegisterSpace& registers_;
    DriverOptions options_;
    Executor& first_executor_;
    std::vector<std::unique_ptr<Channel>> channels_;
    std::atomic<usize> usable_channels_{0};
    std::atomic<State> state_{State::starting};
    std::atomic<u64> reset_epoch_{0};

    Capabilities capabilities_;
    ControllerFacts facts_;
    RangeLimits range_limits_;
    std::vector<std::shared_ptr<Namespace>> namespaces_;

    std::unique_ptr<QueuePair> admin_;
    std::unique_ptr<InterruptBinding> admin_interrupt_;
    DmaBuffer admin_data_;
    Semaphore admin_data_free_{1};
    Semaphore setup_{1};
    bool initialising_ = false;  // admin commands that are late end with cutting the controller off, not with a reset

    TaskGroup queue_tasks_;  // service and watch of the admin queue, and the event loop
    TaskGroup recovery_tasks_;
    RecoveryWork recovery_work_;
    std::atomic<bool> recovery_posted_{false};
    std::atomic<const char*> recovery_reason_{""};
    Event recovery_wanted_;
    WaitQueue running_again_;
    Event rescan_wanted_;
    u32 resets_in_a_row_ = 0;
    bool closing_ = false;
    std::atomic<u64> resets_{0};
    std::atomic<u64> aborts_{0};
    std::atomic<u64> events_{0};
};

}  // namespace undercroft::nvme::host

namespace undercroft::nvme {
using host::Driver;
using host::DriverOptions;
}  // namespace undercroft::nvme
