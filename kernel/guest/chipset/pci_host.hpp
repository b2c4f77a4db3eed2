// The guest's PCI bus: one host bridge (82441FX) with configuration mechanism 1 at CF8h/CFCh, a PIIX3 ISA bridge at
// device 1, and the functions that are attached. The bridge keeps each function's base address registers and decode
// bits, and moves the functions' windows on the guest bus as they change. Reset control (CF9h) is here because it
// shares the ports. Left out: other buses, memory-mapped configuration, expansion ROMs. Two groups of registers are kept
// and change nothing: the attributes of C0000h-FFFFFh (RAM is always there and writable), and the routing of PCI
// interrupts to the 8259s.
// Sources: PCI Local Bus 3.0 sections 3.2.2.3.2 and 6.2.5; Intel 82441FX and 82371SB datasheets.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/bus.hpp"
#include "kernel/guest/chipset/services.hpp"

namespace undercroft {

/// Where windows may be put: [begin, end) of each kind; empty where there is none.
struct PciWindows {
    u64 memory_begin = 0;
    u64 memory_end = 0;
    u64 high_memory_begin = 0;  ///< for 64-bit windows
    u64 high_memory_end = 0;
    u32 io_begin = 0;
    u32 io_end = 0;
};

/// The four shared lines are given out round robin: index of the line of `pin` (0 is INTA) of `device`, as the DSDT's
/// _PRT says.
constexpr unsigned pci_interrupt_index(unsigned device, unsigned pin) { return (device + pin) % 4; }

class PciHost : public PortDevice {
public:
    static constexpr usize functions_max = 24;
    static constexpr u8 devices_max = 32;
    /// GSI of the first of the four interrupt lines.
    static constexpr u32 first_interrupt_gsi = 16;
    static constexpr u8 isa_bridge_device = 1;
    /// The first device number that is free for `attach`.
    static constexpr u8 first_free_device = 2;
    static constexpr u16 address_port = 0xCF8;
    static constexpr u16 data_port = 0xCFC;
    static constexpr u16 reset_control_port = 0xCF9;
    static constexpr u8 reset_control_reset = 0x06;  ///< what resets the machine when written there

    PciHost(GuestBus& bus, PowerControl& power);

    /// Ports CF8h-CFFh, and the bridges' own functions.
    Result<void> add_to_bus();

    /// Puts `function`, which must outlive this, at `device`.`function_number` of bus 0. `invalid_argument` for a
    /// number that does not exist, `busy` where another function is, `out_of_memory` past `functions_max`. Before the
    /// guest runs. Its configuration space is asked by one processor at a time; its windows by any.
    Result<void> attach(u8 device, u8 function_number, PciFunction& function);

    /// Gives every window an address, as firmware does, and every function its interrupt line. Windows that do not fit
    /// stay without one.
    void assign_addresses(const PciWindows& windows);

    u64 read_port(u16 port, AccessSize size) override;
    void write_port(u16 port, AccessSize size, u64 value) override;

private:
    /// One base address register's window, as the guest bus sees it.
    class Window : public MmioDevice, public PortDevice {
    public:
        u64 read_mmio(u64 offset_bytes, AccessSize size) override {
            return function->read_bar(index, offset_bytes, size);
        }
        void write_mmio(u64 offset_bytes, AccessSize size, u64 value) override {
            function->write_bar(index, offset_bytes, size, value);
        }
        u64 read_port(u16 port, AccessSize size) override { return function->read_bar(index, offset_of(port), size); }
        void write_port(u16 port, AccessSize size, u64 value) override {
            function->write_bar(index, offset_of(port), size, value);
        }

        PciFunction* function = nullptr;
        usize index = 0;
        PciBar bar;
        u16 range = 0;  // PortRangeId or MmioRangeId

    private:
        // Windows are aligned to their size.
        u64 offset_of(u16 port) const { return port & (bar.size_bytes - 1); }
    };

    struct Slot {
        PciFunction* function = nullptr;
        u8 device = 0;
        u8 number = 0;
        u16 decodes = 0;  // command register, I/O and memory space
        u32 bases[pci_bars_max] = {};
        Window windows[pci_bars_max];
    };

    /// What tells a bridge of the chipset from another.
    struct BridgeIdentity {
        u32 ids;
        u32 class_revision;
        u32 subsystem_ids;
        /// Registers that hold what is written: two dwords from here on, and what they hold after reset.
        u16 stored_offset;
        u32 stored_after_reset[2];
    };

    /// A bridge of the chipset: configuration space of constants, a writable bit and stored registers.
    class Bridge : public PciFunction {
    public:
        explicit Bridge(const BridgeIdentity& identity)
            : identity_(identity), stored_{identity.stored_after_reset[0], identity.stored_after_reset[1]} {}
        u32 read_config(u16 offset_bytes) override;
        void write_config(u16 offset_bytes, u32 value, u32 mask) override;
        PciBar bar(usize) const override { return {}; }
        u64 read_bar(usize, u64, AccessSize size) override { return all_ones(size); }
        void write_bar(usize, u64, AccessSize, u64) override {}

    private:
        u32* stored(u16 offset_bytes);

        const BridgeIdentity identity_;
        u32 stored_[2];
        u16 command_ = 0x0007;
    };

    Slot* selected();
    bool is_shared(u8 device) const;
    u32 read_config(Slot& slot, u16 offset_bytes);
    void write_config(Slot& slot, u16 offset_bytes, u32 value, u32 mask);
    u64 base_of(const Slot& slot, usize index) const;
    void set_base(Slot& slot, usize index, u64 address);
    void write_base_register(Slot& slot, usize index, u32 value);
    void place(Slot& slot, usize index);
    Result<void> add_windows(Slot& slot);
    void assign_interrupt(Slot& slot);

    GuestBus& bus_;
    PowerControl& power_;
    Bridge host_bridge_;
    Bridge isa_bridge_;
    Spinlock lock_;
    u32 address_ = 0;  // what CF8h holds
    usize slot_count_ = 0;
    Slot slots_[functions_max];
};

}  // namespace undercroft
