// The machine's own local APICs and I/O APIC, as the monitor uses them: timer, IPIs, line interrupts. x2APIC where the
// CPU has it, memory otherwise.
// Left out: more than one I/O APIC, interrupt remapping. Source: AMD64 Architecture Programmer's Manual volume 2,
// chapter 16.
#pragma once

#include "kernel/spec/apic.hpp"

namespace undercroft::arch {

/// This CPU's local APIC. One object serves all CPUs: the address is the same on each.
class PhysicalApic {
public:
    /// Chooses the mode. `address` is where the registers are mapped (uncached).
    void initialise(u64 address);
    /// Turns this CPU's APIC on: spurious vector, everything else masked.
    void enable_here(u8 spurious_vector) const;

    u32 id() const;
    void end_of_interrupt() const { write(apic::end_of_interrupt, 0); }
    void send_fixed(u32 destination, u8 vector) const;
    void send_init(u32 destination) const;
    void send_startup(u32 destination, u8 page) const;

    /// Prepares this CPU's timer to raise `vector`.
    void set_up_timer(u8 vector, apic::TimerMode mode) const;
    /// Fires after `count` ticks of the undivided clock, and in periodic mode again after each further `count`; 0
    /// stops it.
    void set_timer_count(u32 count) const { write(apic::timer_initial_count, count); }
    u32 timer_count() const { return read(apic::timer_current_count); }

private:
    u32 read(u32 reg) const;
    void write(u32 reg, u32 value) const;
    void send(u32 destination, u32 command) const;

    u64 address_ = 0;
    bool x2apic_ = false;
};

/// The I/O APIC at `address` (mapped, uncached).
class PhysicalIoApic {
public:
    PhysicalIoApic() = default;
    explicit PhysicalIoApic(u64 address) : address_(address) {}
    /// Masks every entry.
    void mask_all() const;
    u32 entries() const;
    /// Routes `entry` to `vector` on the CPU with `apic_id` (below 256).
    void route(u32 entry, u8 vector, u32 apic_id, bool level, bool active_low) const;
    void mask(u32 entry) const;

private:
    u32 read(u32 reg) const;
    void write(u32 reg, u32 value) const;

    u64 address_ = 0;
};

/// Masks both 8259s.
void mask_legacy_pic();

}  // namespace undercroft::arch
