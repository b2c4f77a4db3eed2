// The PCI functions that VTL2 owns (NVMe controllers), as far as the monitor keeps its hand on them: configuration
// space, BARs, MSI-X tables, line interrupts.
// Configuration space is the monitor's alone (ports CF8h and CFCh); VTL2 asks for a register, and gets what cannot
// hurt.
// Left out: hot plug, bridges' windows, MSI without X, functions whose MSI-X table shares a page with registers.
// Source: PCI Local Bus 3.0 chapter 6.
#pragma once

#include <span>

#include "kernel/base/result.hpp"
#include "kernel/base/spinlock.hpp"
#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft::monitor {

class AssignedDevices {
public:
    /// Finds the functions on every bus and turns their interrupts and DMA off.
    void scan();
    usize count() const { return count_; }
    /// What VTL2 is told.
    vtl2::AssignedDevice describe(usize index) const;

    /// `not_found` for no such device, `access_denied` for a register that VTL2 may not change, `invalid_argument` for
    /// a bad offset or size.
    Result<u32> read_config(vtl2::PciConfigAddress address);
    Result<void> write_config(vtl2::PciConfigAddress address, u32 value);
    /// Maps `bar` of `device` into VTL2's view without its MSI-X table and pending bits; the offset from device_base.
    /// Again: the same offset.
    Result<u64> map_memory(u64 device, u64 bar);
    Result<void> map_interrupt(const vtl2::MapInterruptInput& input);
    /// The lines of COM1 and of the control port (0x2E8, line 5) are those that VTL2 can have.
    Result<void> map_line(const vtl2::MapInterruptInput& input);

private:
    struct Bar {
        u64 machine_address;
        u64 size_bytes;
        u64 window_offset;  ///< plus 1; 0: not mapped
    };
    struct Entry {
        u8 vp;
        u8 vector;  ///< physical, 0: unused
    };
    static constexpr usize entries_max = 64;
    struct Device {
        u16 function;  ///< bus, device, function
        u16 vendor_id;
        u16 device_id;
        u32 class_code;
        Bar bars[vtl2::device_bars_max];
        u16 msix_offset;  ///< of the capability, 0: none
        u16 msix_entries;
        u8 table_bar, pending_bar;
        u32 table_offset, pending_offset;
        volatile u32* table;  ///< mapped for the monitor; null until used
        Entry entries[entries_max];
    };

    void add(u16 function);
    void read_bars(Device& device);
    void read_capabilities(Device& device);
    Result<void> map_table(Device& device);
    static Result<void> unbind(Entry& entry);
    static void restrict_dma(const Device& device);

    Spinlock lock_;
    Device devices_[vtl2::devices_max] = {};
    usize count_ = 0;
    u64 window_next_ = 0;
    Entry lines_[2]{};
};

}  // namespace undercroft::monitor
