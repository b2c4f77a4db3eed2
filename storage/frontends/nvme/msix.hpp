// The MSI-X table of the function: vectors as the guest wrote them, masks and pending bits. May be used on any virtual
// processor.
// Source: PCI Local Bus 3.0 section 6.8.2.
#pragma once

#include <atomic>

#include "kernel/base/spinlock.hpp"
#include "kernel/guest/device.hpp"
#include "kernel/spec/pci.hpp"
#include "storage/frontends/nvme/counters.hpp"
#include "storage/frontends/nvme/limits.hpp"

namespace undercroft::nvme {

class MsixTable {
public:
    explicit MsixTable(MessageSink& sink) : sink_(sink) {}

    /// Message control of the capability, as read.
    u16 control() const;
    /// Sets enable and function mask; what was pending and is no longer masked goes out.
    void write_control(u16 value);
    /// Dword at `offset_bytes` of the table; out of range reads as zero.
    u32 read_entry(u64 offset_bytes) const;
    void write_entry(u64 offset_bytes, u32 value);
    /// Dword at `offset_bytes` of the pending bits.
    u32 read_pending(u64 offset_bytes) const;

    /// Sends `vector`, or remembers it where it is masked. Dropped while MSI-X is off.
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
    void deliver_pending(Vector& vector);

    MessageSink& sink_;
    std::atomic<u16> control_{0};
    Vector vectors_[vectors_max];
};

}  // namespace undercroft::nvme
