// A serial port of the machine as the far end of the guest's console, or of another line. A 16550 driven by interrupts in both
// directions: what the transmitter cannot take is refused and asked for again when it is empty, what the guest cannot
// take stays in the receiver. Nothing waits, nothing is lost.
// Left out: line speed and modem lines, which the machine's firmware set up. Source: National Semiconductor PC16550D
// datasheet.
#pragma once

#include "kernel/base/serial_line.hpp"
#include "kernel/base/spinlock.hpp"
#include "kernel/vtl/virtual_processor.hpp"

namespace undercroft {

class ConsolePort final : public CharacterBackend, private InterruptHandler, private Work {
public:
    static constexpr u16 com1 = 0x3F8;
    static constexpr u16 com1_line = 4;
    /// Where a machine that is to be looked into has a port for that (boot/launcher/machine.sh).
    static constexpr u16 control = 0x2E8;
    static constexpr u16 control_line = 5;

    explicit ConsolePort(u16 first_port) : Work(&ConsolePort::on_retry), first_port_(first_port) {}

    /// Whether there is a port.
    bool is_present();
    /// Sets the port up and routes `line` to the calling processor; what arrives goes to `guest`, which must outlive
    /// this. Errors of the monitor.
    Result<void> start(u16 line, SerialPort& guest);

    usize write(std::span<const u8> bytes) override;
    void receive_ready() override;

private:
    static constexpr usize fifo_bytes = 16;

    void on_interrupt() override;
    static void on_retry(Work& self);
    void receive();
    u8 read(u16 reg);
    void write_register(u16 reg, u8 value);
    void enable_interrupts(u8 set, u8 clear);

    u16 first_port_;
    SerialPort* guest_ = nullptr;
    Executor* executor_ = nullptr;  // of the processor that the line is routed to
    std::atomic<bool> retry_posted_{false};
    Spinlock lock_;  // the registers, and what is below
    u8 interrupt_enable_ = 0;
    u8 held_[fifo_bytes] = {};  // read from the receiver, not taken by the guest yet
    usize held_count_ = 0;
};

}  // namespace undercroft
