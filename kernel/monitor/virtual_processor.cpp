// Making a virtual processor: memory, control blocks, and turning its CPU into its host.
#include "kernel/monitor/virtual_processor.hpp"

#include <string.h>

#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"
#include "kernel/monitor/machine.hpp"
#include "kernel/monitor/permission_maps.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 stack_pages = 4;
constexpr u32 guest_asid = 1;
constexpr u32 image_asid = 2;
constexpr u64 dr6_reset = 0xFFFF'0FF0;
constexpr u64 dr7_reset = 0x400;

// The virtual interrupt only ever asks for an exit. Its intercept stays on: QEMU's TCG may remember a request from
// before the entry.
constexpr u32 common_intercepts1 = svm::intercept1::interrupt | svm::intercept1::nmi | svm::intercept1::smi |
                                   svm::intercept1::init | svm::intercept1::virtual_interrupt | svm::intercept1::hlt |
                                   svm::intercept1::invd | svm::intercept1::rsm | svm::intercept1::invlpga |
                                   svm::intercept1::io | svm::intercept1::msr | svm::intercept1::shutdown |
                                   svm::intercept1::rdpmc;
constexpr u32 common_intercepts2 = svm::intercept2::vmrun | svm::intercept2::vmmcall | svm::intercept2::vmload |
                                   svm::intercept2::vmsave | svm::intercept2::stgi | svm::intercept2::clgi |
                                   svm::intercept2::skinit | svm::intercept2::monitor | svm::intercept2::mwait |
                                   svm::intercept2::xsetbv | svm::intercept2::rdpru;

constexpr u32 exception_bit(arch::Exception exception) { return 1u << static_cast<u8>(exception); }

/// A stack whose lowest page is not mapped. Returns its top, 0 without memory.
u64 allocate_stack(u64 pages) {
    u64 address = machine.pool.allocate(pages + 1);
    if (address == 0 || !machine.own.protect(address, {})) {
        return 0;
    }
    return address + (pages + 1) * page_size;
}

Result<svm::Vmcb*> allocate_vmcb() {
    u64 address = machine.pool.allocate();
    if (address == 0) {
        return fail(Error::out_of_memory);
    }
    // SAFETY: a page of our own, identity-mapped.
    return reinterpret_cast<svm::Vmcb*>(address);
}

Result<void> fill_level(Level& level, u8 vtl) {
    level.vtl = vtl;
    level.vmcb = TRY(allocate_vmcb());
    u64 state = machine.pool.allocate();
    if (state == 0) {
        return fail(Error::out_of_memory);
    }
    level.extended_state = reinterpret_cast<u8*>(state);
    // The legacy part's reset values: x87 control word and MXCSR. The header says that nothing else is there.
    constexpr u16 x87_control_reset = 0x037F;
    constexpr u32 mxcsr_reset = 0x1F80;
    memcpy(level.extended_state, &x87_control_reset, sizeof(x87_control_reset));
    memcpy(level.extended_state + 24, &mxcsr_reset, sizeof(mxcsr_reset));
    level.xcr0 = 1;

    svm::ControlArea& control = level.vmcb->control;
    bool is_guest = vtl == tlfs::vtl0;
    control.intercept_misc1 = common_intercepts1;
    control.intercept_misc2 = common_intercepts2;
    control.intercept_exceptions = exception_bit(arch::Exception::machine_check);
    const PermissionMaps& maps = is_guest ? guest_permissions : image_permissions;
    control.io_permission_address = reinterpret_cast<u64>(maps.io);
    control.msr_permission_address = reinterpret_cast<u64>(maps.msr);
    control.asid = is_guest ? guest_asid : image_asid;
    control.tlb_control = svm::tlb_flush_all;
    control.nested_control = 1;
    control.nested_cr3 = is_guest ? machine.guest.root() : machine.image.root();
    control.virtual_interrupt = svm::virtual_interrupt::masking;
    if (is_guest) {
        control.intercept_misc1 |= svm::intercept1::cpuid;
        // A guest can stall a CPU in the delivery of these two for ever.
        control.intercept_exceptions |=
            exception_bit(arch::Exception::debug) | exception_bit(arch::Exception::alignment_check);
    } else {
        // The debug address registers keep VTL0's values while VTL2 runs.
        control.intercept_dr_write = 0xFFFF;
    }
    level.vmcb->save.efer = arch::efer_bit::secure_vm;
    level.vmcb->save.pat = arch::pat_reset;
    level.vmcb->save.dr6 = dr6_reset;
    level.vmcb->save.dr7 = dr7_reset;
    level.vmcb->save.rflags = arch::rflags_bit::reserved_one;
    return {};
}

svm::Segment convert(const tlfs::SegmentRegister& segment) {
    return {segment.selector, static_cast<u16>((segment.attributes & 0xFF) | ((segment.attributes >> 4) & 0xF00)),
            segment.limit, segment.base};
}

}  // namespace

