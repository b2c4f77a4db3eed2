// ControlLine. An answer goes out in pieces with pauses, in which the guest runs.
#include "boot/paravisor/control_line.hpp"

#include <algorithm>

#include "boot/paravisor/memory.hpp"
#include "boot/paravisor/processors.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::paravisor {

namespace {

constexpr usize piece_bytes = 256;
constexpr u64 pause_ns = 100 * nanoseconds_per_microsecond;
/// What a machine's end of the line may take to empty a FIFO; then nobody listens any more.
constexpr u64 send_timeout_ns = nanoseconds_per_second;

void describe_memory(inspect::Node& node) {
    PageCounters counters = pages().counters();
    node.number("total_bytes", counters.total * page_size);
    node.number("free_bytes", counters.free * page_size);
}

void describe_processors(inspect::Node& node) {
    for (u32 index = 0; index < processor_count(); ++index) {
        Result<vtl2::Statistics> got = hypercalls::get_statistics(index);
        if (!got) {
            continue;
        }
        node.child(decimal(index), [&](inspect::Node& processor) {
            processor.number("vtl0_exits", got->vtl0_exits);
            processor.number("vtl2_exits", got->vtl2_exits);
            processor.number("vtl_switches", got->vtl_switches);
            processor.number("port_exits", got->io_port);
            processor.number("memory_exits", got->memory);
            processor.number("halts", got->halt);
            processor.number("interrupts", got->interrupt);
        });
    }
}

}  // namespace

void ControlLine::start() {
    if (!port_.is_present()) {
        return;
    }
    if (Result<void> started = port_.start(ConsolePort::control_line, *this); !started) {
        log_warning("the control port cannot be used: %s", to_string(started.error()));
        return;
    }
    task_.spawn(serve());
}

usize ControlLine::receive(std::span<const u8> bytes) {
    usize taken = std::min(bytes.size(), received_bytes_max - received_.size());
    received_.append(reinterpret_cast<const char*>(bytes.data()), taken);
    refused_ = taken < bytes.size();
    arrived_.set();
    return taken;
}

// For as long as the machine is on.
Task<void> ControlLine::serve() {
    for (;;) {
        (void)co_await arrived_.wait();
        arrived_.reset();
        std::vector<std::string> lines;
        lines_.feed(std::exchange(received_, {}), [&](std::string_view line) { lines.emplace_back(line); });
        for (const std::string& line : lines) {
            co_await send(inspect::answer(line, [this](inspect::Node& root) { describe(root); }, answer_bytes_max));
        }
        if (std::exchange(refused_, false)) {
            port_.receive_ready();
        }
    }
}

Task<void> ControlLine::send(std::string text) {
    // What nobody took the end of has no end: this answer begins a line of its own.
    std::string_view rest = was_cut_ ? text.insert(0, "\n") : text;
    was_cut_ = true;
    while (!rest.empty()) {
        std::string_view piece = rest.substr(0, piece_bytes);
        can_send_.reset();
        usize sent = port_.write({reinterpret_cast<const u8*>(piece.data()), piece.size()});
        rest.remove_prefix(sent);
        if (sent < piece.size()) {
            u64 deadline_ns = Executor::current().now_ns() + send_timeout_ns;
            if (!co_await can_send_.wait({.deadline_ns = deadline_ns})) {
                co_return;
            }
        } else {
            (void)co_await sleep_for(pause_ns, {});
        }
    }
    was_cut_ = false;
}

void ControlLine::describe(inspect::Node& root) const {
    root.text("program", "image");
    root.number("uptime_ns", Executor::current().now_ns());
    inspect::describe_log_level(root);
    root.child("memory", &describe_memory);
    root.child("processors", &describe_processors);
    disks_.describe(root);
}

}  // namespace undercroft::paravisor
