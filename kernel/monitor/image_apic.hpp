// The interrupt controller that VTL2 sees on one VP: 256 request bits without priorities in service, a deadline timer,
// IPIs between VTL2's VPs.
// Delivery acknowledges; EOI is accepted and means nothing. Registers as x2APIC MSRs. `request` may be called on any
// CPU, the rest on the VP's own.
#pragma once

#include <atomic>

#include "kernel/base/types.hpp"
#include "kernel/spec/apic.hpp"

namespace undercroft::monitor {

class ImageApic {
public:
    static constexpr u64 no_deadline = ~u64{0};

    /// From any processor.
    void request(u8 vector) { request_[vector / 64].fetch_or(u64{1} << (vector % 64), std::memory_order_seq_cst); }
    bool pending() const { return highest() >= 0; }
    /// Highest requested vector, -1: none.
    int highest() const {
        for (int i = 3; i >= 0; --i) {
            u64 word = request_[i].load(std::memory_order_acquire);
            if (word != 0) {
                return i * 64 + 63 - __builtin_clzll(word);
            }
        }
        return -1;
    }
    /// It was given to VTL2.
    void acknowledge(u8 vector) {
        request_[vector / 64].fetch_and(~(u64{1} << (vector % 64)), std::memory_order_acq_rel);
    }

    u32 timer_lvt() const { return timer_lvt_; }
    void set_timer_lvt(u32 value) { timer_lvt_ = value; }
    /// As the TSC deadline register has it: 0 is none.
    void set_deadline(u64 tsc) { deadline_ = tsc == 0 ? no_deadline : tsc; }
    u64 deadline() const { return deadline_ == no_deadline ? 0 : deadline_; }
    /// As a time: `no_deadline` is none.
    u64 next_deadline() const { return deadline_; }
    /// At the time `tsc`: requests the timer's vector where its deadline has passed and it is not masked.
    void expire(u64 tsc) {
        if (tsc >= deadline_) {
            deadline_ = no_deadline;
            if ((timer_lvt_ & apic::lvt_masked) == 0) {
                request(static_cast<u8>(timer_lvt_));
            }
        }
    }

private:
    std::atomic<u64> request_[4] = {};
    u32 timer_lvt_ = apic::lvt_masked;
    u64 deadline_ = no_deadline;
};

}  // namespace undercroft::monitor
