// Events into a level: interrupts, NMI, exceptions, and what an exit interrupted. Source: AMD64 Architecture
// Programmer's Manual volume 2, sections 15.20 and 15.21.
#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"
#include "kernel/monitor/machine.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 interrupt_shadow = 1;
constexpr unsigned highest_priority = 0xF;

/// Some CPUs (QEMU's) take a virtual interrupt already where its priority equals the task priority. Learned when it
/// happens.
bool priority_equal_is_taken;

}  // namespace

bool VirtualProcessor::can_interrupt(const Level& level) {
    return (level.vmcb->save.rflags & arch::rflags_bit::interrupt) != 0 &&
           (level.vmcb->control.interrupt_state & interrupt_shadow) == 0;
}

/// Asks for an exit as soon as an interrupt of `priority` can be taken.
void VirtualProcessor::request_window(Level& level, unsigned priority, bool ignore_task_priority) {
    svm::ControlArea& control = level.vmcb->control;
    control.virtual_interrupt |= svm::virtual_interrupt::pending |
                                 (u64{priority} << svm::virtual_interrupt::priority_shift) |
                                 (ignore_task_priority ? svm::virtual_interrupt::ignore_task_priority : 0);
}

void VirtualProcessor::prepare_guest_injection() {
    svm::ControlArea& control = guest_.vmcb->control;
    control.virtual_interrupt = svm::virtual_interrupt::masking | guest_apic_.cr8();
    control.event_injection = 0;
    bool slot_free = true;
    if (guest_.pending_event.valid()) {
        control.event_injection = guest_.pending_event.raw;
        guest_.pending_event = {};
        slot_free = false;
    }
    if (nmi_requested_.load(std::memory_order_acquire) && !nmi_blocked_) {
        if (slot_free && (control.interrupt_state & interrupt_shadow) == 0) {
            nmi_requested_.store(false, std::memory_order_relaxed);
            control.event_injection = svm::Event::make(svm::EventType::nmi, 2).raw;
            nmi_blocked_ = true;
            control.intercept_misc1 |= svm::intercept1::iret;
            slot_free = false;
        } else {
            request_window(guest_, highest_priority, true);
        }
    }
    int external = external_requested_.load(std::memory_order_acquire);
    if (external >= 0 && guest_apic_.accepts_external()) {
        if (slot_free && can_interrupt(guest_)) {
            external_requested_.compare_exchange_strong(external, -1, std::memory_order_acq_rel);
            control.event_injection =
                svm::Event::make(svm::EventType::external_interrupt, static_cast<u8>(external)).raw;
            slot_free = false;
        } else {
            request_window(guest_, highest_priority, true);
        }
    }
    if (int vector = guest_apic_.deliverable(); vector >= 0) {
        if (slot_free && can_interrupt(guest_)) {
            guest_apic_.acknowledge(static_cast<u8>(vector));
            control.event_injection = svm::Event::make(svm::EventType::external_interrupt, static_cast<u8>(vector)).raw;
            vector = guest_apic_.deliverable();
        }
        if (vector >= 0) {
            request_window(guest_, highest_priority, true);
        }
    } else if (int request = guest_apic_.highest_request(); request >= 0 && guest_apic_.cr8() >= (request >> 4)) {
        // The task priority holds it back: exit when VTL0 lowers CR8 far enough.
        auto priority = static_cast<unsigned>(request >> 4);
        request_window(guest_, priority_equal_is_taken && priority > 0 ? priority - 1 : priority, false);
    }
    if (deliverability_wanted_) {
        request_window(guest_, highest_priority, true);
    }
    guest_assist_.offer(guest_apic_);
}

void VirtualProcessor::prepare_image_injection() {
    svm::ControlArea& control = image_.vmcb->control;
    control.virtual_interrupt = svm::virtual_interrupt::masking;
    control.event_injection = 0;
    if (image_.pending_event.valid()) {
        control.event_injection = image_.pending_event.raw;
        image_.pending_event = {};
    } else if (int vector = image_apic_.highest(); vector >= 0 && can_interrupt(image_)) {
        image_apic_.acknowledge(static_cast<u8>(vector));
        control.event_injection = svm::Event::make(svm::EventType::external_interrupt, static_cast<u8>(vector)).raw;
    }
    if (image_apic_.pending()) {
        request_window(image_, highest_priority, true);
    }
}

/// After an exit: an event whose delivery the exit cut short is delivered again; CR8 goes back to the APIC.
void VirtualProcessor::save_interrupted_event(Level& level) {
    svm::ControlArea& control = level.vmcb->control;
    svm::Event event{control.exit_interrupt_info};
    bool software =
        event.type() == svm::EventType::software_interrupt ||
        (event.type() == svm::EventType::exception && (event.vector() == static_cast<u8>(arch::Exception::breakpoint) ||
                                                       event.vector() == static_cast<u8>(arch::Exception::overflow)));
    // RIP still points at an instruction that raised the event by itself: it runs again.
    if (event.valid() && !software && control.exit_code != svm::exit_shutdown) {
        level.pending_event = event;
    }
    control.event_injection = 0;
    if (&level != &guest_) {
        return;
    }
    if (guest_assist_.take_back()) {
        // An edge, with nothing behind it: its end has no effect to carry out.
        [[maybe_unused]] auto effect = guest_apic_.write(apic::end_of_interrupt, 0, arch::read_tsc(), false);
    }
    auto cr8 = static_cast<u8>(control.virtual_interrupt & 0xF);
    bool window = (control.virtual_interrupt & svm::virtual_interrupt::ignore_task_priority) == 0;
    if (control.exit_code == svm::exit_virtual_interrupt && window &&
        ((control.virtual_interrupt >> svm::virtual_interrupt::priority_shift) & 0xF) == cr8) {
        priority_equal_is_taken = true;
    }
    if (cr8 != guest_apic_.cr8()) {
        guest_apic_.set_cr8(cr8);
    }
}

void VirtualProcessor::inject_exception(Level& level, u8 vector) {
    level.pending_event = svm::Event::make(svm::EventType::exception, vector);
}

void VirtualProcessor::inject_exception(Level& level, u8 vector, u32 error_code) {
    level.pending_event = svm::Event::make(svm::EventType::exception, vector, error_code);
}

/// Moves RIP behind an instruction of known length, which ends an interrupt shadow.
void VirtualProcessor::advance(Level& level, u64 instruction_bytes) {
    svm::SaveArea& save = level.vmcb->save;
    u64 next = machine.has_next_rip && level.vmcb->control.next_rip != 0 ? level.vmcb->control.next_rip
                                                                         : save.rip + instruction_bytes;
    constexpr u16 long_code = 1u << 9;
    bool is_64bit = (save.efer & arch::efer_bit::long_mode_active) != 0 && (save.cs.attributes & long_code) != 0;
    save.rip = is_64bit ? next : next & 0xFFFF'FFFF;
    level.vmcb->control.interrupt_state &= ~interrupt_shadow;
}

}  // namespace undercroft::monitor
