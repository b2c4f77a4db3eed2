// What a virtio device is, whatever its transport: features, a configuration space, queues, and what a request means.
// Transports (PCI in pci_controller.hpp, vhost-user on the host) take chains from rings and hand them here.
#pragma once

#include "kernel/async/cancel.hpp"
#include "kernel/async/task.hpp"
#include "kernel/inspect/node.hpp"
#include "storage/frontends/virtio/queue.hpp"

namespace undercroft::virtio {

/// Who tells the driver.
class ConfigurationListener {
public:
    virtual ~ConfigurationListener() = default;
    /// The configuration space reads differently from now on. On the executor of the `Device::watch` that calls it.
    virtual void configuration_changed() = 0;
};

class Device {
public:
    virtual ~Device() = default;

    virtual DeviceType type() const = 0;
    /// The features of this kind of device; the transport adds its own (bits 24 and up).
    virtual u64 features() const = 0;
    /// The driver settled on `features`: before the first request after a reset. Any executor.
    virtual void accept_features(u64 features) { (void)features; }
    /// Never changes.
    virtual u16 queue_count() const = 0;
    /// Which of `count` processors serves `queue`: the one whose driver fills it in practice.
    virtual usize processor_of(u16 queue, usize count) const { return queue % count; }
    /// Whether requests of `queue` wait for something that may never happen, so that one who stops the queue has to
    /// cancel them. They end with `Error::cancelled` then.
    virtual bool is_parking(u16 queue) const {
        (void)queue;
        return false;
    }

    /// The configuration space as it is now; zeros behind its end. Any executor.
    virtual void read_configuration(u32 offset_bytes, std::span<std::byte> into) const = 0;
    virtual void write_configuration(u32 offset_bytes, std::span<const std::byte> from) {
        (void)offset_bytes;
        (void)from;
    }

    /// Carries out the request `chain` of `queue`, on the queue's executor. The number of bytes written to it;
    /// `cancelled` where there is no answer; every other error breaks the queue. `chain` stays until the task has
    /// ended.
    virtual Task<Result<u32>> process(u16 queue, const Chain& chain, CancelToken cancel) = 0;
    /// Whether the answer in `chain`, a request of `queue` that was carried out, says that it went well: for counters,
    /// since the driver may have written over it.
    virtual bool went_well(u16 queue, const Chain& chain) const {
        (void)queue;
        (void)chain;
        return true;
    }
    /// Tells `listener` of changes until `cancel` asks, on one executor.
    virtual Task<void> watch(ConfigurationListener& listener, CancelToken cancel) = 0;
    /// What `inspect` shows of it beside its queues. Any executor.
    virtual void describe(inspect::Node& node) const { (void)node; }
    /// The driver has reset the device: no request runs, none will until the next `accept_features`.
    virtual void reset() {}
};

}  // namespace undercroft::virtio
