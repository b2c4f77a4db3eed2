// Hyper-V Top-Level Functional Specification (TLFS): hypercall codes, status codes, register names and synthetic MSRs that monitor and VTL2 share.
// Layouts of messages and pages are in tlfs_messages.hpp. Names are ours, the specification's name stands beside each.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::tlfs {

/// Virtual trust levels (TLFS 15). The guest is VTL0, the image VTL2; VTL1 is not offered.
inline constexpr u8 vtl0 = 0;
inline constexpr u8 vtl2 = 2;

/// HV_PARTITION_ID_SELF.
inline constexpr u64 partition_self = ~u64{0};
/// HV_VP_INDEX_SELF.
inline constexpr u32 vp_self = 0xFFFF'FFFE;

/// Hypercall call codes (TLFS appendix A).
enum class CallCode : u16 {
    modify_vtl_protection_mask = 0x000C,  // HvCallModifyVtlProtectionMask
    enable_partition_vtl = 0x000D,        // HvCallEnablePartitionVtl
    enable_vp_vtl = 0x000F,               // HvCallEnableVpVtl
    vtl_call = 0x0011,                    // HvCallVtlCall
    vtl_return = 0x0012,                  // HvCallVtlReturn
    get_vp_registers = 0x0050,            // HvCallGetVpRegisters
    set_vp_registers = 0x0051,            // HvCallSetVpRegisters
    assert_virtual_interrupt = 0x0094,    // HvCallAssertVirtualInterrupt
    start_virtual_processor = 0x0099,     // HvCallStartVirtualProcessor
};

/// The hypercall input value in RCX (TLFS 3.7). RDX holds the input page's GPA and R8 the output page's; in a fast call they hold the input itself.
struct HypercallInput {
    u64 value;
    constexpr u16 call_code() const { return static_cast<u16>(value); }
    constexpr bool is_fast() const { return (value >> 16) & 1; }
    constexpr u16 rep_count() const { return (value >> 32) & 0xFFF; }
    constexpr u16 rep_start() const { return (value >> 48) & 0xFFF; }
    static constexpr HypercallInput simple(u16 code) { return {code}; }
    static constexpr HypercallInput fast(u16 code) { return {code | (u64{1} << 16)}; }
    static constexpr HypercallInput rep(u16 code, u16 count) { return {code | (u64{count} << 32)}; }
};

/// Hypercall status codes (TLFS appendix B); in bits 15:0 of RAX, completed reps in bits 43:32.
enum class Status : u16 {
    success = 0x0000,                  // HV_STATUS_SUCCESS
    invalid_hypercall_code = 0x0002,   // HV_STATUS_INVALID_HYPERCALL_CODE
    invalid_hypercall_input = 0x0003,  // HV_STATUS_INVALID_HYPERCALL_INPUT
    invalid_alignment = 0x0004,        // HV_STATUS_INVALID_ALIGNMENT
    invalid_parameter = 0x0005,        // HV_STATUS_INVALID_PARAMETER
    access_denied = 0x0006,            // HV_STATUS_ACCESS_DENIED
    operation_denied = 0x0008,         // HV_STATUS_OPERATION_DENIED
    insufficient_memory = 0x000B,      // HV_STATUS_INSUFFICIENT_MEMORY
    invalid_vp_index = 0x000E,         // HV_STATUS_INVALID_VP_INDEX
    invalid_vp_state = 0x0015,         // HV_STATUS_INVALID_VP_STATE
};

/// Synthetic MSRs (TLFS appendix F).
enum Msr : u32 {
    msr_guest_os_id = 0x4000'0000,
    msr_hypercall = 0x4000'0001,
    msr_vp_index = 0x4000'0002,
    msr_time_ref_count = 0x4000'0020,
    msr_reference_tsc = 0x4000'0021,
    msr_tsc_frequency = 0x4000'0022,
    msr_apic_frequency = 0x4000'0023,
    msr_end_of_interrupt = 0x4000'0070,
    msr_interrupt_command = 0x4000'0071,
    msr_task_priority = 0x4000'0072,
    msr_vp_assist_page = 0x4000'0073,
};

