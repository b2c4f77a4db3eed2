// Single instructions of the CPU that C++ has no word for: ports, MSRs, control registers, time, waiting. Each is one
// line of assembly.
// Left out: virtualization (svm.hpp), descriptor tables (interrupts.hpp). Source: AMD64 Architecture Programmer's
// Manual, volume 3.
#pragma once

#include "kernel/base/types.hpp"

// SAFETY (all of this file): the instructions have no effect on memory that C++ knows of, except where "memory" is
// clobbered.
namespace undercroft::arch {

struct CpuidResult {
    u32 eax, ebx, ecx, edx;
};
/// CPUID of `leaf` and `subleaf` as this CPU answers.
inline CpuidResult cpuid(u32 leaf, u32 subleaf = 0) {
    CpuidResult result{};
    asm volatile("cpuid"
                 : "=a"(result.eax), "=b"(result.ebx), "=c"(result.ecx), "=d"(result.edx)
                 : "a"(leaf), "c"(subleaf));
    return result;
}

inline u64 read_msr(u32 msr) {
    u32 low, high;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return low | (u64{high} << 32);
}
inline void write_msr(u32 msr, u64 value) {
    asm volatile("wrmsr" : : "c"(msr), "a"(static_cast<u32>(value)), "d"(static_cast<u32>(value >> 32)) : "memory");
}

/// The time stamp counter; not ordered against other instructions.
inline u64 read_tsc() {
    u32 low, high;
    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return low | (u64{high} << 32);
}

inline u8 in8(u16 port) {
    u8 value;
    asm volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
inline u16 in16(u16 port) {
    u16 value;
    asm volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
inline u32 in32(u16 port) {
    u32 value;
    asm volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}
inline void out8(u16 port, u8 value) { asm volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory"); }
inline void out16(u16 port, u16 value) { asm volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory"); }
inline void out32(u16 port, u32 value) { asm volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory"); }

inline u64 read_cr0() {
    u64 value;
    asm volatile("mov %%cr0, %0" : "=r"(value));
    return value;
}
inline u64 read_cr2() {
    u64 value;
    asm volatile("mov %%cr2, %0" : "=r"(value));
    return value;
}
inline void write_cr2(u64 value) { asm volatile("mov %0, %%cr2" : : "r"(value)); }
inline u64 read_cr3() {
    u64 value;
    asm volatile("mov %%cr3, %0" : "=r"(value));
    return value;
}
/// Switches page tables and drops every non-global translation.
inline void write_cr3(u64 value) { asm volatile("mov %0, %%cr3" : : "r"(value) : "memory"); }
inline u64 read_cr4() {
    u64 value;
    asm volatile("mov %%cr4, %0" : "=r"(value));
    return value;
}
inline void write_cr4(u64 value) { asm volatile("mov %0, %%cr4" : : "r"(value) : "memory"); }
/// Drops the translation of one page.
inline void invalidate_page(u64 address) { asm volatile("invlpg (%0)" : : "r"(address) : "memory"); }

inline u64 read_xcr0() {
    u32 low, high;
    asm volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low | (u64{high} << 32);
}
inline void write_xcr0(u64 value) {
    asm volatile("xsetbv" : : "c"(0), "a"(static_cast<u32>(value)), "d"(static_cast<u32>(value >> 32)) : "memory");
}
/// Stores the enabled components of `mask` into `area` (64-byte aligned, as large as CPUID leaf 0Dh says).
inline void save_extended_state(void* area, u64 mask) {
    asm volatile("xsave64 (%0)"
                 :
                 : "r"(area), "a"(static_cast<u32>(mask)), "d"(static_cast<u32>(mask >> 32))
                 : "memory");
}
inline void restore_extended_state(const void* area, u64 mask) {
    asm volatile("xrstor64 (%0)"
                 :
                 : "r"(area), "a"(static_cast<u32>(mask)), "d"(static_cast<u32>(mask >> 32))
                 : "memory");
}

/// Debug address register `index`, 0 to 3.
inline u64 read_debug_register(u32 index) {
    u64 value = 0;
    switch (index & 3) {
    case 0:
        asm volatile("mov %%dr0, %0" : "=r"(value));
        break;
    case 1:
        asm volatile("mov %%dr1, %0" : "=r"(value));
        break;
    case 2:
        asm volatile("mov %%dr2, %0" : "=r"(value));
        break;
    default:
        asm volatile("mov %%dr3, %0" : "=r"(value));
        break;
    }
    return value;
}
inline void write_debug_register(u32 index, u64 value) {
    switch (index & 3) {
    case 0:
        asm volatile("mov %0, %%dr0" : : "r"(value));
        break;
    case 1:
        asm volatile("mov %0, %%dr1" : : "r"(value));
        break;
    case 2:
        asm volatile("mov %0, %%dr2" : : "r"(value));
        break;
    default:
        asm volatile("mov %0, %%dr3" : : "r"(value));
        break;
    }
}

inline void disable_interrupts() { asm volatile("cli" : : : "memory"); }
inline void enable_interrupts() { asm volatile("sti" : : : "memory"); }
/// Takes what is pending: interrupts are on for the length of one instruction.
inline void take_pending_interrupts() { asm volatile("sti; nop; cli" : : : "memory"); }
/// Sleeps until an interrupt and takes it. Interrupts are off before and after; one that is pending already ends the
/// sleep.
inline void wait_for_interrupt() { asm volatile("sti; hlt; cli" : : : "memory"); }
/// Sleeps until an interrupt, takes it, and leaves interrupts on.
inline void enable_interrupts_and_wait() { asm volatile("sti; hlt" : : : "memory"); }
inline void halt() { asm volatile("hlt" : : : "memory"); }
inline void pause() { asm volatile("pause"); }
inline bool interrupts_enabled() {
    u64 flags;
    asm volatile("pushfq; pop %0" : "=r"(flags));
    return (flags & 0x200) != 0;
}

/// The 64-bit word at `offset` from GS, where an image keeps a pointer to its per-CPU data.
inline u64 read_gs(u64 offset) {
    u64 value;
    asm volatile("movq %%gs:(%1), %0" : "=r"(value) : "r"(offset));
    return value;
}

}  // namespace undercroft::arch
