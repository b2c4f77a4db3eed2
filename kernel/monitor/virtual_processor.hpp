// One virtual processor: a physical CPU, and on it two guests of different trust, VTL0 and VTL2, of which one runs at
// a time.
//
// The run loop chooses: VTL2 while it is active, or when something is there for it; VTL0 otherwise; the idle CPU when
// neither has anything to do.
// Everything here is called on the VP's own CPU with interrupts off, except the functions under "any CPU".
// The monitor touches no vector register, so only a change of level moves the vector state.
#pragma once

#include <atomic>

#include "arch/x86_64/interrupts.hpp"
#include "arch/x86_64/svm.hpp"
#include "kernel/base/result.hpp"
#include "kernel/monitor/apic_assist.hpp"
#include "kernel/monitor/guest_msrs.hpp"
#include "kernel/monitor/image_apic.hpp"
#include "kernel/monitor/local_apic.hpp"
#include "kernel/spec/svm.hpp"
#include "kernel/spec/tlfs_messages.hpp"
#include "kernel/spec/vtl2_extension.hpp"

namespace undercroft::monitor {

/// One trust level on one VP.
struct Level {
    u8 vtl;
    svm::Vmcb* vmcb;
    arch::GuestRegisters registers;
    u8* extended_state;  ///< XSAVE area, valid while the level is not loaded
    u64 xcr0;
    svm::Event pending_event;  ///< injected at the next entry, before anything else
    bool halted;
    u64 seen_flush;      ///< generation of the view's last flush on this CPU
    bool repeats_entry;  ///< this entry is made a second time
};

/// What an entry began with.
struct EntryState {
    u64 rip = 0;
    u64 cr2 = 0;
    svm::Event event;  ///< EVENTINJ
};

/// The last exits of VTL0 on one VP, for the log when it cannot go on.
class ExitTrace {
public:
    void record(const svm::Vmcb& vmcb, u32 injected) {
        exits_[next_ % exits_kept] = {static_cast<u32>(vmcb.control.exit_code), injected, vmcb.save.rip, vmcb.save.cr3};
        ++next_;
    }
    /// Logs what is kept, the oldest first.
    void print() const;

private:
    static constexpr u32 exits_kept = 16;
    struct Exit {
        u32 code;
        u32 injected;  ///< EVENTINJ of the entry before, bits 31:0
        u64 rip;
        u64 cr3;
    };
    Exit exits_[exits_kept] = {};
    u32 next_ = 0;
};

class VirtualProcessor {
public:
    /// What VTL0's processor is doing.
    enum class GuestPhase : u8 { waiting_for_startup, running };

    /// Takes memory from the machine's pool and fills the control blocks. `out_of_memory`.
    Result<void> create(u32 index, u32 machine_apic_id);
    /// Turns on SVM and the physical APIC on this CPU, and makes it this VP's.
    void adopt_this_cpu();
    /// Runs the VP for ever.
    [[noreturn]] void run();

    u32 index() const { return index_; }
    u32 machine_apic_id() const { return machine_apic_id_; }
    u64 stack_top() const { return stack_top_; }

    /// Makes VTL2 ready on the first VP: `rdi` is what the entry finds in RDI.
    void start_first_image(const tlfs::InitialVpContext& context, u64 rdi);

    // Any CPU.

    /// VTL2 may run here from now on. False when it was started before.
    bool start_image(const tlfs::InitialVpContext& context);
    void set_online() { online_.store(true, std::memory_order_release); }
    bool is_online() const { return online_.load(std::memory_order_acquire); }
    bool image_started() const { return image_started_.load(std::memory_order_acquire); }
    /// Makes the VP look at its requests soon.
    void kick();
    LocalApic& guest_apic() { return guest_apic_; }
    ImageApic& image_apic() { return image_apic_; }
    void request_nmi() { nmi_requested_.store(true, std::memory_order_release); }
    void request_init() {
        startup_requested_.store(-1, std::memory_order_release);  // one from before is void
        init_requested_.store(true, std::memory_order_release);
    }
    void request_startup(u8 page) { startup_requested_.store(page, std::memory_order_release); }
    void request_external(u8 vector) { external_requested_.store(vector, std::memory_order_release); }
    /// Whether VTL0 runs with a view older than `generation`.
    bool runs_with_view_before(u64 generation) const {
        return in_guest_.load(std::memory_order_seq_cst) &&
               guest_seen_flush_.load(std::memory_order_seq_cst) < generation;
    }
    const vtl2::Statistics& statistics() const { return statistics_; }

