// What CPUID tells VTL0: the CPU's own answer minus what is not virtualised, plus x2APIC, TSC deadline and the
// hypervisor leaves.
// Feature bits are allow lists: a bit that nobody here has thought about is hidden.
// Sources: AMD64 Architecture Programmer's Manual volume 3 appendix E; Intel SDM volume 2 CPUID; TLFS chapter 2.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::monitor {

struct CpuidValues {
    u32 eax = 0, ebx = 0, ecx = 0, edx = 0;
};

/// What the answer depends on besides the CPU.
struct CpuidContext {
    u32 vp_index;
    u32 vp_count;
    u32 apic_id;
    bool apic_enabled;  ///< APIC_BASE
    bool os_xsave;      ///< VTL0's CR4.OSXSAVE
    bool tsc_invariant;
};

/// Components of XCR0 that VTL0 may enable: x87, SSE, AVX, AVX-512.
inline constexpr u64 xcr0_allowed = 0xE7;

/// The answer for `leaf` and `subleaf`. `raw` is what the CPU says for both while VTL0's XCR0 is loaded.
CpuidValues cpuid_for_guest(u32 leaf, u32 subleaf, const CpuidValues& raw, const CpuidContext& context);

/// Bits of an APIC id that name the processor within its package: the smallest n with 2^n >= vp_count.
constexpr u32 topology_shift(u32 vp_count) {
    u32 shift = 0;
    while ((1u << shift) < vp_count) {
        ++shift;
    }
    return shift;
}

}  // namespace undercroft::monitor
