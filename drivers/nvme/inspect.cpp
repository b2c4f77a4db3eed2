// What a driver shows.
#include "drivers/nvme/driver.hpp"
#include "kernel/config/identifiers.hpp"

namespace undercroft::nvme::host {

namespace {

const char* to_string(Driver::State state) {
    constexpr const char* names[] = {"starting", "running", "recovering", "failed", "gone", "closed"};
    return names[static_cast<usize>(state)];
}

}  // namespace

void Driver::describe(inspect::Node& node) const {
    DriverStatistics numbers = statistics();
    node.text("state", to_string(state()));
    node.text("model", facts_.model_number.data());
    node.text("serial", facts_.serial_number.data());
    node.number("resets", numbers.resets);
    node.number("aborts", numbers.aborts);
    node.number("violations", numbers.violations);
    node.number("events", numbers.events);
    node.child("queues", [&](inspect::Node& queues) {
        for (const auto& channel : channels_) {
            if (channel->ready.load(std::memory_order_acquire)) {
                queues.child(decimal(channel->queue->id()), [&](inspect::Node& queue) {
                    queue.number("entries", channel->queue->entries());
                    queue.number("completed", channel->queue->completed_count());
                });
            }
        }
    });
}

}  // namespace undercroft::nvme::host