    /// A physical interrupt arrived on this CPU (called from the interrupt handler).
    void physical_interrupt(u8 vector);
    /// Binds physical `vector` of this CPU to VTL2's `image_vector`; 0 unbinds.
    void bind_vector(u8 vector, u8 image_vector) { image_vectors_[vector] = image_vector; }
    /// A physical vector of this CPU that nothing is bound to; 0: none left.
    u8 free_vector() const;

private:
    friend class Hypercalls;
    friend class RegisterAccess;

    void set_image_context(const tlfs::InitialVpContext& context, u64 rdi);

    // run_loop.cpp
    void take_requests();
    Level* choose();
    void idle();
    void enter(Level& level);
    bool repeats_entry(Level& level, const EntryState& before);
    void load(Level& level);
    void program_timer();
    void start_guest_at(u8 page);
    void reset_guest_state();

    // injection.cpp
    void prepare_guest_injection();
    void prepare_image_injection();
    void save_interrupted_event(Level& level);
    void inject_exception(Level& level, u8 vector);
    void inject_exception(Level& level, u8 vector, u32 error_code);
    static void request_window(Level& level, unsigned priority, bool ignore_task_priority);
    static bool can_interrupt(const Level& level);
    static void advance(Level& level, u64 instruction_bytes);

    // guest_exits.cpp
    void handle_guest_exit();
    void guest_cpuid();
    void guest_io();
    void guest_memory();
    void guest_xsetbv();
    void guest_hypercall();
    bool notify_deliverable();
    void deliver_intercept(tlfs::MessageType type, const void* payload, u8 payload_bytes);
    tlfs::InterceptHeader intercept_header(u8 instruction_length, tlfs::AccessType access) const;

    // guest_msr_exits.cpp
    void guest_msr();
    Result<u64> read_guest_msr(u32 msr);
    Result<void> write_guest_msr(u32 msr, u64 value);
    Result<void> write_guest_apic(u32 reg, u64 value, bool memory_mapped);
    Result<void> set_guest_efer(u64 value);
    Result<void> set_guest_assist_page(u64 value);
    Result<void> write_guest_command(u64 value);

    // image_exits.cpp
    void handle_image_exit();
    void image_msr();
    Result<u64> read_image_msr(u32 msr);
    Result<void> write_image_msr(u32 msr, u64 value);
    void image_xsetbv();
    void image_send(u64 command);
    [[noreturn]] void violation(const char* kind, u64 address);

    // level_switch.cpp
    void enter_image(tlfs::VtlEntryReason reason);
    void leave_image();
    void publish_registers();
    void take_registers();

    u32 index_ = 0;
    u32 machine_apic_id_ = 0;
    u64 stack_top_ = 0;
    u64 exception_stacks_[3] = {};
    u64 host_vmcb_ = 0;
    u64 host_save_area_ = 0;
    arch::DescriptorTables tables_;

    Level guest_{};
    Level image_{};
    Level* loaded_ = nullptr;
    bool image_active_ = false;
    bool logged_first_instruction_ = false;
    GuestPhase guest_phase_ = GuestPhase::waiting_for_startup;

    LocalApic guest_apic_;
    ImageApic image_apic_;
    GuestMsrs guest_msrs_;
    ApicAssist guest_assist_;
    ExitTrace guest_exits_;
    bool nmi_blocked_ = false;
    /// VTL2 waits to be told that VTL0 can take an external interrupt.
    bool deliverability_wanted_ = false;
    /// Level-triggered vectors that VTL0 acknowledged and VTL2 has not heard of.
    u64 acknowledged_levels_[4] = {};

    tlfs::VpAssistPage* assist_ = nullptr;
    u64 image_assist_msr_ = 0;
    tlfs::RegisterPage* register_page_ = nullptr;
    u64 register_page_value_ = 0;

    u8 image_vectors_[256] = {};
    u64 timer_deadline_ = ~u64{0};

    std::atomic<bool> online_{false};
    std::atomic<bool> image_started_{false};
    std::atomic<bool> kicked_{false};
    std::atomic<bool> in_guest_{false};
    std::atomic<u64> guest_seen_flush_{0};
    std::atomic<bool> nmi_requested_{false};
    std::atomic<bool> init_requested_{false};
    std::atomic<int> startup_requested_{-1};
    std::atomic<int> external_requested_{-1};

    vtl2::Statistics statistics_{};
};

/// The VP of the CPU that asks.
VirtualProcessor& current_vp();

}  // namespace undercroft::monitor
