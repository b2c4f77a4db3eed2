// Numbers of control register bits, MSRs and exceptions that more than one file uses. Source: AMD64 Architecture
// Programmer's Manual, volume 2.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::arch {

namespace cr0_bit {
inline constexpr u64 protection = u64{1} << 0;           ///< PE
inline constexpr u64 monitor_coprocessor = u64{1} << 1;  ///< MP
inline constexpr u64 emulation = u64{1} << 2;            ///< EM
inline constexpr u64 task_switched = u64{1} << 3;        ///< TS
inline constexpr u64 extension_type = u64{1} << 4;       ///< ET
inline constexpr u64 numeric_error = u64{1} << 5;        ///< NE
inline constexpr u64 write_protect = u64{1} << 16;       ///< WP
inline constexpr u64 alignment_mask = u64{1} << 18;      ///< AM
inline constexpr u64 not_write_through = u64{1} << 29;   ///< NW
inline constexpr u64 cache_disable = u64{1} << 30;       ///< CD
inline constexpr u64 paging = u64{1} << 31;              ///< PG
}  // namespace cr0_bit

namespace cr4_bit {
inline constexpr u64 physical_address_extension = u64{1} << 5;  ///< PAE
inline constexpr u64 global_pages = u64{1} << 7;                ///< PGE
inline constexpr u64 fxsave = u64{1} << 9;                      ///< OSFXSR
inline constexpr u64 simd_exceptions = u64{1} << 10;            ///< OSXMMEXCPT
inline constexpr u64 xsave = u64{1} << 18;                      ///< OSXSAVE
inline constexpr u64 protection_keys = u64{1} << 22;            ///< PKE
}  // namespace cr4_bit

namespace efer_bit {
inline constexpr u64 system_call = u64{1} << 0;        ///< SCE
inline constexpr u64 long_mode_enable = u64{1} << 8;   ///< LME
inline constexpr u64 long_mode_active = u64{1} << 10;  ///< LMA
inline constexpr u64 no_execute = u64{1} << 11;        ///< NXE
inline constexpr u64 secure_vm = u64{1} << 12;         ///< SVME
inline constexpr u64 fast_fxsave = u64{1} << 14;       ///< FFXSR
}  // namespace efer_bit

namespace rflags_bit {
inline constexpr u64 reserved_one = u64{1} << 1;
inline constexpr u64 trap = u64{1} << 8;       ///< TF
inline constexpr u64 interrupt = u64{1} << 9;  ///< IF
inline constexpr u64 resume = u64{1} << 16;    ///< RF
inline constexpr u64 virtual_8086 = u64{1} << 17;
/// The bits that exist; the rest reads as zero.
inline constexpr u64 defined = 0x3F'7FD5;
}  // namespace rflags_bit

namespace msr {
inline constexpr u32 tsc = 0x10;
inline constexpr u32 apic_base = 0x1B;
inline constexpr u32 feature_control = 0x3A;
inline constexpr u32 speculation_control = 0x48;
inline constexpr u32 patch_level = 0x8B;
inline constexpr u32 mtrr_capability = 0xFE;
inline constexpr u32 sysenter_cs = 0x174;
inline constexpr u32 sysenter_esp = 0x175;
inline constexpr u32 sysenter_eip = 0x176;
inline constexpr u32 machine_check_capability = 0x179;
inline constexpr u32 machine_check_status = 0x17A;
inline constexpr u32 machine_check_control = 0x17B;
inline constexpr u32 misc_enable = 0x1A0;
inline constexpr u32 debug_control = 0x1D9;
inline constexpr u32 mtrr_variable_first = 0x200;
inline constexpr u32 mtrr_fixed_64k = 0x250;
inline constexpr u32 mtrr_fixed_16k = 0x258;
inline constexpr u32 mtrr_fixed_4k = 0x268;
inline constexpr u32 pat = 0x277;
inline constexpr u32 mtrr_default_type = 0x2FF;
inline constexpr u32 tsc_deadline = 0x6E0;
inline constexpr u32 x2apic_first = 0x800;
inline constexpr u32 x2apic_last = 0x8FF;
inline constexpr u32 efer = 0xC000'0080;
inline constexpr u32 star = 0xC000'0081;
inline constexpr u32 lstar = 0xC000'0082;
inline constexpr u32 cstar = 0xC000'0083;
inline constexpr u32 sfmask = 0xC000'0084;
inline constexpr u32 fs_base = 0xC000'0100;
inline constexpr u32 gs_base = 0xC000'0101;
inline constexpr u32 kernel_gs_base = 0xC000'0102;
inline constexpr u32 tsc_aux = 0xC000'0103;
inline constexpr u32 syscfg = 0xC001'0010;
inline constexpr u32 hwcr = 0xC001'0015;
inline constexpr u32 top_mem = 0xC001'001A;
inline constexpr u32 top_mem2 = 0xC001'001D;
inline constexpr u32 nb_cfg = 0xC001'001F;
inline constexpr u32 vm_cr = 0xC001'0114;
inline constexpr u32 vm_hsave_pa = 0xC001'0117;
}  // namespace msr

/// Exception vectors.
enum class Exception : u8 {
    divide = 0,
    debug = 1,
    nmi = 2,
    breakpoint = 3,
    overflow = 4,
    invalid_opcode = 6,
    device_not_available = 7,
    double_fault = 8,
    stack = 12,
    general_protection = 13,
    page_fault = 14,
    alignment_check = 17,
    machine_check = 18,
};

/// Power-on value of the page attribute table.
inline constexpr u64 pat_reset = 0x0007'0406'0007'0406;

}  // namespace undercroft::arch