/// Virtual processor register names (TLFS appendix E; the numbers are HV_REGISTER_NAME's).
enum class RegisterName : u32 {
    explicit_suspend = 0x0000'0000,
    intercept_suspend = 0x0000'0001,
    pending_interruption = 0x0001'0002,          // HvRegisterPendingInterruption
    interrupt_state = 0x0001'0003,               // HvRegisterInterruptState
    pending_event0 = 0x0001'0004,                // HvRegisterPendingEvent0
    deliverability_notifications = 0x0001'0006,  // HvX64RegisterDeliverabilityNotifications
    rax = 0x0002'0000,
    rcx,
    rdx,
    rbx,
    rsp,
    rbp,
    rsi,
    rdi,
    r8,
    r9,
    r10,
    r11,
    r12,
    r13,
    r14,
    r15,
    rip,
    rflags,
    cr0 = 0x0004'0000,
    cr2,
    cr3,
    cr4,
    cr8,
    xfem,
    dr0 = 0x0005'0000,
    dr1,
    dr2,
    dr3,
    dr6,
    dr7,
    es = 0x0006'0000,
    cs,
    ss,
    ds,
    fs,
    gs,
    ldtr,
    tr,
    idtr = 0x0007'0000,
    gdtr,
    tsc = 0x0008'0000,
    efer,
    kernel_gs_base,
    apic_base,
    pat,
    sysenter_cs,
    sysenter_eip,
    sysenter_esp,
    star,
    lstar,
    cstar,
    sfmask,
    initial_apic_id,
    /// HvX64RegisterApicId and the rest: this plus the x2APIC MSR's offset from 800h (EOI is 8480Bh, ICR 84830h).
    apic_first = 0x0008'4800,
    apic_id = 0x0008'4802,
    register_page =
        0x0009'001C,  // HvX64RegisterRegPage: bit 0 enable, bits 63:12 page number; set by VTL2, for VTL0 of the own VP
};

/// HV_REGISTER_VALUE: 128 bits; 64-bit registers use the low half.
struct RegisterValue {
    u64 low;
    u64 high;
};
static_assert(sizeof(RegisterValue) == 16);

/// HV_X64_SEGMENT_REGISTER. `attributes` is the descriptor's: type 3:0, S 4, DPL 6:5, P 7, AVL 12, L 13, D/B 14, G 15.
struct SegmentRegister {
    u64 base;
    u32 limit;
    u16 selector;
    u16 attributes;
};
static_assert(sizeof(SegmentRegister) == 16);

/// HV_X64_TABLE_REGISTER.
struct TableRegister {
    u16 pad[3];
    u16 limit;
    u64 base;
};
static_assert(sizeof(TableRegister) == 16);

/// Header of HvCallGetVpRegisters and HvCallSetVpRegisters input (TLFS 17). Get: register names (u32) follow, values (16 bytes each) are the output.
/// Set: RegisterAssignment follow.
struct VpRegistersInput {
    u64 partition_id;  ///< partition_self
    u32 vp_index;      ///< or vp_self
    u8 input_vtl;      ///< bit 4: use bits 3:0 as target VTL; 0: the caller's own
    u8 reserved[3];
};
static_assert(sizeof(VpRegistersInput) == 16);
/// `input_vtl` that names VTL0 explicitly.
inline constexpr u8 input_vtl0 = 0x10;

struct RegisterAssignment {
    u32 name;
    u32 reserved[3];
    RegisterValue value;
};
static_assert(sizeof(RegisterAssignment) == 32);

/// Input of HvCallModifyVtlProtectionMask: the header, then page numbers (u64) as reps. Flags: read 1, write 2, execute 4 (HV_MAP_GPA_FLAGS).
struct ModifyProtectionInput {
    u64 partition_id;
    u32 map_flags;
    u8 target_vtl;  ///< as `input_vtl`
    u8 reserved[3];
};
static_assert(sizeof(ModifyProtectionInput) == 16);
enum ProtectionFlag : u32 {
    protection_none = 0,
    protection_read = 1,
    protection_write = 2,
    protection_execute = 4 | 8
};

/// HV_INTERRUPT_TYPE.
enum class InterruptType : u32 { fixed = 0, lowest_priority = 1, nmi = 4, init = 5, sipi = 6, ext_int = 7 };

/// Input of HvCallAssertVirtualInterrupt (TLFS 10). `destination` is a physical APIC id, or a logical destination with `logical_destination`.
struct AssertInterruptInput {
    u64 partition_id;
    u64 interrupt_control;  ///< type 31:0, level triggered 32, logical destination 33
    u64 destination;
    u32 vector;
    u8 target_vtl;  ///< 0
    u8 reserved;
    u16 reserved2;
};
static_assert(sizeof(AssertInterruptInput) == 32);
inline constexpr u64 interrupt_level_triggered = u64{1} << 32;
inline constexpr u64 interrupt_logical_destination = u64{1} << 33;

/// HV_INITIAL_VP_CONTEXT (TLFS 15.5): the state a VP starts with in a VTL.
struct InitialVpContext {
    u64 rip, rsp, rflags;
    SegmentRegister cs, ds, es, fs, gs, ss, tr, ldtr;
    TableRegister idtr, gdtr;
    u64 efer, cr0, cr3, cr4, pat;
};
static_assert(sizeof(InitialVpContext) == 224);

/// Input of HvCallStartVirtualProcessor and HvCallEnableVpVtl.
struct StartVpInput {
    u64 partition_id;
    u32 vp_index;
    u8 target_vtl;
    u8 reserved[3];
    InitialVpContext context;
};
static_assert(sizeof(StartVpInput) == 240);

}  // namespace undercroft::tlfs
