// Registers, interrupts and queues of the 16550A.
#include "kernel/guest/chipset/serial_uart.hpp"

namespace undercroft {

namespace {

enum Offset : u16 {
    offset_data = 0,                      // divisor, low byte
    offset_interrupt_enable = 1,          // divisor, high byte
    offset_interrupt_identification = 2,  // write: FIFO control
    offset_line_control = 3,
    offset_modem_control = 4,
    offset_line_status = 5,
    offset_modem_status = 6,
    offset_scratch = 7,
};

constexpr u8 enable_receive = 0x01;
constexpr u8 enable_transmit = 0x02;
constexpr u8 enable_line_status = 0x04;
constexpr u8 enable_modem_status = 0x08;

constexpr u8 cause_modem_status = 0x00;
constexpr u8 cause_none = 0x01;
constexpr u8 cause_transmit = 0x02;
constexpr u8 cause_receive = 0x04;
constexpr u8 cause_line_status = 0x06;
constexpr u8 cause_timeout = 0x0C;
constexpr u8 identification_fifo = 0xC0;

constexpr u8 fifo_enable = 0x01;
constexpr u8 fifo_clear_receive = 0x02;
constexpr u8 fifo_clear_transmit = 0x04;
constexpr u8 fifo_kept = 0xC9;
constexpr usize trigger_levels[4] = {1, 4, 8, 14};

constexpr u8 line_control_divisor = 0x80;

constexpr u8 line_status_data = 0x01;
constexpr u8 line_status_overrun = 0x02;
constexpr u8 line_status_holding_empty = 0x20;
constexpr u8 line_status_empty = 0x40;

constexpr u8 modem_control_dtr = 0x01;
constexpr u8 modem_control_rts = 0x02;
constexpr u8 modem_control_out1 = 0x04;
constexpr u8 modem_control_out2 = 0x08;
constexpr u8 modem_control_loopback = 0x10;
constexpr u8 modem_control_writable = 0x1F;

constexpr u8 modem_status_cts = 0x10;
constexpr u8 modem_status_dsr = 0x20;
constexpr u8 modem_status_ring = 0x40;
constexpr u8 modem_status_carrier = 0x80;
constexpr u8 modem_change_ring = 0x04;  // trailing edge alone

}  // namespace

Result<void> SerialUart::add_to(GuestBus& bus, u16 first_port) {
    first_port_ = first_port;
    TRY(bus.add_ports(*this, first_port, 8));
    return {};
}

bool SerialUart::is_divisor_latch_open() const { return (line_control_ & line_control_divisor) != 0; }
bool SerialUart::has_fifo() const { return (fifo_control_ & fifo_enable) != 0; }
bool SerialUart::is_looped_back() const { return (modem_control_ & modem_control_loopback) != 0; }

/// The levels of the modem lines: those of a peer that is always there, or, looped back, our own outputs.
u8 SerialUart::modem_status() const {
    if (!is_looped_back()) {
        return modem_status_cts | modem_status_dsr | modem_status_carrier;
    }
    return static_cast<u8>(((modem_control_ & modem_control_rts) != 0 ? modem_status_cts : 0) |
                           ((modem_control_ & modem_control_dtr) != 0 ? modem_status_dsr : 0) |
                           ((modem_control_ & modem_control_out1) != 0 ? modem_status_ring : 0) |
                           ((modem_control_ & modem_control_out2) != 0 ? modem_status_carrier : 0));
}

/// The pending cause with the highest priority, among those that are enabled.
u8 SerialUart::interrupt_cause() const {
    if ((interrupt_enable_ & enable_line_status) != 0 && has_overrun_) {
        return cause_line_status;
    }
    if ((interrupt_enable_ & enable_receive) != 0 && receive_.count > 0) {
        bool reached = !has_fifo() || receive_.count >= trigger_levels[fifo_control_ >> 6];
        return reached ? cause_receive : cause_timeout;
    }
    if ((interrupt_enable_ & enable_transmit) != 0 && transmit_event_) {
        return cause_transmit;
    }
    if ((interrupt_enable_ & enable_modem_status) != 0 && modem_changes_ != 0) {
        return cause_modem_status;
    }
    return cause_none;
}

void SerialUart::update_line() {
    // On a PC, OUT2 gates the interrupt; looped back, the outputs are off.
    bool connected = (modem_control_ & modem_control_out2) != 0 && !is_looped_back();
    line_.set_level(connected && interrupt_cause() != cause_none);
}

void SerialUart::set_transmit_event() { transmit_event_ = has_transmit_room(); }

/// Offers the back end what is queued.
void SerialUart::flush() {
    bool had_room = has_transmit_room();
    while (transmit_.count > 0) {
        usize taken = backend_.write(transmit_.front());
        transmit_.drop(taken);
        if (taken == 0) {
            break;
        }
    }
    if (!had_room) {
        set_transmit_event();
    }
}

usize SerialUart::receive(std::span<const u8> bytes) {
    SpinlockGuard guard(lock_);
    usize taken = 0;
    // Looped back, the receiver is cut off from the line: the bytes wait.
    while (taken < bytes.size() && receive_.count < receive_capacity() && !is_looped_back()) {
        receive_.push(bytes[taken++]);
    }
    refused_receive_ = taken < bytes.size();
    update_line();
    return taken;
}

void SerialUart::transmit_ready() {
    SpinlockGuard guard(lock_);
    flush();
    update_line();
}

u8 SerialUart::line_status() {
    u8 status = receive_.count > 0 ? line_status_data : 0;
    status |= has_overrun_ ? line_status_overrun : 0;
    status |= has_transmit_room() ? line_status_holding_empty : 0;
    status |= transmit_.count == 0 ? line_status_empty : 0;
    has_overrun_ = false;
    return status;
}

u8 SerialUart::read_data() {
    if (receive_.count == 0) {
        return 0;
    }
    u8 byte = receive_.pop();
    if (refused_receive_ && receive_.count == 0) {
        refused_receive_ = false;
        backend_.receive_ready();
    }
    return byte;
}

u8 SerialUart::read_interrupt_identification() {
    u8 cause = interrupt_cause();
    if (cause == cause_transmit) {
        transmit_event_ = false;
    }
    return static_cast<u8>(cause | (has_fifo() ? identification_fifo : 0));
}

void SerialUart::write_data(u8 value) {
    transmit_event_ = false;
    if (is_looped_back()) {
        if (receive_.count == receive_capacity()) {
            has_overrun_ = true;
        } else {
            receive_.push(value);
        }
        set_transmit_event();
        return;
    }
    if (!transmit_.push(value)) {
        return;  // written although we said that there is no room
    }
    flush();
    set_transmit_event();
}

void SerialUart::write_fifo_control(u8 value) {
    bool toggles = ((value ^ fifo_control_) & fifo_enable) != 0;
    if (toggles || (value & fifo_clear_receive) != 0) {
        receive_.clear();
        if (refused_receive_) {
            refused_receive_ = false;
            backend_.receive_ready();
        }
    }
    // Clearing the transmitter would lose what a driver believes to be sent long ago; real FIFOs are empty by then.
    if (toggles || (value & fifo_clear_transmit) != 0) {
        set_transmit_event();
    }
    fifo_control_ = (value & fifo_enable) != 0 ? value & fifo_kept : 0;
}

void SerialUart::write_modem_control(u8 value) {
    u8 before = modem_status();
    bool was_looped_back = is_looped_back();
    modem_control_ = value & modem_control_writable;
    u8 after = modem_status();
    u8 changes = static_cast<u8>((before ^ after) >> 4);
    if ((after & modem_status_ring) != 0) {
        changes &= static_cast<u8>(~modem_change_ring);
    }
    modem_changes_ |= changes;
    if (was_looped_back && !is_looped_back() && refused_receive_) {
        refused_receive_ = false;
        backend_.receive_ready();
    }
}

u64 SerialUart::read_port(u16 port, AccessSize) {
    SpinlockGuard guard(lock_);
    u8 value = 0;
    switch (port - first_port_) {
    case offset_data:
        value = is_divisor_latch_open() ? static_cast<u8>(divisor_) : read_data();
        break;
    case offset_interrupt_enable:
        value = is_divisor_latch_open() ? static_cast<u8>(divisor_ >> 8) : interrupt_enable_;
        break;
    case offset_interrupt_identification:
        value = read_interrupt_identification();
        break;
    case offset_line_control:
        value = line_control_;
        break;
    case offset_modem_control:
        value = modem_control_;
        break;
    case offset_line_status:
        value = line_status();
        break;
    case offset_modem_status:
        value = static_cast<u8>(modem_status() | modem_changes_);
        modem_changes_ = 0;
        break;
    case offset_scratch:
        value = scratch_;
        break;
    default:
        break;
    }
    update_line();
    return value;
}

void SerialUart::write_port(u16 port, AccessSize, u64 value) {
    SpinlockGuard guard(lock_);
    u8 byte = static_cast<u8>(value);
    switch (port - first_port_) {
    case offset_data:
        if (is_divisor_latch_open()) {
            divisor_ = static_cast<u16>((divisor_ & 0xFF00) | byte);
        } else {
            write_data(byte);
        }
        break;
    case offset_interrupt_enable:
        if (is_divisor_latch_open()) {
            divisor_ = static_cast<u16>((divisor_ & 0xFF) | (byte << 8));
            break;
        }
        // Enabling the transmit interrupt while the transmitter is empty raises it: drivers test for that.
        if ((byte & enable_transmit) != 0 && (interrupt_enable_ & enable_transmit) == 0) {
            set_transmit_event();
        }
        interrupt_enable_ = byte & 0xF;
        break;
    case offset_interrupt_identification:
        write_fifo_control(byte);
        break;
    case offset_line_control:
        line_control_ = byte;
        break;
    case offset_modem_control:
        write_modem_control(byte);
        break;
    case offset_scratch:
        scratch_ = byte;
        break;
    default:
        break;  // line and modem status are read-only
    }
    update_line();
}

}  // namespace undercroft
