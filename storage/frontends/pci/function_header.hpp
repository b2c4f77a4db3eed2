// The part of configuration space that all emulated functions have alike: identity, command, status, interrupt line. May
// be used on any virtual processor. Left out: base addresses and decode bits, which the host bridge keeps.
// Source: PCI Local Bus 3.0 section 6.2.
#pragma once

#include <atomic>

#include "kernel/spec/pci.hpp"

namespace undercroft {

struct PciIdentity {
    u16 vendor_id;
    u16 device_id;
    u32 class_code;  ///< class, subclass, programming interface
    u8 revision = 0;
    u16 subsystem_vendor_id;
    u16 subsystem_id;
};

class PciFunctionHeader {
public:
    /// `first_capability`: its place in configuration space, or 0.
    PciFunctionHeader(const PciIdentity& identity, u8 first_capability)
        : identity_(identity), first_capability_(first_capability) {}

    /// The dword at `offset_bytes`, below 40h; what no field is in reads as zero.
    u32 read(u16 offset_bytes) const;
    /// As `PciFunction::write_config`; writes to other places are dropped.
    void write(u16 offset_bytes, u32 value, u32 mask);
    /// Function reset.
    void reset();

private:
    const PciIdentity identity_;
    const u8 first_capability_;
    std::atomic<u16> command_{0};
    std::atomic<u8> interrupt_line_{0};
};

}  // namespace undercroft
