// The MSI-X capability and table of an emulated PCI function: vectors as the guest wrote them, masks and pending bits.
// May be used on any virtual processor.
// Source: PCI Local Bus 3.0 section 6.8.2.
#pragma once

#include <atomic>
#include <memory>

#include "kernel/base/counter.hpp"
#include "kernel/base/spinlock.hpp"
#include "kernel/guest/device.hpp"
#include "kernel/spec/pci.hpp"

namespace undercroft {

/// Where the guest finds the table and the pending bits: both in one BAR, offsets multiples of 8.
struct MsixPlace {
    u32 vectors;  ///< 1 to 2048
    u8 bar;
    u32 table_offset;
    u32 pending_offset;
};

class MsixTable {
public:
    /// Allocates: while starting up.
    MsixTable(MessageSink& sink, const MsixPlace& place)
        : sink_(sink), place_(place), vectors_(std::make_unique<Vector[]>(place.vectors)) {}

    u32 vectors() const { return place_.vectors; }

    /// The capability's dword at `offset_bytes` from its start, with `next` the place of the next capability.
    u32 read_capability(u16 offset_bytes, u8 next) const;
    /// As `PciFunction::write_config`. Sets enable and function mask; what was pending and is no longer masked goes out.
    void write_capability(u16 offset_bytes, u32 value, u32 mask);
    /// Dword at `offset_bytes` of the table; out of range reads as zero.
    u32 read_entry(u64 offset_bytes) const;
    void write_entry(u64 offset_bytes, u32 value);
    /// Dword at `offset_bytes` of the pending bits.
    u32 read_pending(u64 offset_bytes) const;

    /// Whether the guest has switched MSI-X on.
    bool is_enabled() const { return pci::MsixControl{control_.load(std::memory_order_seq_cst)}.enable(); }
    /// Sends `vector`, or remembers it where it is masked. Dropped while MSI-X is off, and where there is no such
    /// vector.
    void raise(u16 vector);
    /// Forgets masks, messages and pending bits: function reset.
    void reset();
    u64 raised() const;

private:
    struct Vector {
        mutable Spinlock lock;
        u32 words[4] = {0, 0, 0, pci::msix_entry::vector_mask};
        bool pending = false;
        Counter raised;
    };
    bool is_open() const {
        pci::MsixControl control{control_.load(std::memory_order_seq_cst)};
        return control.enable() && !control.function_mask();
    }
    void write_control(u16 value);
    void deliver_pending(Vector& vector);

    MessageSink& sink_;
    MsixPlace place_;
    std::atomic<u16> control_{0};
    std::unique_ptr<Vector[]> vectors_;
};

}  // namespace undercroft
