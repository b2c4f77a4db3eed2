// Descriptor tables and the common interrupt entry. Both images use it: each defines `handle_interrupt`, which every
// vector ends in.
// The entry saves general registers only: code that runs inside must not touch vector registers.
// Source: AMD64 Architecture Programmer's Manual volume 2, chapters 4 and 8.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::arch {

/// What the entry leaves on the stack. Changing it changes what the interrupted code continues with.
struct InterruptFrame {
    u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
    u64 vector;
    u64 error_code;  ///< 0 for vectors without one
    u64 rip, cs, rflags, rsp, ss;
};
static_assert(sizeof(InterruptFrame) == 22 * sizeof(u64));

inline constexpr u16 code_selector = 0x08;
inline constexpr u16 data_selector = 0x10;
inline constexpr u16 task_selector = 0x18;

/// Stacks of the task state segment that vectors can ask for. 0: the running one.
enum class StackIndex : u8 { running = 0, double_fault = 1, nmi = 2, machine_check = 3 };

struct [[gnu::packed]] TaskState {
    u32 reserved0;
    u64 rsp[3];
    u64 reserved1;
    u64 interrupt_stack[7];
    u64 reserved2;
    u16 reserved3;
    u16 io_map_base;
};
static_assert(sizeof(TaskState) == 104);

/// One CPU's GDT and TSS.
struct DescriptorTables {
    alignas(16) u64 gdt[5] = {};
    alignas(16) TaskState task = {};
};

/// Fills `tables` and loads GDT, segment registers and TR on this CPU. Interrupt stacks not given (0) are not used by
/// `load_idt`. GS base is kept.
void load_descriptor_tables(DescriptorTables& tables, u64 double_fault_stack, u64 nmi_stack, u64 machine_check_stack);

/// Fills the image's IDT: once, on the first CPU. With `own_stacks` vectors 2, 8 and 18 run on the TSS's stacks.
void initialise_idt(bool own_stacks);
/// Loads the IDT on this CPU.
void load_idt();

}  // namespace undercroft::arch

/// The image's handler of every exception and interrupt. Interrupts are off in it.
extern "C" void handle_interrupt(undercroft::arch::InterruptFrame* frame);
