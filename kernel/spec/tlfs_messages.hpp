// TLFS layouts that live in memory shared between monitor and VTL2: the VP assist page, intercept messages, and the register page.
// Native integers: both sides are x86-64. Everything in them is written by the monitor; VTL2 writes only what is said so.
#pragma once

#include <cstddef>

#include "kernel/spec/tlfs.hpp"

namespace undercroft::tlfs {

/// HV_MESSAGE_TYPE of intercepts.
enum class MessageType : u32 {
    none = 0,
    unmapped_gpa = 0x8000'0000,             // HvMessageTypeUnmappedGpa: nothing is mapped there: a device access
    gpa_intercept = 0x8000'0001,            // HvMessageTypeGpaIntercept: mapped, but protected from VTL0
    unrecoverable_exception = 0x8000'0021,  // HvMessageTypeUnrecoverableException: triple fault
    io_port_intercept = 0x8001'0000,        // HvMessageTypeX64IoPortIntercept
    msr_intercept = 0x8001'0001,            // HvMessageTypeX64MsrIntercept
    cpuid_intercept = 0x8001'0002,          // HvMessageTypeX64CpuidIntercept
    apic_eoi = 0x8001'0004,                 // HvMessageTypeX64ApicEoi: a level-triggered vector was acknowledged
    halt = 0x8001'0007,                     // HvMessageTypeX64Halt
    interruption_deliverable =
        0x8001'0008,  // HvMessageTypeX64InterruptionDeliverable: what was asked for with the register
};

/// HV_MESSAGE_HEADER; the payload follows.
struct MessageHeader {
    u32 type;  ///< MessageType
    u8 payload_bytes;
    u8 flags;
    u16 reserved;
    u64 sender;
};
static_assert(sizeof(MessageHeader) == 16);

enum class AccessType : u8 { read = 0, write = 1, execute = 2 };

/// HV_X64_INTERCEPT_MESSAGE_HEADER.
struct InterceptHeader {
    u32 vp_index;
    u8 instruction_length;  ///< bits 3:0; 0 where the CPU does not say
    u8 access_type;         ///< AccessType
    u16 execution_state;  ///< CPL 1:0, CR0.PE 2, CR0.AM 3, EFER.LMA 4, debug 5, interruption pending 6, VTL 10:7, interrupt shadow 12
    SegmentRegister cs;
    u64 rip;
    u64 rflags;
};
static_assert(sizeof(InterceptHeader) == 40);

/// HV_X64_IO_PORT_INTERCEPT_MESSAGE.
struct IoPortIntercept {
    InterceptHeader header;
    u16 port;
    u8 access_info;  ///< size 2:0 (1, 2, 4), string 3, rep prefix 4
    u8 instruction_byte_count;
    u32 reserved;
    u64 rax;
    u8 instruction_bytes[16];
    SegmentRegister ds;
    SegmentRegister es;
    u64 rcx;
    u64 rsi;
    u64 rdi;
};
static_assert(sizeof(IoPortIntercept) == 128 && offsetof(IoPortIntercept, rdi) == 120);

/// HV_X64_MEMORY_INTERCEPT_MESSAGE.
struct MemoryIntercept {
    InterceptHeader header;
    u32 cache_type;
    u8 instruction_byte_count;  ///< 0 where the CPU gives no decode assistance: VTL2 fetches for itself
    u8 access_info;             ///< GVA valid 0
    u8 tpr_priority;
    u8 reserved;
    u64 guest_virtual_address;
    u64 guest_physical_address;
    u8 instruction_bytes[16];
};
static_assert(sizeof(MemoryIntercept) == 80 && offsetof(MemoryIntercept, instruction_bytes) == 64);

/// HV_X64_MSR_INTERCEPT_MESSAGE.
struct MsrIntercept {
    InterceptHeader header;
    u32 msr;
    u32 reserved;
    u64 rdx;
    u64 rax;
};
static_assert(sizeof(MsrIntercept) == 64);

/// HV_X64_CPUID_INTERCEPT_MESSAGE.
struct CpuidIntercept {
    InterceptHeader header;
    u64 rax, rcx, rdx, rbx;
    u64 default_rax, default_rcx, default_rdx, default_rbx;
};
static_assert(sizeof(CpuidIntercept) == 104);

/// HV_X64_APIC_EOI_MESSAGE.
struct ApicEoiMessage {
    u32 vp_index;
    u32 vector;
};
static_assert(sizeof(ApicEoiMessage) == 8);

/// HV_X64_INTERRUPTION_DELIVERABLE_MESSAGE.
struct InterruptionDeliverable {
    InterceptHeader header;
    u8 type;  ///< HV_INTERRUPTION_TYPE: 0 external interrupt
    u8 reserved[7];
};
static_assert(sizeof(InterruptionDeliverable) == 48);

/// Bit of HvX64RegisterDeliverabilityNotifications: tell once when VTL0 can take an external interrupt.
inline constexpr u64 deliverability_interrupt = 1u << 1;

/// Why VTL2 was entered (HV_VTL_ENTRY_REASON).
enum class VtlEntryReason : u32 {
    reserved = 0,
    vtl_call = 1,   ///< VTL0 executed a VTL call
    interrupt = 2,  ///< an interrupt for VTL2 is pending; it arrives through VTL2's IDT
    intercept = 3,  ///< `intercept_message` holds what VTL0 did
};

/// HV_VP_ASSIST_PAGE: one per VP and VTL, in VTL2's memory, enabled with msr_vp_assist_page.
struct VpAssistPage {
    u32 apic_assist;
    u32 reserved1;
    u32 vtl_entry_reason;  ///< VtlEntryReason
    u32 vtl_reserved;
    u64 vtl_return_rax;
    u64 vtl_return_rcx;
    u64 nested_control;
    u8 enlighten_vm_entry;
    u8 reserved2[7];
    u64 current_nested_vmcb;
    u8 time_unhalted_timer_expired;
    u8 reserved3[7];
    u8 virtualization_fault_information[40];
    u8 reserved4[8];
    u8 intercept_message[256];  ///< MessageHeader and payload
    u8 vtl_return_actions[256];
    u8 reserved5[page_size - 624];
};
static_assert(sizeof(VpAssistPage) == page_size && offsetof(VpAssistPage, intercept_message) == 112);

/// HV_X64_VP_REGISTER_PAGE: VTL0's registers of one VP, valid whenever VTL2 runs on that VP. VTL2 changes fields and sets the class's bit in `dirty`; the monitor
/// takes them over at the next VTL return. Not dirty: ignored.
struct RegisterPage {
    u16 version;  ///< 1
    u8 is_valid;
    u8 reserved;
    u32 dirty;        ///< RegisterClass bits
    u64 general[16];  ///< RAX RCX RDX RBX RSP RBP RSI RDI R8..R15
    u64 rip;
    u64 rflags;
    u64 reserved2;
    RegisterValue xmm[6];               ///< not maintained: vector state of the levels is kept apart
    SegmentRegister segments[6];        ///< ES CS SS DS FS GS
    u64 cr0, cr3, cr4, cr8, efer, dr7;  ///< read-only here; change them with HvCallSetVpRegisters
    u64 pending_interruption;           ///< HV_X64_PENDING_INTERRUPTION_REGISTER, read-only
    u64 interrupt_state;                ///< bit 0: interrupt shadow; taken over with RegisterClass ip
    u64 instruction_emulation_hints;
    u64 xfem;
    u8 reserved3[0x100];
    u64 interrupt_vectors;
    u8 reserved4[page_size - 696];
};
static_assert(sizeof(RegisterPage) == page_size && offsetof(RegisterPage, general) == 8 &&
              offsetof(RegisterPage, rip) == 136 && offsetof(RegisterPage, segments) == 256 &&
              offsetof(RegisterPage, cr0) == 352);

/// Bits of RegisterPage::dirty (HV_X64_REGISTER_CLASS_*).
enum RegisterClass : u32 {
    register_class_general = 1u << 0,
    register_class_ip = 1u << 1,
    register_class_xmm = 1u << 2,
    register_class_segment = 1u << 3,
    register_class_flags = 1u << 4,
};

}  // namespace undercroft::tlfs
