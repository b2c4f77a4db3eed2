// A VTL2 that breaks one rule, the one that fw_cfg file opt/undercroft/break names. The monitor must stop it, name it,
// and end with status 14.
#include <cstring>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/interrupts.hpp"
#include "arch/x86_64/registers.hpp"
#include "boot/exit_status.hpp"
#include "kernel/spec/tlfs_messages.hpp"
#include "tests/boot/vtl2/support.hpp"

namespace undercroft::stand_in {
namespace {

constexpr u64 monitor_machine_address = 0x20'0000;
constexpr u64 beyond_vtl2 = 512 * mib;
alignas(page_size) u64 tables[3][512];

/// Maps `physical_address` at 3 TiB with VTL2's own page tables: nobody stops VTL2 there, the nested tables do.
volatile u64* map_anywhere(u64 physical_address) {
    constexpr u64 window = u64{3} << 40;
    u64 root = arch::read_cr3() & ~u64{0xFFF};
    auto* top = reinterpret_cast<u64*>(root - vtl2::memory_base + vtl2::image_virtual);
    top[(window >> 39) & 511] = physical(tables[0]) | 3;
    tables[0][0] = physical(tables[1]) | 3;
    tables[1][0] = physical(tables[2]) | 3;
    tables[2][0] = align_down(physical_address, page_size) | 3;
    arch::write_cr3(root);
    return reinterpret_cast<volatile u64*>(window + (physical_address & 0xFFF));
}

using Break = void (*)();
struct Rule {
    const char* name;
    Break broken;
};

const Rule rules[] = {
    // Guest physical addresses below 2^38 are guest RAM for VTL2: the monitor's machine memory is behind none of them.
    // What is left to try is everything else.
    {"read-memory", [] { (void)*map_anywhere(vtl2::memory_base + beyond_vtl2); }},
    {"write-memory", [] { *map_anywhere(vtl2::memory_base - page_size) = 1; }},
    {"read-below", [] { (void)*map_anywhere(vtl2::memory_base + boot_info().memory_bytes); }},
    {"write-apic", [] { *map_anywhere(0xFEE0'0000) = 0; }},
    {"execute-guest",
     [] {
         auto* page = map_anywhere(monitor_machine_address);
         *page = 0xC3;
         reinterpret_cast<void (*)()>(const_cast<u64*>(page))();
     }},
    {"msix-table",
     [] {
         u64 offset = 0;
         call_fast(vtl2::CallCode::map_device_memory, 0, offset);
         *reinterpret_cast<volatile u32*>(vtl2::device_virtual + offset + 0x2000) = 0xFEE0'0000;
     }},
    {"read-port", [] { (void)arch::in8(0x2FD); }},
    {"write-port", [] { arch::out32(0xCF8, 0x8000'0000); }},
    {"debug-exit", [] { arch::out8(debug_exit_port, 0); }},
    {"read-msr", [] { (void)arch::read_msr(arch::msr::vm_hsave_pa); }},
    {"write-msr", [] { arch::write_msr(arch::msr::vm_hsave_pa, 0); }},
    {"efer", [] { arch::write_msr(arch::msr::efer, arch::read_msr(arch::msr::efer) & ~u64{0x100}); }},
    {"svme", [] { arch::write_msr(arch::msr::efer, arch::read_msr(arch::msr::efer) | 0x1000); }},
    {"vmrun", [] { asm volatile("vmrun %%rax"
                                :
                                : "a"(u64{0})
                                : "memory"); }},
    {"clgi", [] { asm volatile("clgi"
                               :
                               :
                               : "memory"); }},
    {"stgi", [] { asm volatile("stgi"
                               :
                               :
                               : "memory"); }},
    {"debug-register", [] { arch::write_debug_register(0, 0x1000); }},
    {"read-pci",
     [] {
         u64 value = 0;
         call_fast(vtl2::CallCode::pci_config_read, vtl2::PciConfigAddress::make(15, 0, 4).value, value);
     }},
    {"write-pci",
     [] {
         u64 value = 0;
         call_fast(vtl2::CallCode::pci_config_write, vtl2::PciConfigAddress::make(200, 4, 2).value, value);
     }},
    {"triple-fault",
     [] {
         struct [[gnu::packed]] {
             u16 limit;
             u64 base;
         } none{0, 0};
         asm volatile("lidt %0; int3" : : "m"(none));
     }},
};

}  // namespace
}  // namespace undercroft::stand_in

void handle_interrupt(undercroft::arch::InterruptFrame* frame) {
    using namespace undercroft;
    stand_in::say("exception %lu at %lx", frame->vector, frame->rip);
    stand_in::finish(static_cast<u8>(ExitStatus::image_panic));
}

void stand_in_run() {
    using namespace undercroft;
    using namespace undercroft::stand_in;
    char name[64];
    if (!read_file("opt/undercroft/break", name, sizeof(name))) {
        say("no opt/undercroft/break");
        return;
    }
    for (const Rule& rule : rules) {
        if (std::strcmp(rule.name, name) == 0) {
            say("breaking: %s", name);
            rule.broken();
            say("not stopped: %s", name);
            return;
        }
    }
    say("no such rule: %s", name);
}

void stand_in_run_secondary() {}
