// The image's end of `undercroft inspect`: requests and answers (kernel/inspect/request.hpp) over a serial port of
// VTL2's own, which the guest cannot reach. A machine without that port has nobody who asks.
#pragma once

#include "boot/paravisor/disks.hpp"
#include "drivers/uart/console_port.hpp"
#include "kernel/async/event.hpp"
#include "kernel/async/task_group.hpp"
#include "kernel/inspect/request.hpp"

namespace undercroft::paravisor {

class ControlLine final : private SerialPort {
public:
    static constexpr usize answer_bytes_max = 256 * kib;

    /// `disks` outlives this.
    explicit ControlLine(const Disks& disks) : disks_(disks) {}
    ControlLine(const ControlLine&) = delete;
    ControlLine& operator=(const ControlLine&) = delete;

    /// Answers from now on, on the calling processor, where there is a port.
    void start();

private:
    static constexpr usize received_bytes_max = 512;

    // On the processor that the port's line is routed to.
    usize receive(std::span<const u8> bytes) override;
    void transmit_ready() override { can_send_.set(); }

    Task<void> serve();
    Task<void> send(std::string text);
    void describe(inspect::Node& root) const;

    const Disks& disks_;
    ConsolePort port_{ConsolePort::control};
    inspect::LineReader lines_;
    std::string received_;
    bool refused_ = false;  // the port keeps bytes that there was no room for
    bool was_cut_ = false;  // an answer, half way
    Event arrived_;
    Event can_send_;
    TaskGroup task_;
};

}  // namespace undercroft::paravisor
