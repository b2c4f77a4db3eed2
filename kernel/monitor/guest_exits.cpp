// Exits of VTL0: what the monitor answers by policy, and what becomes an intercept message for VTL2.
#include <string.h>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/monitor/cpuid_policy.hpp"
#include "kernel/monitor/log.hpp"
#include "kernel/monitor/machine.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 cpuid_bytes = 2;
constexpr u64 hlt_bytes = 1;
constexpr u64 invd_bytes = 2;
constexpr u64 vmmcall_bytes = 3;
constexpr u64 xsetbv_bytes = 3;

constexpr u8 io_access_string = 1u << 3;
constexpr u8 io_access_rep = 1u << 4;
constexpr u32 cache_write_back = 6;

tlfs::SegmentRegister to_tlfs(const svm::Segment& segment) {
    return {segment.base, segment.limit, segment.selector,
            static_cast<u16>((segment.attributes & 0xFF) | ((segment.attributes & 0xF00) << 4))};
}

constexpr u8 vector_of(arch::Exception exception) { return static_cast<u8>(exception); }

}  // namespace

void VirtualProcessor::handle_guest_exit() {
    svm::ControlArea& control = guest_.vmcb->control;
    switch (control.exit_code) {
    case svm::exit_interrupt:
        ++statistics_.interrupt;
        return;
    case svm::exit_nmi:
    case svm::exit_smi:
    case svm::exit_init:
        ++statistics_.other;
        return;
    case svm::exit_virtual_interrupt:
        ++statistics_.interrupt_window;
        notify_deliverable();
        return;
    case svm::exit_cpuid:
        ++statistics_.cpuid;
        return guest_cpuid();
    case svm::exit_hlt:
        ++statistics_.halt;
        guest_.halted = true;
        return advance(guest_, hlt_bytes);
    case svm::exit_io:
        ++statistics_.io_port;
        return guest_io();
    case svm::exit_msr:
        ++statistics_.msr;
        return guest_msr();
    case svm::exit_nested_page_fault:
        ++statistics_.memory;
        return guest_memory();
    default:
        break;
    }
    ++statistics_.other;
    switch (control.exit_code) {
    case svm::exit_vmmcall:
        return guest_hypercall();
    case svm::exit_xsetbv:
        return guest_xsetbv();
    // Dropping cache lines unwritten would lose other levels' data; nothing needs to happen instead.
    case svm::exit_invd:
        return advance(guest_, invd_bytes);
    case svm::exit_iret:
        nmi_blocked_ = false;
        control.intercept_misc1 &= ~svm::intercept1::iret;
        return;
    case svm::exit_rdpmc:
        return inject_exception(guest_, vector_of(arch::Exception::general_protection), 0);
    case svm::exit_exception_first + static_cast<u8>(arch::Exception::debug):
        return inject_exception(guest_, vector_of(arch::Exception::debug));
    case svm::exit_exception_first + static_cast<u8>(arch::Exception::alignment_check):
        return inject_exception(guest_, vector_of(arch::Exception::alignment_check), 0);
    case svm::exit_exception_first + static_cast<u8>(arch::Exception::machine_check):
        PANIC("machine check on VP %u", index_);
    case svm::exit_shutdown:
        log("vtl0 of VP %u ended in a triple fault: event %lx, interrupted %lx, cr2 %lx", index_,
            control.event_injection, control.exit_interrupt_info, guest_.vmcb->save.cr2);
        guest_exits_.print();
        return deliver_intercept(tlfs::MessageType::unrecoverable_exception, nullptr, 0);
    case svm::exit_invalid:
        log("vtl0 of VP %u cannot run: rip %lx cr0 %lx cr3 %lx cr4 %lx efer %lx", index_, guest_.vmcb->save.rip,
            guest_.vmcb->save.cr0, guest_.vmcb->save.cr3, guest_.vmcb->save.cr4, guest_.vmcb->save.efer);
        return deliver_intercept(tlfs::MessageType::unrecoverable_exception, nullptr, 0);
    default:
        // SVM's own instructions, MONITOR, MWAIT, RDPRU, RSM: not there.
        return inject_exception(guest_, vector_of(arch::Exception::invalid_opcode));
    }
}

