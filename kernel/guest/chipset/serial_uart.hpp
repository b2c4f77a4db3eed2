// A 16550A serial port. Its line has no speed: what the guest writes is offered to the back end at once, and held in a
// queue where the back end cannot take it; the transmitter says "empty" while a whole FIFO's worth still fits. So
// nothing is lost in either direction. Left out: DMA signals, parity and framing errors, break. The character timeout
// comes at once instead of after four characters' time.
// Source: National Semiconductor PC16550D datasheet.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/guest/chipset/interrupt_lines.hpp"
#include "kernel/guest/chipset/services.hpp"

namespace undercroft {

class SerialUart : public PortDevice, public SerialPort {
public:
    static constexpr u16 com1_port = 0x3F8;
    static constexpr unsigned com1_irq = 4;

    SerialUart(CharacterBackend& backend, const InterruptLines::User& line) : backend_(backend), line_(line) {}

    /// Eight ports from `first_port`.
    Result<void> add_to(GuestBus& bus, u16 first_port);

    usize receive(std::span<const u8> bytes) override;
    void transmit_ready() override;

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

private:
    static constexpr usize fifo_bytes = 16;

    /// A bounded queue of bytes.
    template <usize Capacity>
    struct ByteQueue {
        u8 bytes[Capacity] = {};
        usize first = 0;
        usize count = 0;

        bool push(u8 byte) {
            if (count == Capacity) {
                return false;
            }
            bytes[(first + count++) % Capacity] = byte;
            return true;
        }
        u8 pop() {
            u8 byte = bytes[first];
            drop(1);
            return byte;
        }
        /// The longest piece from the front that lies in one run.
        std::span<const u8> front() const {
            return {bytes + first, count < Capacity - first ? count : Capacity - first};
        }
        void drop(usize dropped) {
            first = (first + dropped) % Capacity;
            count -= dropped;
        }
        void clear() { first = count = 0; }
    };

    bool is_divisor_latch_open() const;
    bool has_fifo() const;
    bool is_looped_back() const;
    bool has_transmit_room() const { return sizeof(transmit_.bytes) - transmit_.count >= fifo_bytes; }
    usize receive_capacity() const { return has_fifo() ? fifo_bytes : 1; }
    u8 line_status();
    u8 modem_status() const;
    u8 interrupt_cause() const;
    void update_line();
    void flush();
    u8 read_data();
    u8 read_interrupt_identification();
    void write_data(u8 value);
    void write_fifo_control(u8 value);
    void write_modem_control(u8 value);
    void set_transmit_event();

    CharacterBackend& backend_;
    InterruptLines::User line_;
    u16 first_port_ = 0;
    Spinlock lock_;
    ByteQueue<fifo_bytes> receive_;
    ByteQueue<1024> transmit_;
    u16 divisor_ = 12;
    u8 interrupt_enable_ = 0;
    u8 fifo_control_ = 0;
    u8 line_control_ = 0;
    u8 modem_control_ = 0;
    u8 modem_changes_ = 0;  // the delta bits of the modem status
    u8 scratch_ = 0;
    bool has_overrun_ = false;
    bool transmit_event_ = false;  // THRE interrupt pending
    bool refused_receive_ = false;
};

}  // namespace undercroft
