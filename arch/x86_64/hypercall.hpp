// The VMMCALL instruction as the TLFS hypercall convention uses it (RCX input value, RDX and R8 parameters, result in
// RAX), for VTL2.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::arch {

struct HypercallResult {
    u64 rax;
    u64 r8;  ///< output register of the fast calls that have one
};

/// One hypercall. SAFETY: the monitor reads and writes only memory named by the parameters, hence the memory clobber.
inline HypercallResult hypercall(u64 input, u64 rdx, u64 r8) {
    HypercallResult result{};
    register u64 r8_register asm("r8") = r8;
    asm volatile("vmmcall" : "=a"(result.rax), "+r"(r8_register), "+c"(input), "+d"(rdx) : : "memory", "cc");
    result.r8 = r8_register;
    return result;
}

/// VTL return with interrupts on from the instruction's end: comes back when the monitor enters VTL2 again. Interrupts
/// are off before and after.
/// The interrupt shadow of STI covers VMMCALL, so that no interrupt can come between the last look at the queues and
/// the return.
inline void vtl_return(u64 input) {
    asm volatile("sti; vmmcall; cli" : "+c"(input) : : "rax", "rdx", "r8", "memory", "cc");
}

}  // namespace undercroft::arch
