// The APIC assist field of VTL0's VP assist page: where one edge-triggered interrupt is all there is, VTL0 may end it by
// clearing a bit in its own memory instead of leaving for it. Source: TLFS section 10.3.5, "EOI assist"; 7.8.7, VP
// assist page.
//
// The bit is offered at an entry and taken back at the exit, always: while VTL0 runs, whatever makes a second interrupt
// pending makes it leave, and so the offer never stands when there is something to deliver at the end of the first.
#pragma once

#include "kernel/base/result.hpp"
#include "kernel/monitor/local_apic.hpp"

namespace undercroft::monitor {

class ApicAssist {
public:
    /// The MSR as VTL0 wrote it.
    u64 msr() const { return msr_; }
    /// `field` is the assist page's first dword where VTL0 enabled the page: guest RAM, which VTL0 may change at any
    /// time; else null.
    void set(u64 msr, u32* field);

    /// Before an entry into VTL0: offers to go without an end of interrupt, where that does no harm.
    void offer(const LocalApic& apic);
    /// After an exit: takes the offer back; whether VTL0 has used it and the interrupt has ended.
    bool take_back();

private:
    static constexpr u32 no_end_needed = 1;

    u64 msr_ = 0;
    u32* field_ = nullptr;
    bool offered_ = false;
};

}  // namespace undercroft::monitor
