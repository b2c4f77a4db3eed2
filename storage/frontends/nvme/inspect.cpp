// What a controller shows.
#include "kernel/config/identifiers.hpp"
#include "storage/frontends/nvme/controller.hpp"

namespace undercroft::nvme {

void SubmissionQueue::describe(inspect::Node& node, u64 now_ns) const {
    node.boolean("active", is_active());
    node.number("commands", commands());
    node.number("failures", failures());
    node.number("doorbell_writes", doorbell_writes());
    const inspect::Activity* activity = activity_.load();
    if (activity == nullptr) {
        return;
    }
    inspect::IoTotals totals;
    activity->add_to(totals);
    totals.describe(node);
    node.child("in_flight", [&](inspect::Node& below) { activity->describe_in_flight(below, now_ns); });
}

void Controller::describe(inspect::Node& node) const {
    u64 now_ns = Executor::current().now_ns();
    Counters sum = counters();
    node.number("admin_commands", sum.admin_commands);
    node.number("io_commands", sum.io_commands);
    node.number("failed_commands", sum.failed_commands);
    node.number("doorbell_writes", sum.doorbell_writes);
    node.number("interrupts", sum.interrupts);
    node.number("read_bytes", sum.bytes_read);
    node.number("written_bytes", sum.bytes_written);
    node.number("resets", sum.resets);
    node.child("queues", [&](inspect::Node& queues) {
        for (const SubmissionQueue& queue : queues_.submission_queues()) {
            if (queue.is_active() || queue.commands() > 0) {
                queues.child(decimal(queue.id()), [&](inspect::Node& below) { queue.describe(below, now_ns); });
            }
        }
    });
}

}  // namespace undercroft::nvme
