// The machine, and what reaches across VPs: interrupt delivery to VTL0, flushes, VTL2's view of memory.
#include "kernel/monitor/machine.hpp"

#include "arch/x86_64/cpu.hpp"

namespace undercroft::monitor {

constinit Machine machine{};

Result<void*> image_memory(u64 address, u64 size_bytes) {
    if (!is_aligned(address, 8) || size_bytes > page_size || (address & (page_size - 1)) + size_bytes > page_size) {
        return fail(Error::invalid_argument);
    }
    u64 offset = address - vtl2::memory_base;
    if (address >= vtl2::memory_base && offset < machine.memory.vtl2.size() &&
        size_bytes <= machine.memory.vtl2.size() - offset) {
        // SAFETY: VTL2's memory is identity-mapped for the monitor. VTL2 and the guest may change it at any time:
        // callers copy before they look.
        return reinterpret_cast<void*>(machine.memory.vtl2.begin + offset);
    }
    return reinterpret_cast<void*>(TRY(machine.memory.guest_to_machine(address, size_bytes)));
}

void flush_guest_view() {
    u64 generation = machine.flush_generation.fetch_add(1, std::memory_order_seq_cst) + 1;
    for (u32 i = 0; i < machine.vp_count; ++i) {
        VirtualProcessor& vp = machine.vps[i];
        if (!vp.runs_with_view_before(generation)) {
            continue;
        }
        vp.kick();
        while (vp.runs_with_view_before(generation)) {
            arch::pause();
        }
    }
}

namespace {

void deliver_to(VirtualProcessor& vp, const Interrupt& interrupt) {
    switch (interrupt.mode) {
    case apic::DeliveryMode::fixed:
    case apic::DeliveryMode::lowest_priority:
        if (!vp.guest_apic().request(interrupt.vector, interrupt.level_triggered)) {
            return;
        }
        break;
    case apic::DeliveryMode::nmi:
        vp.request_nmi();
        break;
    case apic::DeliveryMode::init:
        vp.request_init();
        break;
    case apic::DeliveryMode::startup:
        vp.request_startup(interrupt.vector);
        break;
    case apic::DeliveryMode::external:
        vp.request_external(interrupt.vector);
        break;
    case apic::DeliveryMode::smi:
        return;  // nobody handles them
    }
    vp.kick();
}

}  // namespace

void deliver_to_guest(const Interrupt& interrupt, VirtualProcessor* sender) {
    using apic::Shorthand;
    if (interrupt.shorthand == Shorthand::self) {
        return deliver_to(*sender, interrupt);
    }
    for (u32 i = 0; i < machine.vp_count; ++i) {
        VirtualProcessor& vp = machine.vps[i];
        bool chosen = interrupt.shorthand == Shorthand::all ||
                      (interrupt.shorthand == Shorthand::all_but_self && &vp != sender) ||
                      (interrupt.shorthand == Shorthand::none &&
                       vp.guest_apic().matches(interrupt.destination, interrupt.logical));
        if (!chosen) {
            continue;
        }
        deliver_to(vp, interrupt);
        if (interrupt.mode == apic::DeliveryMode::lowest_priority) {
            return;  // one of them is enough
        }
    }
}

}  // namespace undercroft::monitor
