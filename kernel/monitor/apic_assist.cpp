// EOI assist: see apic_assist.hpp.
#include "kernel/monitor/apic_assist.hpp"

namespace undercroft::monitor {

void ApicAssist::set(u64 msr, u32* field) {
    msr_ = msr;
    field_ = field;
    offered_ = false;
}

void ApicAssist::offer(const LocalApic& apic) {
    if (field_ == nullptr || !apic.is_last_interrupt()) {
        return;
    }
    offered_ = true;
    // SAFETY: guest RAM, shared with all of VTL0: one atomic access, and nothing but the one bit is believed of it.
    __atomic_fetch_or(field_, no_end_needed, __ATOMIC_SEQ_CST);
}

bool ApicAssist::take_back() {
    if (!offered_) {
        return false;
    }
    offered_ = false;
    // SAFETY: as above.
    return (__atomic_fetch_and(field_, ~no_end_needed, __ATOMIC_SEQ_CST) & no_end_needed) == 0;
}

}  // namespace undercroft::monitor
