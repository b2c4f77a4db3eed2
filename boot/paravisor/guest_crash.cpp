// The last words of a guest: see guest_crash.hpp. Only 4-level paging is walked; source: AMD64 Architecture Programmer's
// Manual volume 2, sections 5.3 and 8.9.
#include "boot/paravisor/guest_crash.hpp"

#include <bit>

#include "kernel/base/log.hpp"
#include "kernel/guest/emulator/cpu_state.hpp"
#include "kernel/vtl/hypercalls.hpp"

namespace undercroft::paravisor {

namespace {

constexpr u64 long_mode_active = 1 << 10;
constexpr u64 entry_present = 1;
constexpr u64 entry_large = 1 << 7;
constexpr u64 address_mask = 0x000F'FFFF'FFFF'F000;
constexpr u64 gate_bytes = 16;
constexpr u64 page_fault_vector = 14;
constexpr u64 stack0_offset_in_tss = 4;
constexpr usize stack_pointer = 4;  // among the general registers

void log_general(const tlfs::RegisterPage& page) {
    const u64* general = page.general;
    log_error("  rip %#llx rflags %#llx cs %#x cr0 %#llx cr3 %#llx cr4 %#llx efer %#llx", wide(page.rip),
              wide(page.rflags), page.segments[static_cast<usize>(SegmentName::cs)].selector, wide(page.cr0),
              wide(page.cr3), wide(page.cr4), wide(page.efer));
    constexpr const char* names[] = {"rax rcx rdx rbx", "rsp rbp rsi rdi", "r8 to r11", "r12 to r15"};
    for (usize row = 0; row < 4; ++row) {
        const u64* values = general + 4 * row;
        log_error("  %s: %#llx %#llx %#llx %#llx", names[row], wide(values[0]), wide(values[1]), wide(values[2]),
                  wide(values[3]));
    }
}

void log_walk(const GuestMemory& memory, const char* what, u64 root, u64 linear) {
    u64 entries[4] = {};
    u64 table = root & address_mask;
    for (unsigned depth = 0; depth < 4; ++depth) {
        u64 index = (linear >> (39 - 9 * depth)) & 511;
        auto entry = memory.read_value<u64>(table + index * sizeof(u64));
        if (!entry) {
            log_error("  %s %#llx: table %#llx is outside memory", what, wide(linear), wide(table));
            return;
        }
        entries[depth] = *entry;
        if ((*entry & entry_present) == 0 || (depth > 0 && (*entry & entry_large) != 0)) {
            break;
        }
        table = *entry & address_mask;
    }
    log_error("  %s %#llx: page tables %#llx %#llx %#llx %#llx", what, wide(linear), wide(entries[0]), wide(entries[1]),
              wide(entries[2]), wide(entries[3]));
}

}  // namespace

void report_guest_crash(VirtualProcessor& processor, const GuestMemory& memory) {
    const tlfs::RegisterPage& page = processor.guest_registers();
    log_general(page);
    RegisterPair more[] = {{tlfs::RegisterName::cr2, {}},
                           {tlfs::RegisterName::idtr, {}},
                           {tlfs::RegisterName::gdtr, {}},
                           {tlfs::RegisterName::tr, {}},
                           {tlfs::RegisterName::kernel_gs_base, {}}};
    if (!hypercalls::get_registers(tlfs::vp_self, TargetVtl::guest, more)) {
        return;
    }
    u64 cr2 = more[0].value.low;
    auto idtr = std::bit_cast<tlfs::TableRegister>(more[1].value);
    auto gdtr = std::bit_cast<tlfs::TableRegister>(more[2].value);
    auto task = std::bit_cast<tlfs::SegmentRegister>(more[3].value);
    log_error("  cr2 %#llx idtr %#llx+%#x gdtr %#llx+%#x tr %#x at %#llx+%#x, gs %#llx, kernel gs %#llx", wide(cr2),
              wide(idtr.base), idtr.limit, wide(gdtr.base), gdtr.limit, task.selector, wide(task.base), task.limit,
              wide(page.segments[static_cast<usize>(SegmentName::gs)].base), wide(more[4].value.low));
    if ((page.efer & long_mode_active) == 0) {
        return;
    }
    log_walk(memory, "code", page.cr3, page.rip);
    log_walk(memory, "cr2", page.cr3, cr2);
    log_walk(memory, "gate", page.cr3, idtr.base + page_fault_vector * gate_bytes);
    log_walk(memory, "task", page.cr3, task.base + stack0_offset_in_tss);
    log_walk(memory, "stack", page.cr3, page.general[stack_pointer]);
}

}  // namespace undercroft::paravisor