void ExitTrace::print() const {
    for (u32 i = next_ < exits_kept ? 0 : next_ - exits_kept; i != next_; ++i) {
        const Exit& exit = exits_[i % exits_kept];
        log("  exit %x at rip %lx cr3 %lx, entered with event %x", exit.code, exit.rip, exit.cr3, exit.injected);
    }
}

void VirtualProcessor::guest_cpuid() {
    svm::SaveArea& save = guest_.vmcb->save;
    auto leaf = static_cast<u32>(save.rax);
    auto subleaf = static_cast<u32>(guest_.registers.rcx);
    arch::CpuidResult raw = arch::cpuid(leaf, subleaf);
    CpuidContext context{.vp_index = index_,
                         .vp_count = machine.vp_count,
                         .apic_id = guest_apic_.id(),
                         .apic_enabled = (guest_apic_.base() & apic::base_bit::enable) != 0,
                         .os_xsave = (save.cr4 & arch::cr4_bit::xsave) != 0,
                         .tsc_invariant = machine.tsc_invariant};
    CpuidValues values = cpuid_for_guest(leaf, subleaf, {raw.eax, raw.ebx, raw.ecx, raw.edx}, context);
    save.rax = values.eax;
    guest_.registers.rbx = values.ebx;
    guest_.registers.rcx = values.ecx;
    guest_.registers.rdx = values.edx;
    advance(guest_, cpuid_bytes);
}

tlfs::InterceptHeader VirtualProcessor::intercept_header(u8 instruction_length, tlfs::AccessType access) const {
    const svm::SaveArea& save = guest_.vmcb->save;
    u32 state = save.cpl;
    state |= (save.cr0 & arch::cr0_bit::protection) != 0 ? 1u << 2 : 0;
    state |= (save.cr0 & arch::cr0_bit::alignment_mask) != 0 ? 1u << 3 : 0;
    state |= (save.efer & arch::efer_bit::long_mode_active) != 0 ? 1u << 4 : 0;
    state |= guest_.pending_event.valid() ? 1u << 6 : 0;
    state |= (guest_.vmcb->control.interrupt_state & 1) != 0 ? 1u << 12 : 0;
    return {index_,   instruction_length, static_cast<u8>(access), static_cast<u16>(state), to_tlfs(save.cs),
            save.rip, save.rflags};
}

void VirtualProcessor::guest_io() {
    const svm::ControlArea& control = guest_.vmcb->control;
    const svm::SaveArea& save = guest_.vmcb->save;
    svm::IoExit exit{control.exit_info1};
    tlfs::IoPortIntercept message{};
    message.header = intercept_header(static_cast<u8>((control.exit_info2 - save.rip) & 0xF),
                                      exit.is_in() ? tlfs::AccessType::read : tlfs::AccessType::write);
    message.port = exit.port();
    message.access_info = static_cast<u8>(exit.size_bytes() | (exit.is_string() ? io_access_string : 0) |
                                          (exit.has_rep() ? io_access_rep : 0));
    message.rax = save.rax;
    message.ds = to_tlfs(save.ds);
    message.es = to_tlfs(save.es);
    message.rcx = guest_.registers.rcx;
    message.rsi = guest_.registers.rsi;
    message.rdi = guest_.registers.rdi;
    deliver_intercept(tlfs::MessageType::io_port_intercept, &message, sizeof(message));
}

