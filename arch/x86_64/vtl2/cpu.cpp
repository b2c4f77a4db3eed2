// The CPU as kernel/vtl/cpu.hpp declares it.
#include "kernel/vtl/cpu.hpp"

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/hypercall.hpp"
#include "arch/x86_64/registers.hpp"
#include "kernel/spec/tlfs.hpp"

namespace undercroft::cpu {

HypercallOutcome hypercall(u64 input, u64 rdx, u64 r8) {
    arch::HypercallResult result = arch::hypercall(input, rdx, r8);
    return {result.rax, result.r8};
}

void vtl_return() {
    arch::vtl_return(tlfs::HypercallInput::simple(static_cast<u16>(tlfs::CallCode::vtl_return)).value);
}

void wait_for_interrupt() { arch::wait_for_interrupt(); }

void take_pending_interrupts() { arch::take_pending_interrupts(); }

u64 read_tsc() { return arch::read_tsc(); }

u64 read_msr(u32 msr) { return arch::read_msr(msr); }

void write_msr(u32 msr, u64 value) { arch::write_msr(msr, value); }

u8 read_port8(u16 port) { return arch::in8(port); }

void write_port8(u16 port, u8 value) { arch::out8(port, value); }

void* current_pointer() {
    // SAFETY: set_current_pointer put GS base at a word that holds this pointer.
    return reinterpret_cast<void*>(arch::read_gs(0));
}

void set_current_pointer(void* pointer) { arch::write_msr(arch::msr::gs_base, reinterpret_cast<u64>(pointer)); }

}  // namespace undercroft::cpu
