// Exits of VTL2. It may do what its interface says; everything else is an isolation violation, which is named and ends
// the machine.
#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"
#include "boot/exit_status.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/monitor/hypercalls.hpp"
#include "kernel/monitor/log.hpp"
#include "kernel/monitor/machine.hpp"

namespace undercroft::monitor {

namespace msr = arch::msr;

namespace {

constexpr u64 hlt_bytes = 1;
constexpr u64 msr_bytes = 2;
constexpr u64 vmmcall_bytes = 3;
constexpr u64 xsetbv_bytes = 3;

constexpr u64 efer_switchable = arch::efer_bit::system_call | arch::efer_bit::no_execute;
constexpr u64 efer_required = arch::efer_bit::long_mode_enable;

const char* fault_kind(u64 error) {
    return (error & svm::nested_fault::execute) != 0 ? "execution of memory"
           : (error & svm::nested_fault::write) != 0 ? "write to memory"
                                                     : "read of memory";
}

}  // namespace

void VirtualProcessor::violation(const char* kind, u64 address) {
    log("isolation violation by VTL2: VP %u, %s, address %lx, rip %lx", index_, kind, address, image_.vmcb->save.rip);
    end_machine(static_cast<u8>(ExitStatus::isolation_violation));
}

void VirtualProcessor::handle_image_exit() {
    svm::ControlArea& control = image_.vmcb->control;
    switch (control.exit_code) {
    case svm::exit_interrupt:
    case svm::exit_nmi:
    case svm::exit_smi:
    case svm::exit_init:
    case svm::exit_virtual_interrupt:
        return;
    case svm::exit_vmmcall: {
        tlfs::HypercallInput input{image_.registers.rcx};
        if (input.call_code() == static_cast<u16>(tlfs::CallCode::vtl_return)) {
            return leave_image();
        }
        HypercallOutcome outcome = Hypercalls::handle(*this, input, image_.registers.rdx, image_.registers.r8);
        image_.vmcb->save.rax = outcome.result;
        image_.registers.r8 = outcome.r8;
        return advance(image_, vmmcall_bytes);
    }
    case svm::exit_msr:
        return image_msr();
    case svm::exit_hlt:
        image_.halted = true;
        return advance(image_, hlt_bytes);
    case svm::exit_xsetbv:
        return image_xsetbv();
    case svm::exit_nested_page_fault:
        violation(fault_kind(control.exit_info1), control.exit_info2);
    case svm::exit_io: {
        svm::IoExit exit{control.exit_info1};
        violation(exit.is_in() ? "read of a port" : "write to a port", exit.port());
    }
    case svm::exit_shutdown:
        log("vtl2 of VP %u ended in a triple fault: rip %lx, rsp %lx, cr2 %lx", index_, image_.vmcb->save.rip,
            image_.vmcb->save.rsp, image_.vmcb->save.cr2);
        end_machine(static_cast<u8>(ExitStatus::image_panic));
    case svm::exit_invalid:
        log("vtl2 of VP %u cannot run: rip %lx cr0 %lx cr3 %lx cr4 %lx efer %lx", index_, image_.vmcb->save.rip,
            image_.vmcb->save.cr0, image_.vmcb->save.cr3, image_.vmcb->save.cr4, image_.vmcb->save.efer);
        end_machine(static_cast<u8>(ExitStatus::image_panic));
    case svm::exit_exception_first + static_cast<u8>(arch::Exception::machine_check):
        PANIC("machine check on VP %u", index_);
    case svm::exit_rdpmc:
        violation("performance counter", image_.registers.rcx & 0xFFFF'FFFF);
    case svm::exit_invd:
        violation("cache invalidation", 0);
    default:
        break;
    }
    if (control.exit_code >= svm::exit_dr_write_first && control.exit_code <= svm::exit_dr_write_last) {
        violation("write to a debug register", control.exit_code - svm::exit_dr_write_first);
    }
    violation("privileged instruction, exit code", control.exit_code);
}

void VirtualProcessor::image_msr() {
    svm::SaveArea& save = image_.vmcb->save;
    bool is_write = (image_.vmcb->control.exit_info1 & 1) != 0;
    auto number = static_cast<u32>(image_.registers.rcx);
    if (is_write) {
        if (!write_image_msr(number, (save.rax & 0xFFFF'FFFF) | (image_.registers.rdx << 32))) {
            violation("write to an MSR", number);
        }
    } else {
        auto value = read_image_msr(number);
        if (!value) {
            violation("read of an MSR", number);
        }
        save.rax = *value & 0xFFFF'FFFF;
        image_.registers.rdx = *value >> 32;
    }
    advance(image_, msr_bytes);
}

Result<u64> VirtualProcessor::read_image_msr(u32 number) {
    switch (number) {
    case msr::apic_base:
        return apic::local_default_address | apic::base_bit::enable | apic::base_bit::x2apic |
               (index_ == 0 ? apic::base_bit::bootstrap : 0);
    case msr::tsc_deadline:
        return image_apic_.deadline();
    case msr::efer:
        return image_.vmcb->save.efer & ~arch::efer_bit::secure_vm;
    case msr::pat:
        return image_.vmcb->save.pat;
    case msr::x2apic_first + apic::id:
        return index_;
    case msr::x2apic_first + apic::lvt_timer:
        return image_apic_.timer_lvt();
    case tlfs::msr_vp_index:
        return index_;
    case tlfs::msr_time_ref_count:
        return machine.guest_hypervisor.reference_time();
    case tlfs::msr_tsc_frequency:
        return machine.tsc_frequency_hz;
    case tlfs::msr_apic_frequency:
        return machine.tsc_frequency_hz >> LocalApic::timer_shift;
    case tlfs::msr_vp_assist_page:
        return image_assist_msr_;
    default:
        return fail(Error::access_denied);
    }
}

Result<void> VirtualProcessor::write_image_msr(u32 number, u64 value) {
    switch (number) {
    case msr::tsc_deadline:
        image_apic_.set_deadline(value);
        return {};
    case msr::efer: {
        u64 fixed = image_.vmcb->save.efer & (arch::efer_bit::long_mode_active | arch::efer_bit::secure_vm);
        u64 wanted = value & ~u64{arch::efer_bit::long_mode_active};
        if ((wanted & ~(efer_switchable | efer_required)) != 0 || (wanted & efer_required) == 0) {
            return fail(Error::access_denied);
        }
        image_.vmcb->save.efer = wanted | fixed;
        return {};
    }
    case msr::pat:
        if (!is_valid_pat(value)) {
            return fail(Error::access_denied);
        }
        image_.vmcb->save.pat = value;
        return {};
    case msr::x2apic_first + apic::lvt_timer:
        image_apic_.set_timer_lvt(static_cast<u32>(value));
        return {};
    case msr::x2apic_first + apic::interrupt_command:
        image_send(value);
        return {};
    case msr::x2apic_first + apic::self_ipi:
        image_apic_.request(static_cast<u8>(value));
        return {};
    // Delivery acknowledges, and there are no priorities; nor does it matter who VTL2 says it is.
    case msr::x2apic_first + apic::end_of_interrupt:
    case msr::x2apic_first + apic::task_priority:
    case msr::x2apic_first + apic::spurious_vector:
    case tlfs::msr_guest_os_id:
        return {};
    case tlfs::msr_vp_assist_page: {
        if ((value & 1) == 0) {
            assist_ = nullptr;
            image_assist_msr_ = value;
            return {};
        }
        u64 address = align_down(value, page_size);
        auto page = image_memory(address, page_size);
        if (!page || address < vtl2::memory_base) {
            return fail(Error::access_denied);
        }
        // SAFETY: a whole page of VTL2's memory; the monitor writes it and never relies on what it reads there.
        assist_ = static_cast<tlfs::VpAssistPage*>(*page);
        image_assist_msr_ = value;
        return {};
    }
    default:
        return fail(Error::access_denied);
    }
}

/// Fixed IPIs between VTL2's VPs: physical destinations are VP indices.
void VirtualProcessor::image_send(u64 command) {
    apic::Command low{static_cast<u32>(command)};
    auto destination = static_cast<u32>(command >> 32);
    for (u32 i = 0; i < machine.vp_count; ++i) {
        bool self = i == index_;
        bool chosen = low.shorthand() == apic::Shorthand::all || (low.shorthand() == apic::Shorthand::self && self) ||
                      (low.shorthand() == apic::Shorthand::all_but_self && !self) ||
                      (low.shorthand() == apic::Shorthand::none && destination == i);
        if (chosen && low.vector() >= 32) {
            machine.vps[i].image_apic_.request(low.vector());
            machine.vps[i].kick();
        }
    }
}

void VirtualProcessor::image_xsetbv() {
    u64 value = (image_.vmcb->save.rax & 0xFFFF'FFFF) | (image_.registers.rdx << 32);
    if (static_cast<u32>(image_.registers.rcx) != 0 || (value & 3) != 3 || (value & ~machine.xcr0) != 0) {
        violation("extended control register", value);
    }
    image_.xcr0 = value;
    arch::write_xcr0(value);
    advance(image_, xsetbv_bytes);
}

}  // namespace undercroft::monitor
