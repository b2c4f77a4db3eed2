// The local APIC of one VP as VTL0 sees it: registers, priorities, timer, and what IPIs do. No privileged instruction,
// no time source of its own: the caller passes the TSC in and carries the effects out.
//
// Only the VP's own CPU calls it, except the functions under "any CPU", which touch atomics alone.
// Left out: memory-mapped access itself (VTL2 emulates it), machine check, thermal and performance counter interrupts
// (their LVT entries only store).
// Source: AMD64 Architecture Programmer's Manual volume 2, chapter 16.
#pragma once

#include <atomic>

#include "kernel/base/result.hpp"
#include "kernel/spec/apic.hpp"

namespace undercroft::monitor {

/// An interrupt on its way: from an interrupt command register, or from VTL2's AssertVirtualInterrupt.
struct Interrupt {
    apic::DeliveryMode mode = apic::DeliveryMode::fixed;
    apic::Shorthand shorthand = apic::Shorthand::none;
    u8 vector = 0;
    bool logical = false;
    bool level_triggered = false;
    u32 destination = 0;
};

class LocalApic {
public:
    static constexpr u64 no_deadline = ~u64{0};
    /// One count of the timer before its divider is this many TSC ticks (as a shift).
    static constexpr unsigned timer_shift = 4;

    /// What the caller has to do after a register write.
    struct Effect {
        bool sends = false;  ///< deliver `interrupt`
        Interrupt interrupt;
        bool level_acknowledged = false;  ///< tell VTL2 that `vector` was acknowledged
        u8 vector = 0;
    };

    /// State after reset; the bootstrap processor's LINT0 and LINT1 are as firmware leaves them.
    void reset(u32 apic_id, bool bootstrap);
    /// State after INIT: as reset, but identity and base stay.
    void initialise();

    /// Register `reg` (x2APIC number). With `memory_mapped` the xAPIC view, which knows DFR and the split command
    /// register.
    /// `access_denied` where the register cannot be read: a general protection fault for an MSR, zero for memory.
    Result<u64> read(u32 reg, u64 tsc, bool memory_mapped) const;
    Result<Effect> write(u32 reg, u64 value, u64 tsc, bool memory_mapped);

    /// The interrupt command as it was last written: destination above, in the mode's own place.
    u64 command() const { return command_; }
    u64 base() const { return base_; }
    /// APIC_BASE. `access_denied` for a transition that the architecture forbids.
    Result<void> set_base(u64 value);
    bool is_x2apic() const { return (base_ & apic::base_bit::x2apic) != 0; }

    /// TSC deadline MSR.
    u64 tsc_deadline() const;
    void set_tsc_deadline(u64 value);

    /// TSC at which the timer next does something; `no_deadline` where it is stopped.
    u64 next_deadline() const { return deadline_; }
    /// Lets the timer do what is due at `tsc`.
    void expire(u64 tsc);

    /// CR8: bits 7:4 of the task priority.
    u8 cr8() const { return static_cast<u8>(task_priority_ >> 4); }
    void set_cr8(u8 value) { task_priority_ = static_cast<u8>((value & 0xF) << 4); }

    /// Vector to inject next, above the processor priority; -1: none.
    int deliverable() const;
    /// Highest requested vector, whatever the priorities; -1: none.
    int highest_request() const;
    /// Whether one edge-triggered interrupt is in service and nothing waits behind it: its end changes nothing else.
    bool is_last_interrupt() const;
    /// The vector goes from requested to in service.
    void acknowledge(u8 vector);

    // Any CPU.

    u32 id() const { return id_; }
    /// Whether this APIC takes an interrupt sent to `destination` by an APIC in the same mode.
    bool matches(u32 destination, bool logical) const;
    /// Requests a fixed interrupt. False where the APIC is off and ignores it.
    bool request(u8 vector, bool level_triggered);
    bool is_enabled() const { return software_enabled_.load(std::memory_order_relaxed); }
    /// Whether LINT0 lets the PIC through.
    bool accepts_external() const;

private:
    static constexpr usize words = 8;

    Result<Effect> write_command(u64 value, bool memory_mapped);
    Effect end_of_interrupt();
    void start_timer(u64 tsc);
    u32 current_count(u64 tsc) const;
    unsigned count_shift() const;
    apic::TimerMode timer_mode() const;
    u8 processor_priority() const;
    int highest_in_service() const;
    u32* local_vector(u32 reg);

    u32 id_ = 0;
    u64 base_ = 0;
    u32 task_priority_ = 0;
    u32 spurious_ = 0xFF;
    u32 error_ = 0;
    u32 pending_error_ = 0;
    u64 command_ = 0;
    u32 timer_lvt_ = apic::lvt_masked;
    u32 lvt_[6] = {};  ///< thermal, performance, LINT0, LINT1, error, CMCI
    u32 divide_ = 0;
    u32 initial_count_ = 0;
    u64 timer_start_ = 0;
    u64 deadline_ = no_deadline;
    u32 in_service_[words] = {};
    std::atomic<u32> request_[words] = {};
    std::atomic<u32> trigger_[words] = {};
    std::atomic<u32> logical_{0};
    std::atomic<u32> format_{0xFFFF'FFFF};
    std::atomic<bool> software_enabled_{false};
    std::atomic<bool> x2apic_{false};
};

}  // namespace undercroft::monitor
