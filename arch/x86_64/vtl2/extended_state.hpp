// Vector state of VTL2: all of x87, SSE, AVX and AVX-512 that the CPU has, for the crypto path. The monitor keeps it
// apart from VTL0's.
#pragma once

namespace undercroft::arch {

/// Sets CR0, CR4 and XCR0 of this CPU so that vector instructions work. Before the first of them runs.
void enable_extended_state();

}  // namespace undercroft::arch
