// Descriptor tables: see interrupts.hpp.
#include "arch/x86_64/interrupts.hpp"

#include <string.h>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"

// Entry of vector n at interrupt_stubs + 16 n; interrupt_entry.S.
extern "C" const undercroft::u8 interrupt_stubs[];

namespace undercroft::arch {

namespace {

constexpr usize vectors = 256;
constexpr u64 stub_bytes = 16;
constexpr u64 code_descriptor = 0x00AF'9B00'0000'FFFF;
constexpr u64 data_descriptor = 0x00CF'9300'0000'FFFF;
constexpr u64 task_descriptor_type = 0x89;
constexpr u8 interrupt_gate = 0x8E;

struct [[gnu::packed]] Gate {
    u16 offset_low;
    u16 selector;
    u8 stack;
    u8 type;
    u16 offset_middle;
    u32 offset_high;
    u32 reserved;
};
static_assert(sizeof(Gate) == 16);

struct [[gnu::packed]] TablePointer {
    u16 limit;
    u64 base;
};

alignas(16) Gate idt[vectors];

u8 stack_of(usize vector, bool own_stacks) {
    if (!own_stacks) {
        return 0;
    }
    switch (static_cast<Exception>(vector)) {
    case Exception::nmi:
        return static_cast<u8>(StackIndex::nmi);
    case Exception::double_fault:
        return static_cast<u8>(StackIndex::double_fault);
    case Exception::machine_check:
        return static_cast<u8>(StackIndex::machine_check);
    default:
        return 0;
    }
}

}  // namespace

void initialise_idt(bool own_stacks) {
    for (usize vector = 0; vector < vectors; ++vector) {
        u64 entry = reinterpret_cast<u64>(interrupt_stubs) + vector * stub_bytes;
        idt[vector] = {static_cast<u16>(entry),
                       code_selector,
                       stack_of(vector, own_stacks),
                       interrupt_gate,
                       static_cast<u16>(entry >> 16),
                       static_cast<u32>(entry >> 32),
                       0};
    }
}

void load_idt() {
    TablePointer pointer{sizeof(idt) - 1, reinterpret_cast<u64>(idt)};
    asm volatile("lidt %0" : : "m"(pointer));
}

void load_descriptor_tables(DescriptorTables& tables, u64 double_fault_stack, u64 nmi_stack, u64 machine_check_stack) {
    memset(&tables, 0, sizeof(tables));
    u64 base = reinterpret_cast<u64>(&tables.task);
    u64 limit = sizeof(TaskState) - 1;
    tables.gdt[code_selector / 8] = code_descriptor;
    tables.gdt[data_selector / 8] = data_descriptor;
    tables.gdt[task_selector / 8] =
        limit | ((base & 0xFF'FFFF) << 16) | (task_descriptor_type << 40) | (((base >> 24) & 0xFF) << 56);
    tables.gdt[task_selector / 8 + 1] = base >> 32;
    tables.task.interrupt_stack[static_cast<u8>(StackIndex::double_fault) - 1] = double_fault_stack;
    tables.task.interrupt_stack[static_cast<u8>(StackIndex::nmi) - 1] = nmi_stack;
    tables.task.interrupt_stack[static_cast<u8>(StackIndex::machine_check) - 1] = machine_check_stack;
    tables.task.io_map_base = sizeof(TaskState);
    TablePointer pointer{sizeof(tables.gdt) - 1, reinterpret_cast<u64>(tables.gdt)};
    // Loading GS clears its base, which holds the per-CPU pointer.
    u64 gs_base = read_msr(msr::gs_base);
    asm volatile("lgdt %0\n"
                 "pushq %1\n"
                 "leaq 1f(%%rip), %%rax\n"
                 "pushq %%rax\n"
                 "lretq\n"
                 "1: movl %k2, %%ds\n"
                 "movl %k2, %%es\n"
                 "movl %k2, %%ss\n"
                 "xorl %%eax, %%eax\n"
                 "movl %%eax, %%fs\n"
                 "movl %%eax, %%gs\n"
                 "ltr %w3\n"
                 :
                 : "m"(pointer), "i"(u64{code_selector}), "r"(u64{data_selector}), "r"(task_selector)
                 : "rax", "memory");
    write_msr(msr::gs_base, gs_base);
}

}  // namespace undercroft::arch
