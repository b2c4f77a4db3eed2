// Which ports and MSRs a level touches without an exit: the SVM permission maps. A set bit is an exit.
// Source: AMD64 Architecture Programmer's Manual volume 2, sections 15.10 and 15.11.
#pragma once

#include "kernel/spec/svm.hpp"

namespace undercroft::monitor {

struct alignas(page_size) PermissionMaps {
    u8 io[svm::io_permission_bytes];
    u8 msr[svm::msr_permission_bytes];

    void intercept_everything();
    void allow_ports(u16 first, u16 count);
    void allow_msr_read(u32 msr) { clear_msr(msr, 1); }
    void allow_msr(u32 msr) { clear_msr(msr, 3); }
    bool intercepts_port(u16 port) const { return (io[port / 8] >> (port % 8)) & 1; }
    /// Whether reading (bit 0) or writing (bit 1) of `msr` exits, as the CPU looks it up.
    u8 msr_bits(u32 msr) const;

private:
    void clear_msr(u32 msr, u8 bits);
};

extern constinit PermissionMaps guest_permissions;
extern constinit PermissionMaps image_permissions;

/// Fills both: VTL0 has no port, and only the MSRs that the world switch exchanges; VTL2 has COM1 and its control port besides.
void initialise_permissions();

}  // namespace undercroft::monitor
