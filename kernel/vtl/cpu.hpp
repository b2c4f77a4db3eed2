// What the image's side of the VTL interface needs of the CPU. Declared here, implemented by arch/x86_64/vtl2 in the
// image and by fakes in host tests.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::cpu {

struct HypercallOutcome {
    u64 rax;
    u64 r8;  ///< output of the fast calls that have one
};

/// One hypercall: `input` as TLFS 3.7, parameters in RDX and R8.
HypercallOutcome hypercall(u64 input, u64 rdx, u64 r8);

/// Returns to VTL0 with interrupts on, and comes back with them off when the monitor enters VTL2 again on this
/// processor.
void vtl_return();
/// Sleeps until an interrupt for VTL2 and takes it; for a processor that has no VTL0 to run yet. Interrupts are off
/// before and after.
void wait_for_interrupt();
/// Takes what is pending: interrupts are on for an instant.
void take_pending_interrupts();

u64 read_tsc();
u64 read_msr(u32 msr);
void write_msr(u32 msr, u64 value);

u8 read_port8(u16 port);
void write_port8(u16 port, u8 value);

/// The pointer that this processor was given by `set_current_pointer`.
void* current_pointer();
/// Gives this processor its own pointer (GS base). `pointer` must address a copy of itself.
void set_current_pointer(void* pointer);

}  // namespace undercroft::cpu
