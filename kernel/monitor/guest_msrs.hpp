// MSRs of VTL0 that only hold what was written to them, or read as constants: MTRRs (nested paging decides the memory
// types), machine check (no banks), and AMD's configuration registers that Linux looks at. Everything that acts on the
// VP is in guest_msr_exits.cpp.
#pragma once

#include "kernel/base/result.hpp"

namespace undercroft::monitor {

class GuestMsrs {
public:
    /// `not_found` for an MSR that is not kept here.
    Result<u64> read(u32 msr) const;
    /// `not_found`, or `access_denied` for a value that the register refuses.
    Result<void> write(u32 msr, u64 value);

private:
    static constexpr usize variable_ranges = 8;
    static constexpr usize fixed_ranges = 11;

    u64 mtrr_default_ = 0;
    u64 mtrr_variable_[2 * variable_ranges] = {};
    u64 mtrr_fixed_[fixed_ranges] = {};
    u64 misc_enable_ = 1;  ///< fast strings
    u64 machine_check_status_ = 0;
};

/// Whether `value` is a page attribute table: every byte one of the memory types 0, 1, 4, 5, 6, 7.
constexpr bool is_valid_pat(u64 value) {
    for (unsigned i = 0; i < 8; ++i) {
        u64 type = (value >> (8 * i)) & 0xFF;
        if (type > 7 || type == 2 || type == 3) {
            return false;
        }
    }
    return true;
}

}  // namespace undercroft::monitor
