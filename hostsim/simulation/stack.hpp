// Everything between a workload and the media: devices, drivers, the pipeline, and, where the plan has one, our NVMe
// controller with a guest that drives it. Built at each start of the simulated machine, taken down at each stop. The
// media outlive it.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "drivers/nvme/driver.hpp"
#include "hostsim/simulation/disturbance.hpp"
#include "hostsim/simulation/guest_driver.hpp"
#include "hostsim/simulation/oracle.hpp"
#include "hostsim/simulation/plan.hpp"
#include "storage/backends/nvme_disk.hpp"
#include "storage/bounce_pool.hpp"
#include "storage/layers/layered_disk.hpp"

namespace undercroft::simulation {

/// Where a test may put a disk of its own: a bug that is planted.
enum class Place : u8 {
    medium,        ///< above a medium, below a controller or the pipeline
    pipeline,      ///< above the pipeline, below workload or guest
    reservations,  ///< above the layer of reservations
};
/// Gives the disk to use instead of `disk`.
using Decorate = std::function<Disk(Place place, Disk disk)>;
/// Gives the function that the guest uses instead of `controller`, which outlives it.
using DecorateController = std::function<std::unique_ptr<PciFunction>(PciFunction& controller)>;

/// Bounce memory of one layer: a pool a processor.
class ProcessorPools final : public BounceSource {
public:
    ProcessorPools(DmaArena& memory, std::span<Executor* const> executors, usize bytes_per_processor);
    BouncePool& pool() override;

private:
    struct Entry {
        Executor* executor;
        DmaBuffer memory;
        std::unique_ptr<BouncePool> pool;
    };
    std::vector<Entry> pools_;
};

/// The machine around a stack; all of it outlives the stack.
struct Machine {
    SimulatedProcessors& processors;
    DmaArena& memory;
    Recorder& recorder;
    const Plan& plan;
    const Decorate& decorate;
    const DecorateController& decorate_controller;
    Fence& fence;

    /// Runs `task` on processor 0 to its end; far beyond every bound it is a panic.
    template <typename T>
    T run(Task<T> task) const {
        return processors.run(std::move(task), 0, processors.now_ns() + 3600 * nanoseconds_per_second);
    }
    Disk decorated(Place place, std::shared_ptr<DiskInterface> disk) const;
};

/// One medium with what stands on it by itself: nothing, or an NVMe controller and our driver of it.
class SimulatedDevice {
public:
    SimulatedDevice(const Machine& machine, u64 seed);

    SimulatedMedium& medium() { return medium_; }
    void set_faults(bool on);
    /// The medium, directly.
    Disk direct();
    /// Plugs a controller in and opens our driver of it; none where that fails.
    std::optional<Disk> open_nvme();
    void pull_out() { tamper_.pull_out(); }
    /// Whether the driver has not given up.
    bool is_healthy() const;
    /// Ends driver and controller. Between them, the medium loses its power. Whether everything that was written is
    /// durable. Disks above are gone already.
    bool close();
    /// Faults that were made so far.
    u64 injected() const { return medium_.injected() + tamper_.injected(); }
    /// Whether `close` has something to do.
    bool is_open() const { return device_ != nullptr || direct_; }

private:
    void count();

    const Machine& machine_;
    std::vector<Executor*> executors_;
    SimulatedMedium medium_;
    NvmeFaultPlan tamper_;
    std::unique_ptr<SimulatedNvme> device_;
    std::unique_ptr<nvme::Driver> driver_;
    bool direct_ = false;
};

class Stack {
public:
    Stack(const Machine& machine, std::span<const std::unique_ptr<SimulatedDevice>> devices);
    ~Stack();

    /// Builds everything; whether that worked. After a failure, `close` is still to be called.
    bool open();
    /// What the workload uses.
    const Disk& disk() const { return *disk_; }
    /// The guest's driver, where there is a guest.
    GuestDriver* guest() const { return guest_.get(); }
    /// What the disk holds where nobody wrote, once `open` has succeeded: decrypted zeros are no zeros.
    Unwritten unwritten() const { return unwritten_; }
    void set_faults(bool on);
    /// Fault layer and rival begin, once it is open; and end, with everything that they hold back.
    void begin_disturbance() {
        CurrentExecutorScope scope(machine_.processors.executor(0));
        disturbance_.begin();
    }
    void end_disturbance() { (void)machine_.run(disturbance_.end()); }
    /// The guest shuts its controller down; whether the controller said that this is done.
    bool shut_guest_down();
    /// Takes everything down; whether everything that was written is durable for certain.
    bool close();

private:
    std::optional<Disk> build(const PipelineNode& node);
    Disk encrypted(const Disk& below);
    Disk layered(const Disk& below, LayerPlacement top);
    std::shared_ptr<DiskLayer> new_ram_layer() const;
    BounceSource& new_pools();
    bool open_guest(const Disk& pipeline);

    const Machine& machine_;
    std::span<const std::unique_ptr<SimulatedDevice>> devices_;
    std::vector<Executor*> executors_;
    std::vector<std::unique_ptr<ProcessorPools>> pools_;
    Disturbance disturbance_;
    std::optional<Disk> disk_;
    Unwritten unwritten_ = Unwritten::zeros;
    GuestMemory guest_memory_;
    std::shared_ptr<GuestDriver> guest_;
    std::unique_ptr<nvme::Controller> controller_;
    std::unique_ptr<PciFunction> function_;  // what the guest sees of it, where a test put something there
};

}  // namespace undercroft::simulation
