// What a virtio function shows.
#include "kernel/config/identifiers.hpp"
#include "storage/frontends/virtio/pci_controller.hpp"

namespace undercroft::virtio {

void PciController::describe(inspect::Node& node) const {
    PciCounters sum = counters();
    node.text("device", device_->type() == DeviceType::scsi ? "scsi" : "block");
    node.boolean("driver_ready", running_.load(std::memory_order_relaxed));
    node.number("requests", sum.requests);
    node.number("notifications", sum.notifications);
    node.number("interrupts", sum.interrupts);
    node.number("resets", sum.resets);
    node.child("queues", [&](inspect::Node& queues) {
        for (u16 index = 0; index < queue_count_; ++index) {
            const PciQueue& queue = queues_[index];
            if (!queue.is_active() && queue.requests() == 0) {
                continue;
            }
            queues.child(decimal(index), [&](inspect::Node& below) {
                below.boolean("active", queue.is_active());
                below.number("requests", queue.requests());
                below.number("notifications", queue.notifications());
                below.number("in_flight", queue.in_flight());
            });
        }
    });
    device_->describe(node);
}

}  // namespace undercroft::virtio
