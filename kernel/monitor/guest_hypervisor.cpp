// Synthetic MSRs of the partition: see guest_hypervisor.hpp.
#include "kernel/monitor/guest_hypervisor.hpp"

#include <string.h>

#include "arch/x86_64/cpu.hpp"
#include "kernel/monitor/machine.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 enable_bit = 1;
constexpr u64 page_mask = ~u64{0xFFF};
constexpr u64 reference_frequency_hz = 10'000'000;
/// vmmcall; ret
constexpr u8 hypercall_code[] = {0x0F, 0x01, 0xD9, 0xC3};

/// HV_REFERENCE_TSC_PAGE; sequence 0: not usable, read the counter MSR instead.
struct ReferenceTscPage {
    u32 sequence;
    u32 reserved;
    u64 scale;
    i64 offset;
};

u64 scale_tsc(u64 tsc, u64 scale) { return static_cast<u64>((static_cast<unsigned __int128>(tsc) * scale) >> 64); }

}  // namespace

Result<void*> guest_page_of(u64 msr_value) {
    auto address = machine.memory.guest_to_machine(msr_value & page_mask, page_size);
    if (!address) {
        return fail(Error::access_denied);
    }
    // SAFETY: guest RAM is identity-mapped for the monitor; the guest may change it at any time.
    return reinterpret_cast<void*>(*address);
}

u64 reference_scale(u64 tsc_frequency_hz) {
    // (10^7 << 64) / frequency, by long division: there is no 128-bit division here. The frequency is above 10 MHz, so
    // 64 bits hold the quotient.
    u64 quotient = 0;
    u64 remainder = reference_frequency_hz;
    for (int i = 0; i < 64; ++i) {
        bool carry = (remainder >> 63) != 0;
        remainder <<= 1;
        quotient <<= 1;
        if (carry || remainder >= tsc_frequency_hz) {
            remainder -= tsc_frequency_hz;
            quotient |= 1;
        }
    }
    return quotient;
}

u64 GuestHypervisor::reference_time() const {
    return scale_tsc(arch::read_tsc() - machine.entry_tsc, reference_scale(machine.tsc_frequency_hz));
}

void GuestHypervisor::set_guest_os_id(u64 value) {
    SpinlockGuard guard(lock_);
    guest_os_id_ = value;
    if (value == 0) {
        hypercall_ &= ~enable_bit;
    }
}

Result<void> GuestHypervisor::set_hypercall(u64 value) {
    SpinlockGuard guard(lock_);
    if (guest_os_id_ == 0) {
        value &= ~enable_bit;
    }
    if ((value & enable_bit) != 0) {
        void* page = TRY(guest_page_of(value));
        memcpy(page, hypercall_code, sizeof(hypercall_code));
    }
    hypercall_ = value & (page_mask | enable_bit);
    return {};
}

Result<void> GuestHypervisor::set_reference_tsc(u64 value) {
    SpinlockGuard guard(lock_);
    if ((value & enable_bit) != 0) {
        void* page = TRY(guest_page_of(value));
        u64 scale = reference_scale(machine.tsc_frequency_hz);
        ReferenceTscPage contents{.sequence = 1,
                                  .reserved = 0,
                                  .scale = scale,
                                  .offset = -static_cast<i64>(scale_tsc(machine.entry_tsc, scale))};
        memcpy(page, &contents, sizeof(contents));
    }
    reference_tsc_ = value & (page_mask | enable_bit);
    return {};
}

}  // namespace undercroft::monitor
