// The two 8259A interrupt controllers of a PC, master and slave on line 2, with the edge/level registers of the PIIX.
// Modes: fixed and rotating priority, specific and automatic end of interrupt, special mask, special fully nested,
// poll. Left out: 8080 mode, buffered mode (accepted, ignored).
// Sources: Intel 8259A datasheet; 82371SB (PIIX3) datasheet for 4D0h and 4D1h.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/guest/chipset/services.hpp"

namespace undercroft {

class InterruptControllerPair : public PortDevice {
public:
    explicit InterruptControllerPair(ExternalInterruptSink& sink) : sink_(sink) {}

    /// Ports 20h, 21h, A0h, A1h, 4D0h and 4D1h.
    Result<void> add_to(GuestBus& bus);

    /// The level of line `irq` (0..15, not 2).
    void set_level(unsigned irq, bool high);

    /// The processor's INTA cycles: the vector of the highest request, now in service. Line 7 of the chip that was
    /// asked where nothing is requested.
    u8 acknowledge();
    /// Whether the processor's INTR input is high.
    bool is_requested();

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

private:
    struct Chip {
        u8 request = 0;     // IRR
        u8 in_service = 0;  // ISR
        u8 mask = 0;        // IMR
        u8 lines = 0;       // input levels
        u8 level_triggered = 0;
        u8 vector_base = 0;
        u8 lowest_priority = 7;
        u8 initialisation_step = 0;  // next ICW expected: 0 none, 2, 3, 4
        bool needs_icw4 = false;
        bool is_single = false;
        bool reads_in_service = false;
        bool automatic_end = false;
        bool rotates_on_automatic_end = false;
        bool special_mask = false;
        bool special_fully_nested = false;
        bool poll = false;

        void set_level(unsigned line, bool high);
        /// The line to serve next, or -1.
        int pending(bool is_master) const;
        unsigned rank(unsigned line) const { return (line - lowest_priority - 1) & 7; }
        void take(unsigned line);
        void end(u8 command);
        void write_command(u8 value);
        void write_data(u8 value);
        int highest_in_service() const;
    };

    void update();
    u8 read_poll(Chip& chip, bool is_master);

    ExternalInterruptSink& sink_;
    Spinlock lock_;
    Chip chips_[2];
    bool is_requested_ = false;
};

}  // namespace undercroft