Result<void> VirtualProcessor::create(u32 index, u32 machine_apic_id) {
    index_ = index;
    machine_apic_id_ = machine_apic_id;
    stack_top_ = allocate_stack(stack_pages);
    for (u64& stack : exception_stacks_) {
        stack = allocate_stack(1);
        if (stack == 0) {
            return fail(Error::out_of_memory);
        }
    }
    host_vmcb_ = machine.pool.allocate();
    host_save_area_ = machine.pool.allocate();
    if (stack_top_ == 0 || host_vmcb_ == 0 || host_save_area_ == 0) {
        return fail(Error::out_of_memory);
    }
    TRY(fill_level(guest_, tlfs::vtl0));
    TRY(fill_level(image_, tlfs::vtl2));
    image_.xcr0 = machine.xcr0;
    guest_apic_.reset(index, index == 0);
    reset_guest_state();
    return {};
}

void VirtualProcessor::adopt_this_cpu() {
    arch::write_msr(arch::msr::gs_base, reinterpret_cast<u64>(this));
    arch::load_descriptor_tables(tables_, exception_stacks_[0], exception_stacks_[1], exception_stacks_[2]);
    arch::load_idt();
    arch::write_cr4(arch::read_cr4() | arch::cr4_bit::xsave);
    arch::write_xcr0(machine.xcr0);
    arch::write_msr(arch::msr::efer, arch::read_msr(arch::msr::efer) | arch::efer_bit::secure_vm);
    arch::write_msr(arch::msr::vm_hsave_pa, host_save_area_);
    arch::write_msr(arch::msr::pat, arch::pat_reset);
    arch::save_host_state(host_vmcb_);
    machine.apic.enable_here(spurious_vector);
    machine.apic.set_up_timer(timer_vector, machine.has_tsc_deadline ? apic::TimerMode::tsc_deadline
                                            : machine.is_tcg         ? apic::TimerMode::periodic
                                                                     : apic::TimerMode::one_shot);
}

void VirtualProcessor::set_image_context(const tlfs::InitialVpContext& context, u64 rdi) {
    svm::SaveArea& save = image_.vmcb->save;
    save.rip = context.rip;
    save.rsp = context.rsp;
    save.rflags = (context.rflags & arch::rflags_bit::defined) | arch::rflags_bit::reserved_one;
    save.cs = convert(context.cs);
    save.ds = convert(context.ds);
    save.es = convert(context.es);
    save.fs = convert(context.fs);
    save.gs = convert(context.gs);
    save.ss = convert(context.ss);
    save.tr = convert(context.tr);
    save.ldtr = convert(context.ldtr);
    save.idtr = {0, 0, context.idtr.limit, context.idtr.base};
    save.gdtr = {0, 0, context.gdtr.limit, context.gdtr.base};
    save.efer = context.efer | arch::efer_bit::secure_vm;
    save.cr0 = context.cr0 | arch::cr0_bit::extension_type;
    save.cr3 = context.cr3;
    save.cr4 = context.cr4;
    save.pat = is_valid_pat(context.pat) && context.pat != 0 ? context.pat : arch::pat_reset;
    save.cpl = 0;
    image_.registers.rdi = rdi;
}

void VirtualProcessor::start_first_image(const tlfs::InitialVpContext& context, u64 rdi) {
    set_image_context(context, rdi);
    image_active_ = true;
    image_started_.store(true, std::memory_order_release);
}

bool VirtualProcessor::start_image(const tlfs::InitialVpContext& context) {
    // Only the first caller writes the context: the others see that it was started.
    static Spinlock lock;
    SpinlockGuard guard(lock);
    if (image_started()) {
        return false;
    }
    set_image_context(context, 0);
    image_active_ = true;
    image_started_.store(true, std::memory_order_release);
    kick();
    return true;
}

void VirtualProcessor::kick() {
    if (this == &current_vp() || kicked_.exchange(true, std::memory_order_seq_cst)) {
        return;
    }
    machine.apic.send_fixed(machine_apic_id_, kick_vector);
}

u8 VirtualProcessor::free_vector() const {
    for (u32 vector = first_device_vector; vector <= last_device_vector; ++vector) {
        if (image_vectors_[vector] == 0) {
            return static_cast<u8>(vector);
        }
    }
    return 0;
}

void VirtualProcessor::physical_interrupt(u8 vector) {
    if (vector == spurious_vector) {
        return;
    }
    machine.apic.end_of_interrupt();
    if (image_vectors_[vector] != 0) {
        image_apic_.request(image_vectors_[vector]);
    } else if (vector == timer_vector) {
        timer_deadline_ = ~u64{0};  // the run loop looks at the deadlines
    }
}

// SAFETY: adopt_this_cpu() put the VP's address into GS base; the world switch restores it.
VirtualProcessor& current_vp() { return *reinterpret_cast<VirtualProcessor*>(arch::read_msr(arch::msr::gs_base)); }

}  // namespace undercroft::monitor
