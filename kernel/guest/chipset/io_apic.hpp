// The I/O APIC: 24 pins, each with a redirection entry that turns a level or an edge into a message to the local APICs.
// As an ICH's: version 20h, with an EOI register. Left out: delivery of the 8259's output through pin 0, remapped and
// extended destinations.
// Sources: Intel 82093AA datasheet; Intel I/O Controller Hub datasheets for the EOI register.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"

namespace undercroft {

class IoApic : public MmioDevice {
public:
    static constexpr unsigned pins = 24;
    static constexpr u64 base_address = 0xFEC0'0000;
    static constexpr u64 window_bytes = 0x1000;

    explicit IoApic(MessageSink& messages);

    Result<void> add_to(GuestBus& bus);

    /// The level of pin `pin`; true is asserted, whatever the polarity the guest set.
    void set_level(unsigned pin, bool asserted);
    /// A local APIC broadcast the end of `vector`: level-triggered entries with it are sent again if their line is
    /// still asserted.
    void end_of_interrupt(u8 vector);

    u64 read_mmio(u64 offset_bytes, AccessSize size) override;
    void write_mmio(u64 offset_bytes, AccessSize size, u64 value) override;

private:
    u32 read_register() const;
    void write_register(u32 value);
    void service(unsigned pin);
    void end_locked(u8 vector);

    MessageSink& messages_;
    Spinlock lock_;
    u8 id_ = 0;
    u8 selected_ = 0;
    u32 lines_ = 0;    // input levels
    u32 pending_ = 0;  // edges that were not delivered yet
    u64 entries_[pins] = {};
};

}  // namespace undercroft
