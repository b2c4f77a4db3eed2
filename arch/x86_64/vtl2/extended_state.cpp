// Source: AMD64 Architecture Programmer's Manual volume 2, section 11.5 (XSAVE), CPUID leaf 0Dh.
#include "arch/x86_64/vtl2/extended_state.hpp"

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"

namespace undercroft::arch {

namespace {
constexpr u32 cpuid_xsave = u32{1} << 26;  // leaf 1, ECX
constexpr u64 x87_sse_avx = 0x07;
constexpr u64 avx512 = 0xE0;  // all three components or none

void write_cr0(u64 value) { asm volatile("mov %0, %%cr0" : : "r"(value) : "memory"); }
}  // namespace

void enable_extended_state() {
    write_cr0((read_cr0() & ~(cr0_bit::emulation | cr0_bit::task_switched)) | cr0_bit::monitor_coprocessor |
              cr0_bit::numeric_error | cr0_bit::write_protect);
    u64 cr4 = read_cr4() | cr4_bit::fxsave | cr4_bit::simd_exceptions;
    if ((cpuid(1).ecx & cpuid_xsave) == 0) {
        write_cr4(cr4);
        return;
    }
    write_cr4(cr4 | cr4_bit::xsave);
    u64 offered = cpuid(0x0D).eax;
    u64 wanted = offered & x87_sse_avx;
    if ((offered & avx512) == avx512) {
        wanted |= avx512;
    }
    write_xcr0(wanted);
}

}  // namespace undercroft::arch