void VirtualProcessor::guest_memory() {
    const svm::ControlArea& control = guest_.vmcb->control;
    u64 error = control.exit_info1;
    tlfs::AccessType access = (error & svm::nested_fault::execute) != 0 ? tlfs::AccessType::execute
                              : (error & svm::nested_fault::write) != 0 ? tlfs::AccessType::write
                                                                        : tlfs::AccessType::read;
    tlfs::MemoryIntercept message{};
    message.header = intercept_header(0, access);
    message.cache_type = cache_write_back;
    message.guest_physical_address = control.exit_info2;
    usize bytes = control.fetched_byte_count & 0xF;
    message.instruction_byte_count = static_cast<u8>(bytes);
    memcpy(message.instruction_bytes, control.fetched_bytes, bytes);
    bool is_ram = machine.memory.guest_to_machine(control.exit_info2, 1).has_value();
    deliver_intercept(is_ram ? tlfs::MessageType::gpa_intercept : tlfs::MessageType::unmapped_gpa, &message,
                      sizeof(message));
}

/// Tells VTL2, if it asked, that VTL0 can take an external interrupt now.
bool VirtualProcessor::notify_deliverable() {
    if (!deliverability_wanted_ || guest_.pending_event.valid() || !can_interrupt(guest_)) {
        return false;
    }
    deliverability_wanted_ = false;
    tlfs::InterruptionDeliverable message{intercept_header(0, tlfs::AccessType::execute), 0, {}};
    deliver_intercept(tlfs::MessageType::interruption_deliverable, &message, sizeof(message));
    return true;
}

void VirtualProcessor::guest_xsetbv() {
    u64 value = (guest_.vmcb->save.rax & 0xFFFF'FFFF) | (guest_.registers.rdx << 32);
    constexpr u64 x87 = 1, sse = 2, avx = 4, avx512 = 0xE0;
    bool good = static_cast<u32>(guest_.registers.rcx) == 0 && guest_.vmcb->save.cpl == 0 &&
                (value & ~(machine.xcr0 & xcr0_allowed)) == 0 && (value & x87) != 0 &&
                ((value & avx) == 0 || (value & sse) != 0) &&
                ((value & avx512) == 0 || ((value & avx512) == avx512 && (value & avx) != 0));
    if (!good) {
        return inject_exception(guest_, vector_of(arch::Exception::general_protection), 0);
    }
    guest_.xcr0 = value;
    arch::write_xcr0(value);  // VTL0's state is the loaded one
    advance(guest_, xsetbv_bytes);
}

void VirtualProcessor::guest_hypercall() {
    if (!machine.guest_hypervisor.hypercalls_enabled() || guest_.vmcb->save.cpl != 0) {
        return inject_exception(guest_, vector_of(arch::Exception::invalid_opcode));
    }
    tlfs::HypercallInput input{guest_.registers.rcx};
    bool known = false;
    switch (static_cast<tlfs::CallCode>(input.call_code())) {
    case tlfs::CallCode::modify_vtl_protection_mask:
    case tlfs::CallCode::enable_partition_vtl:
    case tlfs::CallCode::enable_vp_vtl:
    case tlfs::CallCode::vtl_return:
    case tlfs::CallCode::get_vp_registers:
    case tlfs::CallCode::set_vp_registers:
    case tlfs::CallCode::assert_virtual_interrupt:
    case tlfs::CallCode::start_virtual_processor:
        known = true;
        break;
    case tlfs::CallCode::vtl_call:
        // VTL0 asks for VTL2's attention; VTL2 decides what it means.
        advance(guest_, vmmcall_bytes);
        guest_.vmcb->save.rax = 0;
        return enter_image(tlfs::VtlEntryReason::vtl_call);
    }
    bool extension = input.call_code() >= static_cast<u16>(vtl2::CallCode::debug_log) &&
                     input.call_code() <= static_cast<u16>(vtl2::CallCode::get_statistics);
    guest_.vmcb->save.rax =
        static_cast<u64>(known || extension ? tlfs::Status::access_denied : tlfs::Status::invalid_hypercall_code);
    advance(guest_, vmmcall_bytes);
}

}  // namespace undercroft::monitor
