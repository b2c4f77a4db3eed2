// The executor's environment on a virtual processor: time is the TSC, and idling is running the guest. When nothing is
// ready the processor returns to VTL0 and comes back with an intercept, which is handled at once, or an interrupt.
// Until its guest may run it sleeps instead.
#pragma once

#include <atomic>

#include "kernel/vtl/virtual_processor.hpp"

namespace undercroft {

/// What to do with what the guest did. Called on the processor that the guest did it on.
class InterceptHandler {
public:
    virtual ~InterceptHandler() = default;
    /// Handles `processor.intercept_message()`.
    virtual void on_intercept(VirtualProcessor& processor) = 0;
    /// The processor is about to run the guest: the last moment to give it something.
    virtual void before_guest(VirtualProcessor& processor) = 0;
};

/// Converts between TSC ticks and nanoseconds.
class TscClock {
public:
    constexpr TscClock() = default;
    explicit constexpr TscClock(u64 frequency_hz)
        : nanoseconds_per_tick_((nanoseconds_per_second << ns_fraction_bits) / frequency_hz),
          ticks_per_nanosecond_((frequency_hz << tick_fraction_bits) / nanoseconds_per_second) {}
    /// Rounded down.
    constexpr u64 to_ns(u64 ticks) const {
        return static_cast<u64>((static_cast<unsigned __int128>(ticks) * nanoseconds_per_tick_) >> ns_fraction_bits);
    }
    /// Rounded up, so that a deadline has passed when its tick has come: the factors' own error is below one part in
    /// 10^8. Saturates.
    constexpr u64 to_ticks(u64 ns) const {
        unsigned __int128 ticks = (static_cast<unsigned __int128>(ns) * ticks_per_nanosecond_) >> tick_fraction_bits;
        u64 margin = (ns >> 27) + 2;
        return ticks >> 62 ? u64{1} << 62 : static_cast<u64>(ticks) + margin;
    }

private:
    static constexpr int ns_fraction_bits = 32;
    static constexpr int tick_fraction_bits = 30;
    u64 nanoseconds_per_tick_ = 0;
    u64 ticks_per_nanosecond_ = 0;
};

class VpExecutorPlatform final : public ExecutorPlatform {
public:
    VpExecutorPlatform(VirtualProcessor& processor, TscClock clock);
    VpExecutorPlatform(const VpExecutorPlatform&) = delete;
    VpExecutorPlatform& operator=(const VpExecutorPlatform&) = delete;

    /// Takes vectors for timer and wake-up. On the processor itself, after `VirtualProcessor::enable`.
    Result<void> enable();
    /// From now on idling runs the guest, and `intercepts` (which must outlive this) answers it. From any processor.
    void start_guest(InterceptHandler& intercepts);

    /// Keeps the guest from running here until as many calls of `resume_guest`; idling sleeps meanwhile. Pausing is for
    /// the processor itself, resuming for any.
    void pause_guest() { guest_pauses_.fetch_add(1, std::memory_order_relaxed); }
    void resume_guest() {
        guest_pauses_.fetch_sub(1, std::memory_order_release);
        wake();
    }

    u64 now_ns() override;
    void idle(u64 deadline_ns) override;
    void wake() override;

    /// Runs `executor` for ever; interrupts are looked at after each of its rounds, however busy it is.
    [[noreturn]] void run(Executor& executor);

private:
    class Notice final : public InterruptHandler {
    public:
        explicit Notice(VpExecutorPlatform& owner, void (VpExecutorPlatform::*action)())
            : owner_(owner), action_(action) {}
        void on_interrupt() override { (owner_.*action_)(); }

    private:
        VpExecutorPlatform& owner_;
        void (VpExecutorPlatform::*action_)();
    };
    void on_timer() { armed_deadline_ns_ = no_deadline; }
    void on_wake() {}
    void arm(u64 deadline_ns);
    void give_away();

    VirtualProcessor& processor_;
    TscClock clock_;
    Notice timer_notice_;
    Notice wake_notice_;
    u8 wake_vector_ = 0;
    u64 armed_deadline_ns_ = no_deadline;
    std::atomic<InterceptHandler*> intercepts_{nullptr};
    std::atomic<u32> guest_pauses_{0};
    std::atomic<bool> woken_{false};
    std::atomic<bool> idle_{false};
};

}  // namespace undercroft
