// The run loop of a VP: who runs next, until when, and the entry itself.
#include "arch/x86_64/cpu.hpp"
#include "arch/x86_64/registers.hpp"
#include "kernel/monitor/log.hpp"
#include "kernel/monitor/machine.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 dr6_reset = 0xFFFF'0FF0;
constexpr u64 dr7_reset = 0x400;
/// Descriptor attributes (VMCB form) after INIT: present, accessed code or data; LDT; busy 16-bit TSS.
constexpr u16 real_mode_code = 0x9B;
constexpr u16 real_mode_data = 0x93;
constexpr u16 ldt_attributes = 0x82;
constexpr u16 tss_attributes = 0x83;
/// Longest sleep of the physical timer: its count has 32 bits.
constexpr u64 timer_count_max = 0xFFFF'FFFF;
/// Shortest period of a timer that repeats.
constexpr u64 period_us_min = 100;

u64 earlier(u64 a, u64 b) { return a < b ? a : b; }

}  // namespace

void VirtualProcessor::run() {
    for (;;) {
        arch::take_pending_interrupts();
        take_requests();
        u64 now = arch::read_tsc();
        guest_apic_.expire(now);
        image_apic_.expire(now);
        if (Level* level = choose(); level != nullptr) {
            enter(*level);
        } else {
            idle();
        }
    }
}

/// Looks at what other CPUs asked for. A startup is looked up before INIT and carried out after it: one that is seen
/// was sent after an INIT that is seen too.
void VirtualProcessor::take_requests() {
    kicked_.store(false, std::memory_order_seq_cst);
    bool startup = startup_requested_.load(std::memory_order_acquire) >= 0;
    if (init_requested_.load(std::memory_order_acquire) && init_requested_.exchange(false, std::memory_order_acq_rel)) {
        guest_phase_ = GuestPhase::waiting_for_startup;
        guest_.halted = false;
        guest_apic_.initialise();
        reset_guest_state();
    }
    if (startup) {
        int page = startup_requested_.exchange(-1, std::memory_order_acq_rel);
        if (page >= 0 && guest_phase_ == GuestPhase::waiting_for_startup) {
            start_guest_at(static_cast<u8>(page));
        }
    }
}

Level* VirtualProcessor::choose() {
    if (!image_started()) {
        return nullptr;
    }
    if (!image_active_) {
        for (u32 i = 0; i < 4; ++i) {
            if (acknowledged_levels_[i] != 0) {
                auto bit = static_cast<u32>(__builtin_ctzll(acknowledged_levels_[i]));
                acknowledged_levels_[i] &= acknowledged_levels_[i] - 1;
                tlfs::ApicEoiMessage message{index_, i * 64 + bit};
                deliver_intercept(tlfs::MessageType::apic_eoi, &message, sizeof(message));
                return &image_;
            }
        }
        if (image_apic_.pending()) {
            enter_image(tlfs::VtlEntryReason::interrupt);
        }
    }
    if (image_active_) {
        if (image_.halted && !image_apic_.pending()) {
            return nullptr;
        }
        image_.halted = false;
        return &image_;
    }
    if (guest_phase_ != GuestPhase::running) {
        return nullptr;
    }
    if (guest_.halted) {
        if (notify_deliverable()) {
            return &image_;
        }
        bool interrupt = guest_apic_.deliverable() >= 0 ||
                         (external_requested_.load(std::memory_order_acquire) >= 0 && guest_apic_.accepts_external());
        bool enabled = (guest_.vmcb->save.rflags & arch::rflags_bit::interrupt) != 0;
        bool nmi = nmi_requested_.load(std::memory_order_acquire) && !nmi_blocked_;
        if (!(interrupt && enabled) && !nmi && !guest_.pending_event.valid()) {
            return nullptr;
        }
        guest_.halted = false;
    }
    return &guest_;
}

/// Arms the physical timer for whichever level is first. One that fires earlier than needed stays: it costs one look.
void VirtualProcessor::program_timer() {
    u64 deadline = earlier(guest_apic_.next_deadline(), image_apic_.next_deadline());
    if (machine.is_tcg) {
        u64 heartbeat = arch::read_tsc() + heartbeat_ms * (machine.tsc_frequency_hz / 1000);
        deadline = earlier(deadline, heartbeat);
    }
    if (timer_deadline_ <= deadline) {
        return;
    }
    timer_deadline_ = deadline;
    if (machine.has_tsc_deadline) {
        arch::write_msr(arch::msr::tsc_deadline, deadline);
        return;
    }
    u64 now = arch::read_tsc();
    u64 ticks = deadline > now ? deadline - now : 0;
    u64 count = static_cast<u64>((static_cast<unsigned __int128>(ticks) * machine.timer_ticks_per_tsc) >> 32) + 1;
    if (machine.is_tcg) {
        // The timer repeats there, and QEMU makes up for each period it was late, in its main loop: with a period shorter than that
        // takes, the loop never ends and the whole machine stands still.
        u64 shortest = machine.timer_frequency_hz * period_us_min / 1'000'000;
        count = count > shortest ? count : shortest;
    }
    // A sleep that is too long for the counter ends early, and is armed again then.
    machine.apic.set_timer_count(static_cast<u32>(count < timer_count_max ? count : timer_count_max));
}

void VirtualProcessor::idle() {
    program_timer();
    // A kick that came after take_requests() is pending and ends the sleep at once.
    arch::wait_for_interrupt();
}

