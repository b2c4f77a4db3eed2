// Idling and waking. `idle_` and `woken_` close the gap between the last look at the queues and giving the processor
// away: whoever wakes sets `woken_` first and then looks at `idle_`; whoever idles does it the other way round, so one
// of the two sees the other.
#include "kernel/vtl/vp_executor.hpp"

#include "kernel/vtl/cpu.hpp"

namespace undercroft {

VpExecutorPlatform::VpExecutorPlatform(VirtualProcessor& processor, TscClock clock)
    : processor_(processor), clock_(clock), timer_notice_(*this, &VpExecutorPlatform::on_timer),
      wake_notice_(*this, &VpExecutorPlatform::on_wake) {}

Result<void> VpExecutorPlatform::enable() {
    u8 timer_vector = TRY(processor_.allocate_vector(timer_notice_, EndOfInterrupt::by_us));
    processor_.enable_timer(timer_vector);
    wake_vector_ = TRY(processor_.allocate_vector(wake_notice_, EndOfInterrupt::by_us));
    return {};
}

void VpExecutorPlatform::start_guest(InterceptHandler& intercepts) {
    intercepts_.store(&intercepts, std::memory_order_release);
    wake();
}

u64 VpExecutorPlatform::now_ns() { return clock_.to_ns(cpu::read_tsc()); }

void VpExecutorPlatform::arm(u64 deadline_ns) {
    // An earlier timer than needed only costs one early return from idling; moving it costs an exit each time.
    if (deadline_ns < armed_deadline_ns_) {
        armed_deadline_ns_ = deadline_ns;
        processor_.set_timer(clock_.to_ticks(deadline_ns));
    }
}

void VpExecutorPlatform::give_away() {
    InterceptHandler* intercepts = intercepts_.load(std::memory_order_acquire);
    if (intercepts == nullptr || guest_pauses_.load(std::memory_order_acquire) != 0) {
        cpu::wait_for_interrupt();
        return;
    }
    intercepts->before_guest(processor_);
    processor_.clear_entry_reason();
    cpu::vtl_return();
    if (processor_.entry_reason() == tlfs::VtlEntryReason::intercept) {
        idle_.store(false, std::memory_order_relaxed);
        intercepts->on_intercept(processor_);
    }
}

void VpExecutorPlatform::idle(u64 deadline_ns) {
    if (deadline_ns != no_deadline) {
        if (deadline_ns <= now_ns()) {
            return;
        }
        arm(deadline_ns);
    }
    idle_.store(true, std::memory_order_seq_cst);
    if (!woken_.exchange(false, std::memory_order_seq_cst)) {
        give_away();
    }
    idle_.store(false, std::memory_order_relaxed);
    processor_.dispatch_interrupts();
}

void VpExecutorPlatform::wake() {
    woken_.store(true, std::memory_order_seq_cst);
    if (idle_.load(std::memory_order_seq_cst) && &VirtualProcessor::current() != &processor_) {
        VirtualProcessor::current().send_interrupt(processor_.apic_id(), wake_vector_);
    }
}

void VpExecutorPlatform::run(Executor& executor) {
    for (;;) {
        executor.run_once();
        cpu::take_pending_interrupts();
        processor_.dispatch_interrupts();
    }
}

}  // namespace undercroft
