// ServedProgram.
#include "hostsim/inspect/served_program.hpp"

#include <unistd.h>

#include "kernel/config/identifiers.hpp"

namespace undercroft {

namespace {

constexpr u64 spin_ns_max = 100 * nanoseconds_per_millisecond;

}  // namespace

ServedProgram::ServedProgram(nbd::Server& server, std::span<const InspectedDisk> pipelines, ExecutorThreads& threads)
    : server_(server), pipelines_(pipelines), threads_(threads), numbers_(threads.count()),
      start_ns_(Executor::current().now_ns()) {
    ASSERT(pipelines_.size() == server_.exports().size());
}

// Each thread's numbers are read on it.
Task<void> ServedProgram::prepare() {
    Executor& home = Executor::current();
    std::vector<ThreadNumbers> numbers(threads_.count());
    for (usize index = 0; index < threads_.count(); ++index) {
        Executor& executor = threads_.executor(index);
        co_await resume_on(executor);
        const RingPlatform& ring = threads_.ring(index);
        numbers[index] = {.work = executor.work_count(),
                          .idle = executor.idle_count(),
                          .waits = ring.wait_count(),
                          .completions = ring.completion_count(),
                          .in_flight = ring.in_flight()};
    }
    co_await resume_on(home);
    numbers_ = std::move(numbers);
}

void ServedProgram::describe(inspect::Node& root) {
    u64 now_ns = Executor::current().now_ns();
    root.text("program", "serve");
    root.number("process", static_cast<u64>(getpid()));
    root.number("uptime_ns", now_ns - start_ns_);
    inspect::describe_log_level(root);
    root.child("exports", [&](inspect::Node& node) { describe_exports(node); });
    root.child("connections", [&](inspect::Node& node) { server_.describe_connections(node, now_ns); });
    for (NamedDevice& device : devices_) {
        root.child(device.name, [&](inspect::Node& node) { device.record.describe(node, now_ns); });
    }
    root.child("threads", [&](inspect::Node& node) { describe_threads(node); });
}

void ServedProgram::describe_exports(inspect::Node& node) const {
    for (usize index = 0; index < pipelines_.size(); ++index) {
        const nbd::Export& target = server_.exports()[index];
        // The one without a name is written as nbd clients write it: it is the default.
        node.child(target.name.empty() ? std::string_view("default") : target.name, [&](inspect::Node& one) {
            one.boolean("read_only", nbd::is_read_only(target));
            server_.describe_export(index, one);
            one.child(pipelines_[index].kind, [&](inspect::Node& disk) { pipelines_[index].describe(disk); });
        });
    }
}

void ServedProgram::describe_threads(inspect::Node& node) {
    node.setting("spin", duration_text(threads_.ring(0).spin_ns()),
                 "how long to look for work before sleeping, such as 50us, or 0",
                 [&](std::string_view text) -> inspect::SetResult {
                     std::optional<u64> spin_ns = parse_duration(text);
                     if (!spin_ns || *spin_ns > spin_ns_max) {
                         return std::unexpected(std::string("that is no time of at most 100ms"));
                     }
                     for (usize index = 0; index < threads_.count(); ++index) {
                         threads_.ring(index).set_spin_ns(*spin_ns);
                     }
                     return {};
                 });
    for (usize index = 0; index < numbers_.size(); ++index) {
        node.child(decimal(index), [&](inspect::Node& thread) {
            const ThreadNumbers& numbers = numbers_[index];
            thread.number("work_items", numbers.work);
            thread.number("idle_rounds", numbers.idle);
            thread.number("sleeps", numbers.waits);
            thread.number("ring_completions", numbers.completions);
            thread.number("ring_in_flight", numbers.in_flight);
        });
    }
}

}  // namespace undercroft
