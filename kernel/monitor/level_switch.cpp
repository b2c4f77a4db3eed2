// Going from VTL0 to VTL2 and back: entry reason, intercept message, register page. TLFS 15.
#include <string.h>

#include "arch/x86_64/registers.hpp"
#include "kernel/monitor/machine.hpp"
#include "kernel/monitor/register_access.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 vmmcall_bytes = 3;

}  // namespace

void VirtualProcessor::deliver_intercept(tlfs::MessageType type, const void* payload, u8 payload_bytes) {
    enter_image(tlfs::VtlEntryReason::intercept);
    if (assist_ == nullptr) {
        return;
    }
    tlfs::MessageHeader header{static_cast<u32>(type), payload_bytes, 0, 0, 0};
    memcpy(assist_->intercept_message, &header, sizeof(header));
    tlfs::InterceptHeader bare{};
    if (payload == nullptr) {
        bare = intercept_header(0, tlfs::AccessType::execute);
        payload = &bare;
        payload_bytes = sizeof(bare);
    }
    memcpy(assist_->intercept_message + sizeof(header), payload, payload_bytes);
}

/// VTL2 continues behind its last VTL return.
void VirtualProcessor::enter_image(tlfs::VtlEntryReason reason) {
    ++statistics_.vtl_switches;
    image_active_ = true;
    image_.halted = false;
    publish_registers();
    if (assist_ != nullptr) {
        assist_->vtl_entry_reason = static_cast<u32>(reason);
    }
}

/// VTL2 executed HvCallVtlReturn.
void VirtualProcessor::leave_image() {
    advance(image_, vmmcall_bytes);
    image_.vmcb->save.rax = 0;
    take_registers();
    image_active_ = false;
}

void VirtualProcessor::publish_registers() {
    tlfs::RegisterPage* page = register_page_;
    if (page == nullptr) {
        return;
    }
    const svm::SaveArea& save = guest_.vmcb->save;
    static_assert(sizeof(page->general) == sizeof(guest_.registers));
    memcpy(page->general, &guest_.registers, sizeof(page->general));
    page->general[0] = save.rax;
    page->general[4] = save.rsp;
    page->rip = save.rip;
    page->rflags = save.rflags;
    const svm::Segment* segments[] = {&save.es, &save.cs, &save.ss, &save.ds, &save.fs, &save.gs};
    for (usize i = 0; i < 6; ++i) {
        page->segments[i] = RegisterAccess::to_tlfs(*segments[i]);
    }
    page->cr0 = save.cr0;
    page->cr3 = save.cr3;
    page->cr4 = save.cr4;
    page->cr8 = guest_apic_.cr8();
    page->efer = save.efer & ~arch::efer_bit::secure_vm;
    page->dr7 = save.dr7;
    page->pending_interruption = RegisterAccess::to_pending_interruption(guest_.pending_event);
    page->interrupt_state = guest_.vmcb->control.interrupt_state & 1;
    page->xfem = guest_.xcr0;
    page->dirty = 0;
    page->version = 1;
    page->is_valid = 1;
}

/// Takes over what VTL2 marked as changed; each value is copied once and cleaned before it is used.
void VirtualProcessor::take_registers() {
    tlfs::RegisterPage* page = register_page_;
    if (page == nullptr) {
        return;
    }
    u32 dirty = page->dirty;
    page->dirty = 0;
    svm::SaveArea& save = guest_.vmcb->save;
    if ((dirty & tlfs::register_class_general) != 0) {
        memcpy(&guest_.registers, page->general, sizeof(page->general));
        save.rax = guest_.registers.rax_unused;
        save.rsp = guest_.registers.rsp_unused;
    }
    if ((dirty & tlfs::register_class_ip) != 0) {
        save.rip = page->rip;
        guest_.vmcb->control.interrupt_state = page->interrupt_state & 1;
    }
    if ((dirty & tlfs::register_class_flags) != 0) {
        save.rflags = (page->rflags & arch::rflags_bit::defined) | arch::rflags_bit::reserved_one;
    }
    if ((dirty & tlfs::register_class_segment) != 0) {
        svm::Segment* segments[] = {&save.es, &save.cs, &save.ss, &save.ds, &save.fs, &save.gs};
        for (usize i = 0; i < 6; ++i) {
            *segments[i] = RegisterAccess::to_svm(page->segments[i]);
        }
        save.cpl = RegisterAccess::privilege_of(save);
    }
}

}  // namespace undercroft::monitor
