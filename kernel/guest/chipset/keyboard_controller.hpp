// As much of the 8042 keyboard controller as a PC without a keyboard needs: self-tests pass, nothing answers on its
// ports, and command FEh resets the machine.
// Source: IBM PC/AT Technical Reference, keyboard controller.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/guest/chipset/services.hpp"

namespace undercroft {

class KeyboardController : public PortDevice {
public:
    explicit KeyboardController(PowerControl& power) : power_(power) {}

    /// Ports 60h and 64h.
    Result<void> add_to(GuestBus& bus);

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

private:
    void command(u8 value);
    void data(u8 value);
    void answer(u8 value, bool timed_out = false);

    PowerControl& power_;
    Spinlock lock_;
    u8 command_byte_ = 0x30;  // both ports disabled
    u8 pending_command_ = 0;  // one that waits for its data byte
    u8 output_ = 0;
    bool has_output_ = false;
    bool output_timed_out_ = false;
};

}  // namespace undercroft
