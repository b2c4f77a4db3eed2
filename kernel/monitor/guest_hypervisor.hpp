// The partition-wide half of what VTL0 sees of a hypervisor: guest OS id, hypercall page, reference time. TLFS 3.13,
// 12.
#pragma once

#include "kernel/base/result.hpp"
#include "kernel/base/spinlock.hpp"

namespace undercroft::monitor {

class GuestHypervisor {
public:
    u64 guest_os_id() const { return guest_os_id_; }
    void set_guest_os_id(u64 value);
    u64 hypercall() const { return hypercall_; }
    /// Writes the hypercall page into guest RAM when enabled. `access_denied` where that is no RAM.
    Result<void> set_hypercall(u64 value);
    bool hypercalls_enabled() const { return (hypercall_ & 1) != 0; }
    u64 reference_tsc() const { return reference_tsc_; }
    Result<void> set_reference_tsc(u64 value);
    /// 100 ns units since the first instruction.
    u64 reference_time() const;

private:
    Spinlock lock_;
    u64 guest_os_id_ = 0;
    u64 hypercall_ = 0;
    u64 reference_tsc_ = 0;
};

/// The page of guest RAM that a synthetic MSR's value names in bits 63:12. `access_denied` where that is no RAM.
Result<void*> guest_page_of(u64 msr_value);

/// The scale of the reference TSC page: time = (tsc * scale) >> 64 in 100 ns units.
u64 reference_scale(u64 tsc_frequency_hz);

}  // namespace undercroft::monitor
