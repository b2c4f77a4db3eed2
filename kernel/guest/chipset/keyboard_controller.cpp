// Commands of the keyboard controller.
#include "kernel/guest/chipset/keyboard_controller.hpp"

namespace undercroft {

namespace {

constexpr u16 port_data = 0x60;
constexpr u16 port_command = 0x64;

constexpr u8 status_output_full = 0x01;
constexpr u8 status_system = 0x04;
constexpr u8 status_unlocked = 0x10;
constexpr u8 status_timed_out = 0x40;

constexpr u8 command_read_byte = 0x20;
constexpr u8 command_write_byte = 0x60;
constexpr u8 command_test_auxiliary = 0xA9;
constexpr u8 command_self_test = 0xAA;
constexpr u8 command_test_keyboard = 0xAB;
constexpr u8 command_read_output_port = 0xD0;
constexpr u8 command_write_output_port = 0xD1;
constexpr u8 command_write_auxiliary = 0xD4;
constexpr u8 command_pulse_first = 0xF0;

constexpr u8 self_test_passed = 0x55;
constexpr u8 interface_test_passed = 0x00;
constexpr u8 output_port_not_reset = 0x01;
constexpr u8 output_port_a20 = 0x02;
constexpr u8 device_absent = 0xFE;

}  // namespace

Result<void> KeyboardController::add_to(GuestBus& bus) {
    TRY(bus.add_ports(*this, port_data, 1));
    TRY(bus.add_ports(*this, port_command, 1));
    return {};
}

void KeyboardController::answer(u8 value, bool timed_out) {
    output_ = value;
    has_output_ = true;
    output_timed_out_ = timed_out;
}

void KeyboardController::command(u8 value) {
    pending_command_ = 0;
    switch (value) {
    case command_read_byte:
        answer(command_byte_);
        return;
    case command_self_test:
        answer(self_test_passed);
        return;
    case command_test_keyboard:
    case command_test_auxiliary:
        answer(interface_test_passed);
        return;
    case command_read_output_port:
        answer(output_port_not_reset | output_port_a20);
        return;
    case command_write_byte:
    case command_write_output_port:
    case command_write_auxiliary:
        pending_command_ = value;
        return;
    default:
        break;
    }
    // F0h-FFh pulse the output port's bits whose command bit is 0; bit 0 is the reset line.
    if (value >= command_pulse_first && (value & 1) == 0) {
        power_.reset();
    }
}

void KeyboardController::data(u8 value) {
    u8 command = pending_command_;
    pending_command_ = 0;
    switch (command) {
    case command_write_byte:
        command_byte_ = value;
        break;
    case command_write_output_port:
        if ((value & output_port_not_reset) == 0) {
            power_.reset();
        }
        break;
    default:
        answer(device_absent, true);  // to the keyboard or the auxiliary device
        break;
    }
}

u64 KeyboardController::read_port(u16 port, AccessSize) {
    SpinlockGuard guard(lock_);
    if (port == port_data) {
        has_output_ = output_timed_out_ = false;
        return output_;
    }
    return static_cast<u8>(status_system | status_unlocked | (has_output_ ? status_output_full : 0) |
                           (output_timed_out_ ? status_timed_out : 0));
}

void KeyboardController::write_port(u16 port, AccessSize, u64 value) {
    SpinlockGuard guard(lock_);
    port == port_data ? data(static_cast<u8>(value)) : command(static_cast<u8>(value));
}

}  // namespace undercroft