/// Makes `level`'s vector state and XCR0 the CPU's.
void VirtualProcessor::load(Level& level) {
    if (loaded_ == &level) {
        return;
    }
    // With XCR0 at its widest the whole state moves, whatever the level itself has enabled.
    u64 present = arch::read_xcr0();
    if (present != machine.xcr0) {
        arch::write_xcr0(machine.xcr0);
    }
    if (loaded_ != nullptr) {
        // QEMU's TCG does not intercept XSETBV: what the level wrote is known from here alone.
        loaded_->xcr0 = (present & machine.xcr0) | 1;
        arch::save_extended_state(loaded_->extended_state, machine.xcr0);
    }
    arch::restore_extended_state(level.extended_state, machine.xcr0);
    if (level.xcr0 != machine.xcr0) {
        arch::write_xcr0(level.xcr0);
    }
    loaded_ = &level;
}

void VirtualProcessor::enter(Level& level) {
    bool is_guest = &level == &guest_;
    load(level);
    level.vmcb->control.tlb_control = svm::tlb_keep;
    if (is_guest) {
        prepare_guest_injection();
        if (!logged_first_instruction_) {
            logged_first_instruction_ = true;
            if (index_ == 0) {
                u64 ticks = arch::read_tsc() - machine.entry_tsc;
                log("vtl0 first instruction after %lu us (%lu tsc)", ticks / (machine.tsc_frequency_hz / 1'000'000),
                    ticks);
            }
        }
        in_guest_.store(true, std::memory_order_seq_cst);
        u64 generation = machine.flush_generation.load(std::memory_order_seq_cst);
        if (level.seen_flush != generation) {
            level.vmcb->control.tlb_control = svm::tlb_flush_all;
            level.seen_flush = generation;
        }
        guest_seen_flush_.store(generation, std::memory_order_seq_cst);
    } else {
        prepare_image_injection();
        // VTL2's view only ever grows, but the translations of an earlier boot stage may linger.
        if (level.seen_flush == 0) {
            level.vmcb->control.tlb_control = svm::tlb_flush_all;
            level.seen_flush = 1;
        }
    }
    program_timer();
    EntryState before{level.vmcb->save.rip, level.vmcb->save.cr2, {level.vmcb->control.event_injection}};
    // SAFETY: control blocks and host state are this VP's own pages.
    arch::svm_enter(reinterpret_cast<u64>(level.vmcb), &level.registers, host_vmcb_);
    in_guest_.store(false, std::memory_order_seq_cst);
    save_interrupted_event(level);
    if (is_guest) {
        guest_exits_.record(*level.vmcb, static_cast<u32>(before.event.raw));
    }
    if (repeats_entry(level, before)) {
        return;
    }
    if (is_guest) {
        ++statistics_.vtl0_exits;
        handle_guest_exit();
    } else {
        ++statistics_.vtl2_exits;
        handle_image_exit();
    }
}

/// Whether an entry ended before it began and is to be made once more. QEMU's TCG now and then translates no address
/// right from VMRUN to the exit, so that the first fetch and then the exceptions about it end in a shutdown, although
/// the tables hold all of them.
bool VirtualProcessor::repeats_entry(Level& level, const EntryState& before) {
    svm::SaveArea& save = level.vmcb->save;
    bool nothing_done = level.vmcb->control.exit_code == svm::exit_shutdown && save.rip == before.rip;
    if (!machine.is_tcg || !nothing_done || level.repeats_entry) {
        level.repeats_entry = false;
        return false;
    }
    level.repeats_entry = true;
    log("vtl%u of VP %u: an entry at rip %lx ended in a shutdown before its first instruction; once more", level.vtl,
        index_, save.rip);
    save.cr2 = before.cr2;
    level.pending_event = before.event;
    return true;
}

/// Registers after INIT, real mode at the reset vector.
void VirtualProcessor::reset_guest_state() {
    svm::SaveArea& save = guest_.vmcb->save;
    for (svm::Segment* segment : {&save.es, &save.ss, &save.ds, &save.fs, &save.gs}) {
        *segment = {0, real_mode_data, 0xFFFF, 0};
    }
    save.cs = {0xF000, real_mode_code, 0xFFFF, 0xFFFF'0000};
    save.gdtr = save.idtr = {0, 0, 0xFFFF, 0};
    save.ldtr = {0, ldt_attributes, 0xFFFF, 0};
    save.tr = {0, tss_attributes, 0xFFFF, 0};
    save.cpl = 0;
    save.efer = arch::efer_bit::secure_vm;
    save.cr0 = arch::cr0_bit::extension_type;
    save.cr3 = save.cr4 = save.cr2 = 0;
    save.dr6 = dr6_reset;
    save.dr7 = dr7_reset;
    save.rflags = arch::rflags_bit::reserved_one;
    save.rip = 0xFFF0;
    save.rsp = save.rax = 0;
    guest_.registers = {};
    guest_.vmcb->control.interrupt_state = 0;
    guest_.pending_event = {};
    nmi_blocked_ = false;
    guest_.vmcb->control.intercept_misc1 &= ~svm::intercept1::iret;
}

void VirtualProcessor::start_guest_at(u8 page) {
    svm::SaveArea& save = guest_.vmcb->save;
    save.cs = {static_cast<u16>(page << 8), real_mode_code, 0xFFFF, u64{page} << 12};
    save.rip = 0;
    guest_phase_ = GuestPhase::running;
    guest_.halted = false;
}

}  // namespace undercroft::monitor
