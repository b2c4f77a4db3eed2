// VirtualTimePlatform and SimulatedProcessors.
#include "hostsim/platform/virtual_platform.hpp"

#include "kernel/base/assert.hpp"

namespace undercroft {

void VirtualTimePlatform::idle(u64 deadline_ns) {
    if (woken_) {
        woken_ = false;
        return;
    }
    if (deadline_ns == no_deadline) {
        PANIC("deadlock at virtual time %llu ns: no ready work and no timer",
              static_cast<unsigned long long>(clock_.now_ns()));
    }
    clock_.advance_to(deadline_ns);
}

SimulatedProcessors::SimulatedProcessors(usize count, u64 seed) : order_state_(seed) {
    ASSERT(count > 0);
    for (usize index = 0; index < count; ++index) {
        processors_.push_back(std::make_unique<Processor>(clock_));
        // Each its own order, none of them zero (which would mean first in, first out).
        processors_.back()->executor.set_scheduling_seed(seed == 0 ? 0 : (seed ^ (index + 1) * 0x9e3779b97f4a7c15) | 1);
    }
}

std::vector<Executor*> SimulatedProcessors::executors() {
    std::vector<Executor*> list;
    list.reserve(processors_.size());
    for (auto& processor : processors_) {
        list.push_back(&processor->executor);
    }
    return list;
}

void SimulatedProcessors::step(u64 limit_ns) {
    usize first = 0;
    if (order_state_ != 0) {
        order_state_ ^= order_state_ << 13;
        order_state_ ^= order_state_ >> 7;
        order_state_ ^= order_state_ << 17;
        first = order_state_ % processors_.size();
    }
    bool ran = false;
    for (usize turn = 0; turn < processors_.size(); ++turn) {
        Executor& executor = processors_[(first + turn) % processors_.size()]->executor;
        CurrentExecutorScope scope(executor);
        ran |= executor.run_ready();
    }
    if (ran) {
        return;
    }
    u64 next = no_deadline;
    for (auto& processor : processors_) {
        u64 deadline = processor->executor.next_deadline_ns();
        next = deadline < next ? deadline : next;
    }
    if (next == no_deadline) {
        PANIC("deadlock at virtual time %llu ns: no ready work and no timer on any of %zu processors",
              static_cast<unsigned long long>(clock_.now_ns()), processors_.size());
    }
    if (next > limit_ns) {
        PANIC("still not done at virtual time %llu ns; the next timer is at %llu ns",
              static_cast<unsigned long long>(clock_.now_ns()), static_cast<unsigned long long>(next));
    }
    clock_.advance_to(next);
}

}  // namespace undercroft
