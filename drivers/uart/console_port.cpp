// Lock order: the guest's UART calls `write` and `receive_ready` with its own lock held, so nothing here calls the
// guest's UART under ours.
#include "drivers/uart/console_port.hpp"

#include <cstring>

#include "kernel/vtl/cpu.hpp"

namespace undercroft {

namespace {
constexpr u16 data_register = 0;
constexpr u16 interrupt_enable_register = 1;
constexpr u16 interrupt_identification_register = 2;
constexpr u16 fifo_control_register = 2;
constexpr u16 modem_control_register = 4;
constexpr u16 line_status_register = 5;
constexpr u16 scratch_register = 7;
constexpr u8 enable_received = 1 << 0;
constexpr u8 enable_transmitter_empty = 1 << 1;
constexpr u8 no_interrupt_pending = 1 << 0;
constexpr u8 fifo_enable_and_clear = 0x07;
constexpr u8 modem_ready_with_interrupts = 0x0B;  // DTR, RTS, OUT2
constexpr u8 status_data_ready = 1 << 0;
constexpr u8 status_transmitter_empty = 1 << 5;
constexpr int rounds_max = 64;  // of looking for causes in one interrupt
}  // namespace

u8 ConsolePort::read(u16 reg) { return cpu::read_port8(static_cast<u16>(first_port_ + reg)); }

void ConsolePort::write_register(u16 reg, u8 value) { cpu::write_port8(static_cast<u16>(first_port_ + reg), value); }

void ConsolePort::enable_interrupts(u8 set, u8 clear) {
    u8 wanted = static_cast<u8>((interrupt_enable_ & ~clear) | set);
    if (wanted != interrupt_enable_) {
        interrupt_enable_ = wanted;
        write_register(interrupt_enable_register, wanted);
    }
}

// The scratch register keeps what is written; where there is no port, all bits read as ones.
bool ConsolePort::is_present() {
    for (u8 pattern : {u8{0x5A}, u8{0xA5}}) {
        write_register(scratch_register, pattern);
        if (read(scratch_register) != pattern) {
            return false;
        }
    }
    return true;
}

Result<void> ConsolePort::start(u16 line, SerialPort& guest) {
    guest_ = &guest;
    executor_ = &Executor::current();
    VirtualProcessor& processor = VirtualProcessor::current();
    u8 vector = TRY(processor.allocate_vector(*this, EndOfInterrupt::automatic));
    TRY(hypercalls::map_line_interrupt(
        {.device = line, .entry = 0, .vp_index = processor.index(), .vector = vector, .enable = 1, .reserved = {}}));
    SpinlockGuard guard(lock_);
    write_register(interrupt_enable_register, 0);
    write_register(fifo_control_register, fifo_enable_and_clear);
    write_register(modem_control_register, modem_ready_with_interrupts);
    enable_interrupts(enable_received, 0);
    return {};
}

usize ConsolePort::write(std::span<const u8> bytes) {
    SpinlockGuard guard(lock_);
    usize written = 0;
    while (written < bytes.size() && (read(line_status_register) & status_transmitter_empty) != 0) {
        // An empty transmitter takes a FIFO's worth.
        for (usize count = 0; count < fifo_bytes && written < bytes.size(); ++count) {
            write_register(data_register, bytes[written++]);
        }
    }
    if (written < bytes.size()) {
        enable_interrupts(enable_transmitter_empty, 0);
    }
    return written;
}

void ConsolePort::receive_ready() {
    // From the guest's UART, on any processor, with its lock held: what was refused is offered again from our own
    // executor.
    if (!retry_posted_.exchange(true)) {
        executor_->post_remote(*this);
    }
}

void ConsolePort::on_retry(Work& self) {
    auto& port = static_cast<ConsolePort&>(self);
    port.retry_posted_.store(false);
    {
        SpinlockGuard guard(port.lock_);
        port.enable_interrupts(enable_received, 0);
    }
    port.receive();
}

void ConsolePort::receive() {
    u8 bytes[fifo_bytes];
    usize count = 0;
    {
        SpinlockGuard guard(lock_);
        std::memcpy(bytes, held_, held_count_);
        count = held_count_;
        while (count < fifo_bytes && (read(line_status_register) & status_data_ready) != 0) {
            bytes[count++] = read(data_register);
        }
        held_count_ = 0;
    }
    if (count == 0) {
        return;
    }
    usize taken = guest_->receive({bytes, count});
    if (taken < count) {
        SpinlockGuard guard(lock_);
        held_count_ = count - taken;
        std::memcpy(held_, bytes + taken, held_count_);
        enable_interrupts(0, enable_received);
    }
}

void ConsolePort::on_interrupt() {
    // The line is an edge for us: it comes again only after every cause has been dealt with.
    for (int round = 0; round < rounds_max; ++round) {
        bool transmitter_empty = false;
        {
            SpinlockGuard guard(lock_);
            if ((read(interrupt_identification_register) & no_interrupt_pending) != 0) {
                return;
            }
            transmitter_empty = (interrupt_enable_ & enable_transmitter_empty) != 0 &&
                                (read(line_status_register) & status_transmitter_empty) != 0;
            enable_interrupts(0, transmitter_empty ? enable_transmitter_empty : 0);
        }
        if (transmitter_empty) {
            guest_->transmit_ready();
        }
        receive();
    }
}

}  // namespace undercroft
