// RDMSR and WRMSR of VTL0 that have an effect, and the register accesses of its local APIC. An MSR that nobody knows
// is a general protection fault.
#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"
#include "kernel/base/log.hpp"
#include "kernel/monitor/cpuid_policy.hpp"
#include "kernel/monitor/log.hpp"
#include "kernel/monitor/machine.hpp"

namespace undercroft::monitor {

namespace msr = arch::msr;

namespace {

constexpr u64 msr_bytes = 2;
constexpr u64 efer_writable = arch::efer_bit::system_call | arch::efer_bit::long_mode_enable |
                              arch::efer_bit::no_execute | arch::efer_bit::fast_fxsave;

bool is_x2apic_msr(u32 number) { return number >= msr::x2apic_first && number <= msr::x2apic_last; }

/// Names each unknown MSR once in the log; a guest cannot flood it.
void note_unknown(u32 number, bool write) {
    constexpr usize names_max = 32;
    static u32 seen[names_max];
    static usize count;
    static Spinlock lock;
    SpinlockGuard guard(lock);
    for (usize i = 0; i < count; ++i) {
        if (seen[i] == number) {
            return;
        }
    }
    if (count < names_max) {
        seen[count++] = number;
        if (log_level() >= LogLevel::debug) {
            log("vtl0 %s unknown msr %x", write ? "writes" : "reads", number);
        }
    }
}

}  // namespace

void VirtualProcessor::guest_msr() {
    svm::SaveArea& save = guest_.vmcb->save;
    bool is_write = (guest_.vmcb->control.exit_info1 & 1) != 0;
    auto number = static_cast<u32>(guest_.registers.rcx);
    Error error{};
    bool good = false;
    if (is_write) {
        auto result = write_guest_msr(number, (save.rax & 0xFFFF'FFFF) | (guest_.registers.rdx << 32));
        good = result.has_value();
        error = good ? error : result.error();
    } else {
        auto result = read_guest_msr(number);
        good = result.has_value();
        if (good) {
            save.rax = *result & 0xFFFF'FFFF;
            guest_.registers.rdx = *result >> 32;
        } else {
            error = result.error();
        }
    }
    if (good) {
        return advance(guest_, msr_bytes);
    }
    if (error == Error::not_found) {
        note_unknown(number, is_write);
    }
    inject_exception(guest_, static_cast<u8>(arch::Exception::general_protection), 0);
}

Result<u64> VirtualProcessor::read_guest_msr(u32 number) {
    const svm::SaveArea& save = guest_.vmcb->save;
    if (is_x2apic_msr(number)) {
        if (!guest_apic_.is_x2apic()) {
            return fail(Error::access_denied);
        }
        return guest_apic_.read(number - msr::x2apic_first, arch::read_tsc(), false);
    }
    switch (number) {
    case msr::apic_base:
        return guest_apic_.base();
    case msr::tsc_deadline:
        return guest_apic_.tsc_deadline();
    case tlfs::msr_interrupt_command:
        return guest_apic_.command();
    case tlfs::msr_task_priority:
        return guest_apic_.read(apic::task_priority, arch::read_tsc(), false);
    case msr::efer:
        return save.efer & ~arch::efer_bit::secure_vm;
    case msr::pat:
        return save.pat;
    case tlfs::msr_guest_os_id:
        return machine.guest_hypervisor.guest_os_id();
    case tlfs::msr_hypercall:
        return machine.guest_hypervisor.hypercall();
    case tlfs::msr_vp_index:
        return index_;
    case tlfs::msr_time_ref_count:
        return machine.guest_hypervisor.reference_time();
    case tlfs::msr_reference_tsc:
        return machine.guest_hypervisor.reference_tsc();
    case tlfs::msr_tsc_frequency:
        return machine.tsc_frequency_hz;
    case tlfs::msr_apic_frequency:
        return machine.tsc_frequency_hz >> LocalApic::timer_shift;
    case tlfs::msr_vp_assist_page:
        return guest_assist_.msr();
    default:
        return guest_msrs_.read(number);
    }
}

Result<void> VirtualProcessor::write_guest_msr(u32 number, u64 value) {
    if (is_x2apic_msr(number)) {
        if (!guest_apic_.is_x2apic()) {
            return fail(Error::access_denied);
        }
        return write_guest_apic(number - msr::x2apic_first, value, false);
    }
    switch (number) {
    case msr::apic_base:
        return guest_apic_.set_base(value);
    case msr::tsc_deadline:
        guest_apic_.set_tsc_deadline(value);
        return {};
    case msr::efer:
        return set_guest_efer(value);
    case msr::tsc:
        return {};  // one time base for all: a written offset is ignored
    case msr::pat:
        if (!is_valid_pat(value)) {
            return fail(Error::access_denied);
        }
        guest_.vmcb->save.pat = value;
        return {};
    case tlfs::msr_guest_os_id:
        machine.guest_hypervisor.set_guest_os_id(value);
        return {};
    case tlfs::msr_hypercall:
        return machine.guest_hypervisor.set_hypercall(value);
    case tlfs::msr_reference_tsc:
        return machine.guest_hypervisor.set_reference_tsc(value);
    case tlfs::msr_vp_assist_page:
        return set_guest_assist_page(value);
    case tlfs::msr_end_of_interrupt:
        return write_guest_apic(apic::end_of_interrupt, 0, false);
    case tlfs::msr_interrupt_command:
        return write_guest_command(value);
    case tlfs::msr_task_priority:
        return write_guest_apic(apic::task_priority, value, false);
    default:
        return guest_msrs_.write(number, value);
    }
}

Result<void> VirtualProcessor::set_guest_efer(u64 value) {
    svm::SaveArea& save = guest_.vmcb->save;
    u64 fixed = save.efer & arch::efer_bit::long_mode_active;
    bool long_mode_changes = ((save.efer ^ value) & arch::efer_bit::long_mode_enable) != 0;
    if ((value & ~(efer_writable | arch::efer_bit::long_mode_active)) != 0 ||
        (long_mode_changes && (save.cr0 & arch::cr0_bit::paging) != 0)) {
        return fail(Error::access_denied);
    }
    save.efer = (value & efer_writable) | fixed | arch::efer_bit::secure_vm;
    return {};
}

/// Enables VTL0's VP assist page, of which the first dword is used. `access_denied` where it is not in guest RAM.
Result<void> VirtualProcessor::set_guest_assist_page(u64 value) {
    constexpr u64 enable = 1;
    u32* field = nullptr;
    if ((value & enable) != 0) {
        field = static_cast<u32*>(TRY(guest_page_of(value)));
    }
    guest_assist_.set(value, field);
    return {};
}

/// HV_X64_MSR_ICR has the destination where the memory-mapped register has it, in either mode.
Result<void> VirtualProcessor::write_guest_command(u64 value) {
    constexpr u64 low = 0xFFFF'FFFF;
    if (guest_apic_.is_x2apic()) {
        return write_guest_apic(apic::interrupt_command, (value >> 56 << 32) | (value & low), false);
    }
    TRY(write_guest_apic(apic::interrupt_command_high, value >> 32, true));
    return write_guest_apic(apic::interrupt_command, value & low, true);
}

/// Writes a register of this VP's VTL0 APIC and does what follows from it.
Result<void> VirtualProcessor::write_guest_apic(u32 reg, u64 value, bool memory_mapped) {
    auto effect = TRY(guest_apic_.write(reg, value, arch::read_tsc(), memory_mapped));
    if (effect.sends) {
        deliver_to_guest(effect.interrupt, this);
    }
    if (effect.level_acknowledged) {
        acknowledged_levels_[effect.vector / 64] |= u64{1} << (effect.vector % 64);
    }
    return {};
}

}  // namespace undercroft::monitor
