// CPUID for VTL0: see cpuid_policy.hpp.
#include "kernel/monitor/cpuid_policy.hpp"

#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft::monitor {

namespace {

constexpr u32 bit(unsigned n) { return 1u << n; }

constexpr u32 basic_leaf_max = 0xD;
constexpr u32 extended_leaf_first = 0x8000'0000;
constexpr u32 extended_leaf_max = 0x8000'001D;
constexpr u32 hypervisor_leaf_first = 0x4000'0000;
constexpr u32 hypervisor_leaf_max = 0x4000'0006;

// Leaf 1 ECX: SSE3 PCLMULQDQ SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND
constexpr u32 leaf1_ecx_allowed = bit(0) | bit(1) | bit(9) | bit(12) | bit(13) | bit(17) | bit(19) | bit(20) | bit(22) |
                                  bit(23) | bit(25) | bit(26) | bit(28) | bit(29) | bit(30);
constexpr u32 leaf1_ecx_x2apic = bit(21);
constexpr u32 leaf1_ecx_tsc_deadline = bit(24);
constexpr u32 leaf1_ecx_os_xsave = bit(27);
constexpr u32 leaf1_ecx_hypervisor = bit(31);
// Leaf 1 EDX: all but machine check architecture, serial number, debug store, thermal; APIC and HTT are computed.
constexpr u32 leaf1_edx_allowed = 0x0783'BDFF;
constexpr u32 leaf1_edx_apic = bit(9);
constexpr u32 leaf1_edx_threads = bit(28);
// Leaf 7 EBX: FSGSBASE BMI1 AVX2 SMEP BMI2 ERMS INVPCID AVX512F/DQ RDSEED ADX SMAP IFMA CLFLUSHOPT CLWB AVX512PF/ER/CD
// SHA AVX512BW/VL
constexpr u32 leaf7_ebx_allowed = bit(0) | bit(3) | bit(5) | bit(7) | bit(8) | bit(9) | bit(10) | bit(16) | bit(17) |
                                  bit(18) | bit(19) | bit(20) | bit(21) | bit(23) | bit(24) | bit(26) | bit(27) |
                                  bit(28) | bit(29) | bit(30) | bit(31);
// Leaf 7 ECX: AVX512VBMI UMIP VBMI2 GFNI VAES VPCLMULQDQ VNNI BITALG VPOPCNTDQ RDPID
constexpr u32 leaf7_ecx_allowed =
    bit(1) | bit(2) | bit(6) | bit(8) | bit(9) | bit(10) | bit(11) | bit(12) | bit(14) | bit(22);
// Leaf 7 EDX: FSRM SERIALIZE
constexpr u32 leaf7_edx_allowed = bit(4) | bit(14);
// Leaf 7.1 EAX: AVX-VNNI AVX512-BF16
constexpr u32 leaf7_1_eax_allowed = bit(4) | bit(5);
// Leaf Dh.1 EAX: XSAVEOPT XSAVEC XGETBV1
constexpr u32 leaf_d1_eax_allowed = bit(0) | bit(1) | bit(2);
// 80000001h ECX: LAHF AltMovCr8 ABM SSE4A MisAlignSse 3DNowPrefetch XOP FMA4 TBM
constexpr u32 extended1_ecx_allowed = bit(0) | bit(4) | bit(5) | bit(6) | bit(7) | bit(8) | bit(11) | bit(16) | bit(21);
constexpr u32 extended1_ecx_multi_core = bit(1);
constexpr u32 extended7_edx_invariant_tsc = bit(8);
// 80000008h EBX: CLZERO XSaveErPtr WBNOINVD
constexpr u32 extended8_ebx_allowed = bit(0) | bit(2) | bit(9);
constexpr u32 leaf6_eax_always_running_timer = bit(2);

// TLFS 2.4.4: privileges of the partition.
constexpr u32 privilege_reference_counter = bit(1);
constexpr u32 privilege_apic_msrs = bit(4);
constexpr u32 privilege_hypercall_msrs = bit(5);
constexpr u32 privilege_vp_index = bit(6);
constexpr u32 privilege_reference_tsc = bit(9);
constexpr u32 privilege_frequency_msrs = bit(11);
constexpr u32 feature_frequency_msrs = bit(8);
constexpr u32 hint_apic_msrs = bit(3);
constexpr u32 hint_relaxed_timing = bit(5);

CpuidValues hypervisor_leaf(u32 leaf, const CpuidContext& context) {
    switch (leaf - hypervisor_leaf_first) {
    case 0:
        return {hypervisor_leaf_max, 0x7263'694D, 0x666F'736F, 0x7648'2074};  // "Microsoft Hv"
    case 1:
        return {0x3123'7648};  // "Hv#1"
    case 2:
        return {0, 0x000A'0000};
    case 3:
        return {privilege_reference_counter | privilege_apic_msrs | privilege_hypercall_msrs | privilege_vp_index |
                    privilege_reference_tsc | privilege_frequency_msrs,
                0, 0, feature_frequency_msrs};
    case 4:
        return {hint_apic_msrs | hint_relaxed_timing, 0xFFFF'FFFF};  // never notify of long spin waits
    case 5:
        return {vtl2::vps_max, context.vp_count};
    default:
        return {};
    }
}

CpuidValues leaf_1(CpuidValues raw, const CpuidContext& context) {
    raw.ebx = (raw.ebx & 0x0000'FFFF) | (context.vp_count << 16) | (context.apic_id << 24);
    raw.ecx = (raw.ecx & leaf1_ecx_allowed) | leaf1_ecx_x2apic | leaf1_ecx_tsc_deadline | leaf1_ecx_hypervisor |
              (context.os_xsave ? leaf1_ecx_os_xsave : 0);
    raw.edx = (raw.edx & leaf1_edx_allowed & ~leaf1_edx_apic) | (context.apic_enabled ? leaf1_edx_apic : 0) |
              (context.vp_count > 1 ? leaf1_edx_threads : 0);
    return raw;
}

CpuidValues leaf_7(u32 subleaf, const CpuidValues& raw) {
    switch (subleaf) {
    case 0:
        return {raw.eax < 1 ? raw.eax : 1, raw.ebx & leaf7_ebx_allowed, raw.ecx & leaf7_ecx_allowed,
                raw.edx & leaf7_edx_allowed};
    case 1:
        return {raw.eax & leaf7_1_eax_allowed};
    default:
        return {};
    }
}

/// Every VP is a core of one package.
CpuidValues leaf_topology(u32 subleaf, const CpuidContext& context) {
    constexpr u32 type_thread = 1;
    constexpr u32 type_core = 2;
    switch (subleaf) {
    case 0:
        return {0, 1, (type_thread << 8) | 0, context.apic_id};
    case 1:
        return {topology_shift(context.vp_count), context.vp_count, (type_core << 8) | 1, context.apic_id};
    default:
        return {0, 0, subleaf & 0xFF, context.apic_id};
    }
}

CpuidValues leaf_xsave(u32 subleaf, const CpuidValues& raw) {
    if (subleaf == 0) {
        return {raw.eax & static_cast<u32>(xcr0_allowed), raw.ebx, raw.ecx, 0};
    }
    if (subleaf == 1) {
        return {raw.eax & leaf_d1_eax_allowed, raw.ebx, 0, 0};
    }
    return subleaf < 32 && (xcr0_allowed & (u64{1} << subleaf)) != 0 ? raw : CpuidValues{};
}

CpuidValues extended_leaf(u32 leaf, CpuidValues raw, const CpuidContext& context) {
    switch (leaf - extended_leaf_first) {
    case 0x0:
        raw.eax = raw.eax < extended_leaf_max ? raw.eax : extended_leaf_max;
        return raw;
    case 0x1:
        raw.ecx = (raw.ecx & extended1_ecx_allowed) | (context.vp_count > 1 ? extended1_ecx_multi_core : 0);
        raw.edx = (raw.edx & ~leaf1_edx_apic) | (context.apic_enabled ? leaf1_edx_apic : 0);
        return raw;
    case 0x2:
    case 0x3:
    case 0x4:
    case 0x5:
    case 0x6:
        return raw;
    case 0x7:
        return {0, 0, 0, context.tsc_invariant ? raw.edx & extended7_edx_invariant_tsc : 0};
    case 0x8:
        return {raw.eax, raw.ebx & extended8_ebx_allowed,
                (topology_shift(context.vp_count) << 12) | (context.vp_count - 1), 0};
    case 0x19:
        return raw;
    default:
        return {};
    }
}

}  // namespace

CpuidValues cpuid_for_guest(u32 leaf, u32 subleaf, const CpuidValues& raw, const CpuidContext& context) {
    if (leaf >= hypervisor_leaf_first && leaf <= hypervisor_leaf_max) {
        return hypervisor_leaf(leaf, context);
    }
    if (leaf >= extended_leaf_first && leaf <= extended_leaf_max) {
        return extended_leaf(leaf, raw, context);
    }
    switch (leaf) {
    case 0x0:
        return {raw.eax < basic_leaf_max ? raw.eax : basic_leaf_max, raw.ebx, raw.ecx, raw.edx};
    case 0x1:
        return leaf_1(raw, context);
    case 0x2:
        return raw;
    case 0x4: {
        // Cache parameters; the core count in EAX 31:26 must fit the topology.
        CpuidValues values = raw;
        if ((raw.eax & 0x1F) != 0) {
            values.eax = (raw.eax & 0x3FFF) | ((context.vp_count - 1) << 26);
        }
        return values;
    }
    case 0x6:
        return {leaf6_eax_always_running_timer};
    case 0x7:
        return leaf_7(subleaf, raw);
    case 0xB:
        return leaf_topology(subleaf, context);
    case 0xD:
        return leaf_xsave(subleaf, raw);
    default:
        return {};
    }
}

}  // namespace undercroft::monitor
