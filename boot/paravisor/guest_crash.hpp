// What the log says of a guest whose processor cannot go on: enough to tell a guest's own fault from one of ours or of
// the machine below.
#pragma once

#include "kernel/guest/memory.hpp"
#include "kernel/vtl/virtual_processor.hpp"

namespace undercroft::paravisor {

/// Logs the registers of VTL0 on the calling VP, and for each address that the delivery of an exception needs, the
/// entries that the guest's page tables have for it now.
void report_guest_crash(VirtualProcessor& processor, const GuestMemory& memory);

}  // namespace undercroft::paravisor
