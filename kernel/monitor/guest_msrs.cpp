// MSRs without effect: see guest_msrs.hpp.
#include "kernel/monitor/guest_msrs.hpp"

#include "arch/x86_64/registers.hpp"

namespace undercroft::monitor {

namespace msr = arch::msr;

namespace {

/// Write combining, fixed ranges, eight variable ranges.
constexpr u64 mtrr_capability = 0x508;
constexpr u64 mtrr_default_writable = 0xC07;
constexpr u32 mtrr_fixed_4k_count = 8;
/// A microcode level that no erratum check objects to.
constexpr u64 patch_level = u64{0x0100'0065} << 32;

// Interrupt pending message, power states, instruction and data cache configuration and the like: zero, writes ignored.
constexpr u32 reads_zero[] = {
    0x17,                                           // platform id
    0x2A,                                           // power-on configuration
    0x34,                                           // SMI count
    0x1D9,                                          // debug control
    0x1DB,       0x1DC,       0x1DD,        0x1DE,  // last branch
    msr::syscfg, msr::hwcr,   msr::top_mem, msr::top_mem2, msr::nb_cfg,
    0xC001'0055,               // interrupt pending
    0xC001'0140, 0xC001'0141,  // OS visible workarounds
    0xC001'1020, 0xC001'1021, 0xC001'1022,  0xC001'1023,   0xC001'1029, 0xC001'102A, 0xC001'102B,
};

bool is_in(u32 msr, const u32* list, usize count) {
    for (usize i = 0; i < count; ++i) {
        if (list[i] == msr) {
            return true;
        }
    }
    return false;
}

/// Index of a fixed MTRR, -1: none.
int fixed_index(u32 msr) {
    if (msr == msr::mtrr_fixed_64k) {
        return 0;
    }
    if (msr == msr::mtrr_fixed_16k || msr == msr::mtrr_fixed_16k + 1) {
        return static_cast<int>(1 + msr - msr::mtrr_fixed_16k);
    }
    if (msr >= msr::mtrr_fixed_4k && msr < msr::mtrr_fixed_4k + mtrr_fixed_4k_count) {
        return static_cast<int>(3 + msr - msr::mtrr_fixed_4k);
    }
    return -1;
}

}  // namespace

Result<u64> GuestMsrs::read(u32 msr) const {
    if (msr >= msr::mtrr_variable_first && msr < msr::mtrr_variable_first + 2 * variable_ranges) {
        return mtrr_variable_[msr - msr::mtrr_variable_first];
    }
    if (int index = fixed_index(msr); index >= 0) {
        return mtrr_fixed_[index];
    }
    switch (msr) {
    case msr::mtrr_capability:
        return mtrr_capability;
    case msr::mtrr_default_type:
        return mtrr_default_;
    case msr::misc_enable:
        return misc_enable_;
    case msr::patch_level:
        return patch_level;
    case msr::machine_check_capability:
    case msr::machine_check_control:
        return u64{0};
    case msr::machine_check_status:
        return machine_check_status_;
    case msr::feature_control:
        return u64{1};  // locked, nothing enabled
    default:
        break;
    }
    if (is_in(msr, reads_zero, sizeof(reads_zero) / sizeof(reads_zero[0]))) {
        return u64{0};
    }
    return fail(Error::not_found);
}

Result<void> GuestMsrs::write(u32 msr, u64 value) {
    if (msr >= msr::mtrr_variable_first && msr < msr::mtrr_variable_first + 2 * variable_ranges) {
        mtrr_variable_[msr - msr::mtrr_variable_first] = value;
        return {};
    }
    if (int index = fixed_index(msr); index >= 0) {
        mtrr_fixed_[index] = value;
        return {};
    }
    switch (msr) {
    case msr::mtrr_default_type:
        mtrr_default_ = value & mtrr_default_writable;
        return {};
    case msr::misc_enable:
        misc_enable_ = value;
        return {};
    case msr::machine_check_status:
        machine_check_status_ = value;
        return {};
    case msr::patch_level:
    case msr::machine_check_control:
        return {};
    case msr::mtrr_capability:
    case msr::machine_check_capability:
    case msr::feature_control:
        return fail(Error::access_denied);
    default:
        break;
    }
    if (is_in(msr, reads_zero, sizeof(reads_zero) / sizeof(reads_zero[0]))) {
        return {};
    }
    return fail(Error::not_found);
}

}  // namespace undercroft::monitor
