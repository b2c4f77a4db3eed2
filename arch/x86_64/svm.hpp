// The world switch of AMD SVM, and the instructions around it. Source: AMD64 Architecture Programmer's Manual volume
// 2, chapter 15.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::arch {

/// The general registers that VMRUN leaves to software; RAX and RSP are in the VMCB. In the order of the TLFS register
/// page with holes for those two.
struct GuestRegisters {
    u64 rax_unused, rcx, rdx, rbx, rsp_unused, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15;
};
static_assert(sizeof(GuestRegisters) == 128);

/// Runs the guest of the VMCB at physical address `vmcb` until its next exit. Call with interrupts off; they are off
/// again on return, and a physical interrupt that is pending or arrives ends the guest's run and stays pending.
/// `host_vmcb` holds the host's own FS, GS, TR and system call state
/// (made once with `save_host_state`). SAFETY: both are pages of valid VMCBs that nothing else uses meanwhile.
extern "C" void svm_enter(u64 vmcb, GuestRegisters* registers, u64 host_vmcb);

/// Stores this CPU's FS, GS, TR, LDTR and system call state into the VMCB at physical address `host_vmcb`.
inline void save_host_state(u64 host_vmcb) { asm volatile("vmsave %0" : : "a"(host_vmcb) : "memory"); }

}  // namespace undercroft::arch
