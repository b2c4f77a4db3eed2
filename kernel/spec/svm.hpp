// AMD Secure Virtual Machine: the control block (VMCB), intercept bits, exit codes, event injection.
// Left out: encrypted guests, AVIC, branch records. Source: AMD64 Architecture Programmer's Manual volume 2, chapter
// 15 and appendices B and C.
#pragma once

#include <cstddef>

#include "kernel/base/types.hpp"

namespace undercroft::svm {

/// A segment register in the save area; attributes are the descriptor's bits 55:52 and 47:40, packed.
struct Segment {
    u16 selector;
    u16 attributes;  ///< type 3:0, S 4, DPL 6:5, P 7, AVL 8, L 9, D/B 10, G 11
    u32 limit;
    u64 base;
};
static_assert(sizeof(Segment) == 16);

struct ControlArea {
    u16 intercept_cr_read;
    u16 intercept_cr_write;
    u16 intercept_dr_read;
    u16 intercept_dr_write;
    u32 intercept_exceptions;
    u32 intercept_misc1;
    u32 intercept_misc2;
    u32 intercept_misc3;
    u8 reserved18[0x3C - 0x18];
    u16 pause_filter_threshold;
    u16 pause_filter_count;
    u64 io_permission_address;
    u64 msr_permission_address;
    u64 tsc_offset;
    u32 asid;
    u8 tlb_control;
    u8 reserved5d[3];
    u64 virtual_interrupt;  ///< see `virtual_interrupt`
    u64 interrupt_state;    ///< bit 0: interrupt shadow
    u64 exit_code;
    u64 exit_info1;
    u64 exit_info2;
    u64 exit_interrupt_info;
    u64 nested_control;  ///< bit 0: nested paging
    u64 avic_bar;
    u64 ghcb;
    u64 event_injection;
    u64 nested_cr3;
    u64 virtualization_extensions;
    u32 clean_bits;
    u32 reservedc4;
    u64 next_rip;
    u8 fetched_byte_count;
    u8 fetched_bytes[15];
    u8 reservede0[0x400 - 0xE0];
};
static_assert(sizeof(ControlArea) == 0x400 && offsetof(ControlArea, io_permission_address) == 0x40 &&
              offsetof(ControlArea, exit_code) == 0x70 && offsetof(ControlArea, event_injection) == 0xA8 &&
              offsetof(ControlArea, fetched_byte_count) == 0xD0);

struct SaveArea {
    Segment es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
    u8 reserveda0[0xCB - 0xA0];
    u8 cpl;
    u8 reservedcc[4];
    u64 efer;
    u8 reservedd8[0x148 - 0xD8];
    u64 cr4, cr3, cr0, dr7, dr6, rflags, rip;
    u8 reserved180[0x1D8 - 0x180];
    u64 rsp;
    u8 reserved1e0[0x1F8 - 0x1E0];
    u64 rax, star, lstar, cstar, sfmask, kernel_gs_base, sysenter_cs, sysenter_esp, sysenter_eip, cr2;
    u8 reserved248[0x268 - 0x248];
    u64 pat, debug_control;
    u8 reserved278[0xC00 - 0x278];
};
static_assert(sizeof(SaveArea) == 0xC00 && offsetof(SaveArea, cpl) == 0xCB && offsetof(SaveArea, cr4) == 0x148 &&
              offsetof(SaveArea, rsp) == 0x1D8 && offsetof(SaveArea, rax) == 0x1F8 && offsetof(SaveArea, pat) == 0x268);

struct Vmcb {
    ControlArea control;
    SaveArea save;
};
static_assert(sizeof(Vmcb) == page_size);

/// Bits of ControlArea::intercept_misc1.
namespace intercept1 {
inline constexpr u32 interrupt = 1u << 0;
inline constexpr u32 nmi = 1u << 1;
inline constexpr u32 smi = 1u << 2;
inline constexpr u32 init = 1u << 3;
inline constexpr u32 virtual_interrupt = 1u << 4;
inline constexpr u32 rdpmc = 1u << 15;
inline constexpr u32 cpuid = 1u << 18;
inline constexpr u32 rsm = 1u << 19;
inline constexpr u32 iret = 1u << 20;
inline constexpr u32 invd = 1u << 22;
inline constexpr u32 pause = 1u << 23;
inline constexpr u32 hlt = 1u << 24;
inline constexpr u32 invlpga = 1u << 26;
inline constexpr u32 io = 1u << 27;
inline constexpr u32 msr = 1u << 28;
inline constexpr u32 task_switch = 1u << 29;
inline constexpr u32 ferr_freeze = 1u << 30;
inline constexpr u32 shutdown = 1u << 31;
}  // namespace intercept1

/// Bits of ControlArea::intercept_misc2.
namespace intercept2 {
inline constexpr u32 vmrun = 1u << 0;
inline constexpr u32 vmmcall = 1u << 1;
inline constexpr u32 vmload = 1u << 2;
inline constexpr u32 vmsave = 1u << 3;
inline constexpr u32 stgi = 1u << 4;
inline constexpr u32 clgi = 1u << 5;
inline constexpr u32 skinit = 1u << 6;
inline constexpr u32 monitor = 1u << 10;
inline constexpr u32 mwait = 1u << 11;
inline constexpr u32 mwait_conditional = 1u << 12;
inline constexpr u32 xsetbv = 1u << 13;
inline constexpr u32 rdpru = 1u << 14;
}  // namespace intercept2

enum ExitCode : u64 {
    exit_dr_write_first = 0x30,
    exit_dr_write_last = 0x3F,
    exit_exception_first = 0x40,
    exit_exception_last = 0x5F,
    exit_interrupt = 0x60,
    exit_nmi = 0x61,
    exit_smi = 0x62,
    exit_init = 0x63,
    exit_virtual_interrupt = 0x64,
    exit_rdpmc = 0x6F,
    exit_cpuid = 0x72,
    exit_rsm = 0x73,
    exit_iret = 0x74,
    exit_invd = 0x76,
    exit_pause = 0x77,
    exit_hlt = 0x78,
    exit_invlpga = 0x7A,
    exit_io = 0x7B,
    exit_msr = 0x7C,
    exit_task_switch = 0x7D,
    exit_shutdown = 0x7F,
    exit_vmrun = 0x80,
    exit_vmmcall = 0x81,
    exit_vmload = 0x82,
    exit_vmsave = 0x83,
    exit_stgi = 0x84,
    exit_clgi = 0x85,
    exit_skinit = 0x86,
    exit_monitor = 0x8A,
    exit_mwait = 0x8B,
    exit_mwait_conditional = 0x8C,
    exit_xsetbv = 0x8D,
    exit_rdpru = 0x8E,
    exit_nested_page_fault = 0x400,
    exit_invalid = ~u64{0},
};

/// Fields of ControlArea::virtual_interrupt.
namespace virtual_interrupt {
inline constexpr u64 task_priority_mask = 0xFF;  ///< V_TPR: CR8 in bits 3:0
inline constexpr u64 pending = u64{1} << 8;      ///< V_IRQ
inline constexpr unsigned priority_shift = 16;   ///< V_INTR_PRIO, 4 bits
inline constexpr u64 ignore_task_priority = u64{1} << 20;
inline constexpr u64 masking = u64{1} << 24;  ///< V_INTR_MASKING
}  // namespace virtual_interrupt

/// ControlArea::tlb_control.
inline constexpr u8 tlb_keep = 0;
inline constexpr u8 tlb_flush_all = 1;
inline constexpr u8 tlb_flush_asid = 3;  ///< needs CPUID 8000000Ah EDX bit 6

/// EVENTINJ and EXITINTINFO.
enum class EventType : u8 { external_interrupt = 0, nmi = 2, exception = 3, software_interrupt = 4 };
struct Event {
    u64 raw = 0;
    static constexpr u64 valid_bit = u64{1} << 31;
    static constexpr u64 error_code_bit = u64{1} << 11;
    constexpr bool valid() const { return (raw & valid_bit) != 0; }
    constexpr u8 vector() const { return static_cast<u8>(raw); }
    constexpr EventType type() const { return static_cast<EventType>((raw >> 8) & 7); }
    constexpr bool has_error_code() const { return (raw & error_code_bit) != 0; }
    constexpr u32 error_code() const { return static_cast<u32>(raw >> 32); }
    static constexpr Event make(EventType type, u8 vector) {
        return {valid_bit | (u64{static_cast<u8>(type)} << 8) | vector};
    }
    static constexpr Event make(EventType type, u8 vector, u32 error_code) {
        return {make(type, vector).raw | error_code_bit | (u64{error_code} << 32)};
    }
};

/// EXITINFO1 of an I/O exit; EXITINFO2 is the RIP behind the instruction.
struct IoExit {
    u64 raw;
    constexpr bool is_in() const { return (raw & 1) != 0; }
    constexpr bool is_string() const { return (raw & 4) != 0; }
    constexpr bool has_rep() const { return (raw & 8) != 0; }
    constexpr u8 size_bytes() const { return static_cast<u8>((raw >> 4) & 7); }
    constexpr u16 port() const { return static_cast<u16>(raw >> 16); }
};

/// EXITINFO1 of a nested page fault; EXITINFO2 is the guest physical address.
namespace nested_fault {
inline constexpr u64 present = u64{1} << 0;
inline constexpr u64 write = u64{1} << 1;
inline constexpr u64 execute = u64{1} << 4;
inline constexpr u64 in_table_walk = u64{1} << 33;
}  // namespace nested_fault

/// CPUID Fn8000_000A EDX.
namespace feature {
inline constexpr u32 nested_paging = 1u << 0;
inline constexpr u32 next_rip = 1u << 3;
inline constexpr u32 flush_by_asid = 1u << 6;
inline constexpr u32 decode_assists = 1u << 7;
}  // namespace feature

inline constexpr usize io_permission_bytes = 3 * page_size;
inline constexpr usize msr_permission_bytes = 2 * page_size;
inline constexpr u64 vm_cr_svm_disable = u64{1} << 4;

}  // namespace undercroft::svm
