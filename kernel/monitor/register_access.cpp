// VP registers by name: see register_access.hpp.
#include "kernel/monitor/register_access.hpp"

#include <bit>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"
#include "kernel/base/assert.hpp"
#include "kernel/monitor/cpuid_policy.hpp"
#include "kernel/monitor/machine.hpp"

namespace undercroft::monitor {

using tlfs::RegisterName;

namespace {

constexpr u32 number(RegisterName name) { return static_cast<u32>(name); }
constexpr bool is_between(u32 name, RegisterName first, RegisterName last) {
    return name >= number(first) && name <= number(last);
}

/// The machine understands these; VTL0's CPUID shows no feature beyond.
constexpr u64 cr0_defined = 0xE005'003F;
constexpr u64 cr4_defined = 0x007F'7FFF & ~(u64{1} << 12) & ~(u64{1} << 13) & ~(u64{1} << 14) & ~(u64{1} << 19);
constexpr u32 apic_registers = 0x40;
constexpr u64 register_page_enable = 1;

// HV_X64_PENDING_INTERRUPTION_REGISTER and HV_X64_PENDING_EVENT: bit 0 pending, type 3:1, error code valid 4 (8 in
// events), vector 31:16, error code 63:32.
constexpr u64 pending_bit = 1;
constexpr u64 pending_error_code_bit = u64{1} << 4;
constexpr u64 event_error_code_bit = u64{1} << 8;
enum PendingType : u64 { pending_interrupt = 0, pending_nmi = 2, pending_exception = 3 };

}  // namespace

tlfs::SegmentRegister RegisterAccess::to_tlfs(const svm::Segment& segment) {
    return {segment.base, segment.limit, segment.selector,
            static_cast<u16>((segment.attributes & 0xFF) | ((segment.attributes & 0xF00) << 4))};
}

svm::Segment RegisterAccess::to_svm(const tlfs::SegmentRegister& segment) {
    return {segment.selector, static_cast<u16>((segment.attributes & 0xFF) | ((segment.attributes >> 4) & 0xF00)),
            segment.limit, segment.base};
}

u64 RegisterAccess::to_pending_interruption(svm::Event event) {
    if (!event.valid()) {
        return 0;
    }
    u64 type = event.type() == svm::EventType::exception ? pending_exception
               : event.type() == svm::EventType::nmi     ? pending_nmi
                                                         : pending_interrupt;
    return pending_bit | (type << 1) | (event.has_error_code() ? pending_error_code_bit : 0) |
           (u64{event.vector()} << 16) | (u64{event.error_code()} << 32);
}

Result<svm::Event> RegisterAccess::from_pending_interruption(u64 value) {
    if ((value & pending_bit) == 0) {
        return svm::Event{};
    }
    auto vector = static_cast<u8>(value >> 16);
    switch ((value >> 1) & 7) {
    case pending_interrupt:
        return svm::Event::make(svm::EventType::external_interrupt, vector);
    case pending_nmi:
        return svm::Event::make(svm::EventType::nmi, 2);
    case pending_exception:
        if (vector >= 32 || vector == 2) {
            return fail(Error::invalid_argument);
        }
        return (value & pending_error_code_bit) != 0
                   ? svm::Event::make(svm::EventType::exception, vector, static_cast<u32>(value >> 32))
                   : svm::Event::make(svm::EventType::exception, vector);
    default:
        return fail(Error::invalid_argument);
    }
}

u8 RegisterAccess::privilege_of(const svm::SaveArea& save) {
    if ((save.cr0 & arch::cr0_bit::protection) == 0) {
        return 0;
    }
    return (save.rflags & arch::rflags_bit::virtual_8086) != 0 ? 3 : (save.ss.attributes >> 5) & 3;
}

/// Registers that hold any 64-bit value.
svm::SaveArea& RegisterAccess::save_area(VirtualProcessor& vp) {
    ASSERT(vp.guest_.vmcb != nullptr);  // from `create` on
    return vp.guest_.vmcb->save;
}

u64* RegisterAccess::plain_register(VirtualProcessor& vp, u32 name) {
    svm::SaveArea& save = save_area(vp);
    if (is_between(name, RegisterName::rax, RegisterName::r15)) {
        switch (static_cast<RegisterName>(name)) {
        case RegisterName::rax:
            return &save.rax;
        case RegisterName::rsp:
            return &save.rsp;
        default:
            return &vp.guest_.registers.rax_unused + (name - number(RegisterName::rax));
        }
    }
    switch (static_cast<RegisterName>(name)) {
    case RegisterName::rip:
        return &save.rip;
    case RegisterName::cr2:
        return &save.cr2;
    case RegisterName::dr6:
        return &save.dr6;
    case RegisterName::kernel_gs_base:
        return &save.kernel_gs_base;
    case RegisterName::sysenter_cs:
        return &save.sysenter_cs;
    case RegisterName::sysenter_eip:
        return &save.sysenter_eip;
    case RegisterName::sysenter_esp:
        return &save.sysenter_esp;
    case RegisterName::star:
        return &save.star;
    case RegisterName::lstar:
        return &save.lstar;
    case RegisterName::cstar:
        return &save.cstar;
    case RegisterName::sfmask:
        return &save.sfmask;
    default:
        return nullptr;
    }
}

svm::Segment* RegisterAccess::segment_register(VirtualProcessor& vp, u32 name) {
    svm::SaveArea& save = save_area(vp);
    switch (static_cast<RegisterName>(name)) {
    case RegisterName::es:
        return &save.es;
    case RegisterName::cs:
        return &save.cs;
    case RegisterName::ss:
        return &save.ss;
    case RegisterName::ds:
        return &save.ds;
    case RegisterName::fs:
        return &save.fs;
    case RegisterName::gs:
        return &save.gs;
    case RegisterName::ldtr:
        return &save.ldtr;
    case RegisterName::tr:
        return &save.tr;
    default:
        return nullptr;
    }
}

Result<tlfs::RegisterValue> RegisterAccess::get(VirtualProcessor& vp, u32 name) {
    const svm::SaveArea& save = save_area(vp);
    if (const u64* plain = plain_register(vp, name)) {
        return tlfs::RegisterValue{*plain, 0};
    }
    if (const svm::Segment* segment = segment_register(vp, name)) {
        return std::bit_cast<tlfs::RegisterValue>(to_tlfs(*segment));
    }
    if (is_between(name, RegisterName::dr0, RegisterName::dr3)) {
        return tlfs::RegisterValue{arch::read_debug_register(name - number(RegisterName::dr0)), 0};
    }
    if (name >= number(RegisterName::apic_first) && name < number(RegisterName::apic_first) + apic_registers) {
        auto value =
            vp.guest_apic_.read(name - number(RegisterName::apic_first), arch::read_tsc(), !vp.guest_apic_.is_x2apic());
        return tlfs::RegisterValue{value.value_or(0), 0};
    }
    u64 value = 0;
    switch (static_cast<RegisterName>(name)) {
    case RegisterName::rflags:
        value = save.rflags;
        break;
    case RegisterName::cr0:
        value = save.cr0;
        break;
    case RegisterName::cr3:
        value = save.cr3;
        break;
    case RegisterName::cr4:
        value = save.cr4;
        break;
    case RegisterName::cr8:
        value = vp.guest_apic_.cr8();
        break;
    case RegisterName::dr7:
        value = save.dr7;
        break;
    case RegisterName::xfem:
        value = vp.guest_.xcr0;
        break;
    case RegisterName::efer:
        value = save.efer & ~arch::efer_bit::secure_vm;
        break;
    case RegisterName::pat:
        value = save.pat;
        break;
    case RegisterName::tsc:
        value = arch::read_tsc();
        break;
    case RegisterName::apic_base:
        value = vp.guest_apic_.base();
        break;
    case RegisterName::initial_apic_id:
        value = vp.guest_apic_.id();
        break;
    case RegisterName::gdtr:
        return std::bit_cast<tlfs::RegisterValue>(
            tlfs::TableRegister{{}, static_cast<u16>(save.gdtr.limit), save.gdtr.base});
    case RegisterName::idtr:
        return std::bit_cast<tlfs::RegisterValue>(
            tlfs::TableRegister{{}, static_cast<u16>(save.idtr.limit), save.idtr.base});
    case RegisterName::pending_interruption:
        value = to_pending_interruption(vp.guest_.pending_event);
        break;
    case RegisterName::interrupt_state:
        value = (vp.guest_.vmcb->control.interrupt_state & 1) | (vp.nmi_blocked_ ? 2 : 0);
        break;
    case RegisterName::deliverability_notifications:
        value = vp.deliverability_wanted_ ? tlfs::deliverability_interrupt : 0;
        break;
    case RegisterName::register_page:
        value = vp.register_page_value_;
        break;
    default:
        return fail(Error::not_found);
    }
    return tlfs::RegisterValue{value, 0};
}

void RegisterAccess::update_long_mode(svm::SaveArea& save) {
    bool active = (save.cr0 & arch::cr0_bit::paging) != 0 && (save.efer & arch::efer_bit::long_mode_enable) != 0;
    save.efer = (save.efer & ~arch::efer_bit::long_mode_active) | (active ? arch::efer_bit::long_mode_active : 0);
}

Result<void> RegisterAccess::set_control(VirtualProcessor& vp, RegisterName name, u64 value) {
    svm::SaveArea& save = save_area(vp);
    switch (name) {
    case RegisterName::cr0:
        if ((value & ~cr0_defined) != 0 ||
            ((value & arch::cr0_bit::paging) != 0 && (value & arch::cr0_bit::protection) == 0) ||
            ((value & arch::cr0_bit::not_write_through) != 0 && (value & arch::cr0_bit::cache_disable) == 0)) {
            return fail(Error::invalid_argument);
        }
        save.cr0 = value | arch::cr0_bit::extension_type;
        break;
    case RegisterName::cr4:
        if ((value & ~cr4_defined) != 0) {
            return fail(Error::invalid_argument);
        }
        save.cr4 = value;
        break;
    case RegisterName::efer:
        if ((value & ~(arch::efer_bit::system_call | arch::efer_bit::long_mode_enable |
                       arch::efer_bit::long_mode_active | arch::efer_bit::no_execute | arch::efer_bit::fast_fxsave)) !=
            0) {
            return fail(Error::invalid_argument);
        }
        save.efer = value | arch::efer_bit::secure_vm;
        break;
    default:
        return fail(Error::not_found);
    }
    update_long_mode(save);
    save.cpl = privilege_of(save);
    // The translations of the old mode may still be in the TLB.
    vp.guest_.seen_flush = 0;
    return {};
}

Result<void> RegisterAccess::set_register_page(VirtualProcessor& vp, u64 value) {
    if ((value & register_page_enable) == 0) {
        vp.register_page_ = nullptr;
        vp.register_page_value_ = value;
        return {};
    }
    auto page = image_memory(align_down(value, page_size), page_size);
    if (!page || align_down(value, page_size) < vtl2::memory_base) {
        return fail(Error::invalid_argument);
    }
    // SAFETY: a whole page of VTL2's memory; VTL2 may write it at any time, so `take_registers` copies before it looks.
    vp.register_page_ = static_cast<tlfs::RegisterPage*>(*page);
    vp.register_page_value_ = value;
    vp.publish_registers();
    return {};
}

Result<void> RegisterAccess::set(VirtualProcessor& vp, u32 name, tlfs::RegisterValue value) {
    svm::SaveArea& save = save_area(vp);
    if (u64* plain = plain_register(vp, name)) {
        *plain = value.low;
        // The boot processor of VTL0 stands still until VTL2 says where it begins; the others wait for a startup IPI.
        if (name == number(RegisterName::rip) && vp.index_ == 0) {
            vp.guest_phase_ = VirtualProcessor::GuestPhase::running;
        }
        return {};
    }
    if (svm::Segment* segment = segment_register(vp, name)) {
        *segment = to_svm(std::bit_cast<tlfs::SegmentRegister>(value));
        save.cpl = privilege_of(save);
        return {};
    }
    if (is_between(name, RegisterName::dr0, RegisterName::dr3)) {
        arch::write_debug_register(name - number(RegisterName::dr0), value.low);
        return {};
    }
    if (name >= number(RegisterName::apic_first) && name < number(RegisterName::apic_first) + apic_registers) {
        // A memory-mapped write that hits nothing is lost, as in hardware.
        (void)vp.write_guest_apic(name - number(RegisterName::apic_first), value.low, !vp.guest_apic_.is_x2apic());
        return {};
    }
    switch (static_cast<RegisterName>(name)) {
    case RegisterName::rflags:
        save.rflags = (value.low & arch::rflags_bit::defined) | arch::rflags_bit::reserved_one;
        return {};
    case RegisterName::cr3:
        save.cr3 = value.low & 0x000F'FFFF'FFFF'FFFF;
        vp.guest_.seen_flush = 0;
        return {};
    case RegisterName::cr8:
        vp.guest_apic_.set_cr8(static_cast<u8>(value.low));
        return {};
    case RegisterName::dr7:
        save.dr7 = (value.low & 0xFFFF'27FF) | 0x400;
        return {};
    case RegisterName::xfem:
        if ((value.low & 1) == 0 || (value.low & ~(machine.xcr0 & xcr0_allowed)) != 0) {
            return fail(Error::invalid_argument);
        }
        vp.guest_.xcr0 = value.low;
        return {};
    case RegisterName::pat:
        if (!is_valid_pat(value.low)) {
            return fail(Error::invalid_argument);
        }
        save.pat = value.low;
        return {};
    case RegisterName::apic_base:
        return vp.guest_apic_.set_base(value.low);
    case RegisterName::gdtr:
    case RegisterName::idtr: {
        auto table = std::bit_cast<tlfs::TableRegister>(value);
        svm::Segment& segment = name == number(RegisterName::gdtr) ? save.gdtr : save.idtr;
        segment = {0, 0, table.limit, table.base};
        return {};
    }
    case RegisterName::pending_interruption:
        vp.guest_.pending_event = TRY(from_pending_interruption(value.low));
        return {};
    case RegisterName::pending_event0: {
        // HV_X64_PENDING_EXCEPTION_EVENT; the high half is the exception parameter, CR2 for page faults.
        u64 interruption = (value.low & pending_bit) | (u64{pending_exception} << 1) |
                           ((value.low & event_error_code_bit) != 0 ? pending_error_code_bit : 0) |
                           (value.low & 0xFFFF'FFFF'FFFF'0000);
        vp.guest_.pending_event = TRY(from_pending_interruption(interruption));
        if (vp.guest_.pending_event.valid() &&
            vp.guest_.pending_event.vector() == static_cast<u8>(arch::Exception::page_fault)) {
            save.cr2 = value.high;
        }
        return {};
    }
    case RegisterName::interrupt_state:
        vp.guest_.vmcb->control.interrupt_state = value.low & 1;
        return {};
    case RegisterName::deliverability_notifications:
        if ((value.low & ~tlfs::deliverability_interrupt) != 0) {
            return fail(Error::invalid_argument);
        }
        vp.deliverability_wanted_ = value.low != 0;
        return {};
    case RegisterName::register_page:
        return set_register_page(vp, value.low);
    case RegisterName::explicit_suspend:
    case RegisterName::intercept_suspend:
        vp.guest_phase_ =
            value.low == 0 ? VirtualProcessor::GuestPhase::running : VirtualProcessor::GuestPhase::waiting_for_startup;
        return {};
    default:
        return set_control(vp, static_cast<RegisterName>(name), value.low);
    }
}

}  // namespace undercroft::monitor
