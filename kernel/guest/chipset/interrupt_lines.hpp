// How interrupt lines are wired: each global system interrupt (GSI) goes to one pin of the I/O APIC, and the ISA ones
// to the 8259 pair as well. ISA line 0, the timer, is GSI 2, as the MADT's override says. A line may be shared: it is
// high while any of its users holds it high.
#pragma once

#include <atomic>

#include "kernel/guest/chipset/interrupt_controller_pair.hpp"
#include "kernel/guest/chipset/io_apic.hpp"

namespace undercroft {

class InterruptLines {
public:
    static constexpr unsigned isa_lines = 16;
    static constexpr unsigned timer_gsi = 2;
    static constexpr unsigned first_pci_gsi = 16;
    static constexpr unsigned pci_gsis = 4;
    static constexpr unsigned sci_irq = 9;

    /// One user of a line. Its own levels come one at a time.
    class User : public InterruptLine {
    public:
        User() = default;
        User(InterruptLines& lines, unsigned line) : lines_(&lines), line_(line) {}
        void set_level(bool high) override {
            if (lines_ != nullptr && high != is_high_) {
                is_high_ = high;
                lines_->change(line_, high);
            }
        }

    private:
        InterruptLines* lines_ = nullptr;
        unsigned line_ = 0;
        bool is_high_ = false;
    };

    InterruptLines(InterruptControllerPair& controllers, IoApic& io_apic)
        : controllers_(controllers), io_apic_(io_apic) {}

    /// A user of ISA line `irq` (0..15, not 2).
    User isa(unsigned irq) { return User(*this, irq); }
    /// A user of one of the four lines that PCI INTA..INTD of the devices share (0..3).
    User pci(unsigned index) { return User(*this, first_pci_gsi + index % pci_gsis); }

private:
    static constexpr unsigned lines_max = first_pci_gsi + pci_gsis;

    void change(unsigned line, bool high) {
        SpinlockGuard guard(locks_[line]);
        users_high_[line] += high ? 1 : -1;
        if (users_high_[line] != (high ? 1 : 0)) {
            return;
        }
        io_apic_.set_level(line == 0 ? timer_gsi : line, high);
        if (line < isa_lines) {
            controllers_.set_level(line, high);
        }
    }

    InterruptControllerPair& controllers_;
    IoApic& io_apic_;
    Spinlock locks_[lines_max];
    int users_high_[lines_max] = {};
};

}  // namespace undercroft
