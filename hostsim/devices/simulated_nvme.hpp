// The project's own NVMe controller as a device that a driver can drive: BAR accesses go to the controller, its DMA
// goes to an arena of host memory, its MSI-X messages to the executors that bound them. Leaves out faults, which are
// tampering in between (hostsim/devices/nvme_faults.hpp).
#pragma once

#include "hostsim/devices/dma_arena.hpp"
#include "hostsim/devices/interrupts.hpp"
#include "storage/frontends/nvme/controller.hpp"

namespace undercroft {

/// Where accesses of the driver and writes of the device pass on their way: overridden to make faults. The default
/// changes nothing.
class NvmeTamper {
public:
    virtual ~NvmeTamper() = default;
    /// Whether the device answers at all. False: it was pulled out; reads are all ones, writes are lost.
    virtual bool is_present() { return true; }
    /// What the driver sees of a 32-bit register.
    virtual u32 read_register(u64 offset_bytes, u32 value) {
        (void)offset_bytes;
        return value;
    }
    /// Whether a write of the driver reaches the device.
    virtual bool allow_write(u64 offset_bytes, u64 value) {
        (void)offset_bytes;
        (void)value;
        return true;
    }
    /// Called before interrupt `vector` goes to the driver; false loses it.
    virtual bool allow_interrupt(usize vector) {
        (void)vector;
        return true;
    }
};

class SimulatedNvme final : public DeviceHost, private RegisterSpace, private MessageSink {
public:
    struct Config {
        std::span<Executor* const> executors;  ///< of the device's own work
        std::span<const nvme::NamespaceConfig> namespaces;
        usize memory_bytes = 16 * mib;
        u16 vectors = 9;
        NvmeTamper* tamper = nullptr;  ///< outlives the device
        /// Memory that it shares with others, instead of `memory_bytes` of its own; outlives the device.
        DmaArena* memory = nullptr;
    };
    static Result<std::unique_ptr<SimulatedNvme>> create(const Config& config);
    ~SimulatedNvme() override;

    /// Stops the controller; before destruction, on the device's executor 0.
    Task<void> close();

    DmaArena& arena() { return *arena_; }
    nvme::Controller& controller() { return *controller_; }
    bool is_bus_master() const { return bus_master_; }
    /// Raises `vector` as if the device had.
    void raise_interrupt(usize vector) { interrupts_.raise(vector); }

    // DeviceHost
    RegisterSpace& registers() override { return *this; }
    Result<DmaBuffer> allocate_dma(usize size_bytes) override { return arena_->allocate(size_bytes); }
    Result<DeviceRange> device_range(const std::byte* data, usize size_bytes) override {
        return arena_->find(data, size_bytes);
    }
    u16 interrupt_count() const override { return static_cast<u16>(interrupts_.count()); }
    Result<std::unique_ptr<InterruptBinding>> bind_interrupt(u16 index) override;
    Result<void> set_bus_master(bool enabled) override;

private:
    explicit SimulatedNvme(const Config& config);

    // RegisterSpace
    u64 size_bytes() const override;
    u32 read32(u64 offset_bytes) override;
    u64 read64(u64 offset_bytes) override;
    void write32(u64 offset_bytes, u32 value) override;
    void write64(u64 offset_bytes, u64 value) override;
    // MessageSink
    void deliver(u64 address, u32 data) override;

    std::unique_ptr<DmaArena> own_arena_;
    DmaArena* arena_;
    GuestMemory device_view_;  // the arena, while the device is bus master; else nothing
    SimulatedInterrupts interrupts_;
    NvmeTamper default_tamper_;
    NvmeTamper& tamper_;
    std::unique_ptr<nvme::Controller> controller_;
    bool bus_master_ = false;
};

}  // namespace undercroft
