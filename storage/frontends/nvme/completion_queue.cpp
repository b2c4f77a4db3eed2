// Completion queue: room, posting, head doorbell.
#include "storage/frontends/nvme/completion_queue.hpp"

#include <cstring>

#include "storage/frontends/nvme/guest_words.hpp"

namespace undercroft::nvme {

void CompletionQueue::activate(const Setup& setup) {
    SpinlockGuard guard(lock_);
    setup_ = setup;
    tail_ = head_ = used_ = reserved_ = unsignalled_ = 0;
    phase_ = true;
    starved_ = false;
    active_.store(true, std::memory_order_release);
}

void CompletionQueue::deactivate() {
    SpinlockGuard guard(lock_);
    active_.store(false, std::memory_order_release);
    setup_ = {};
}

void CompletionQueue::use_shadow(std::byte* shadow_head, std::byte* event_index) {
    SpinlockGuard guard(lock_);
    if (!is_active()) {
        return;
    }
    setup_.shadow_head = shadow_head;
    setup_.event_index = event_index;
    store_guest_u32(shadow_head, head_);
    store_guest_u32(event_index, head_);
}

bool CompletionQueue::move_head(u32 value) {
    if (value >= setup_.entries) {
        return false;
    }
    u32 taken = value >= head_ ? value - head_ : value + setup_.entries - head_;
    if (taken > used_) {
        return false;
    }
    head_ = value;
    used_ -= taken;
    return true;
}

bool CompletionQueue::take_shadow_head() {
    return setup_.shadow_head != nullptr && move_head(load_guest_u32(setup_.shadow_head)) && room() > 0;
}

u32 CompletionQueue::reserve(u32 wanted) {
    SpinlockGuard guard(lock_);
    if (!is_active()) {
        return 0;
    }
    if (room() == 0 && !take_shadow_head()) {
        starved_ = true;
        if (setup_.event_index == nullptr) {
            return 0;
        }
        // Ask for an MMIO write at the next head; then look once more, for the host may have moved it before it saw
        // that.
        store_guest_u32(setup_.event_index, head_);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (!take_shadow_head()) {
            return 0;
        }
    }
    u32 granted = wanted < room() ? wanted : room();
    reserved_ += granted;
    return granted;
}

void CompletionQueue::unreserve(u32 count) {
    SpinlockGuard guard(lock_);
    if (is_active()) {
        reserved_ -= count;
    }
}

void CompletionQueue::post(const SubmissionEntry& entry, u16 queue_id, u16 submission_head, const Outcome& outcome) {
    bool interrupt = false;
    {
        SpinlockGuard guard(lock_);
        if (!is_active()) {
            return;
        }
        CompletionEntry completion;
        completion.result = outcome.result;
        completion.result_high = outcome.result_high;
        completion.submission_head = submission_head;
        completion.submission_id = queue_id;
        completion.command_id = entry.command_id;
        completion.status = StatusField::make(outcome.status, outcome.do_not_retry, phase_).raw;
        // The last dword holds the phase: it is stored last, and at once.
        constexpr usize before_phase = offsetof(CompletionEntry, command_id);
        std::byte* slot = setup_.ring + usize{tail_} * sizeof(CompletionEntry);
        std::memcpy(slot, &completion, before_phase);
        u32 last_dword = u32{completion.command_id} | u32{completion.status} << 16;
        store_guest_u32(slot + before_phase, last_dword);
        --reserved_;
        ++used_;
        ++unsignalled_;
        if (++tail_ == setup_.entries) {
            tail_ = 0;
            phase_ = !phase_;
        }
        interrupt = setup_.interrupts;
    }
    if (interrupt && !scheduled_.exchange(true, std::memory_order_acq_rel)) {
        Executor::current().post(*this);
    }
}

void CompletionQueue::on_work(Work& self) {
    auto& queue = static_cast<CompletionQueue&>(self);
    queue.scheduled_.store(false, std::memory_order_seq_cst);
    queue.raise_interrupt(Urgency::may_wait);
}

void CompletionQueue::on_timer(Timer& self) {
    auto& queue = static_cast<CompletionQueue&>(self);
    queue.timer_armed_.store(false, std::memory_order_release);
    queue.raise_interrupt(Urgency::now);
}

u64 CompletionQueue::coalescing_time_ns() const {
    bool applies = coalescing_ != nullptr && !coalescing_->disabled[setup_.vector].load(std::memory_order_relaxed) &&
                   unsignalled_ <= coalescing_->threshold_minus_one.load(std::memory_order_relaxed);
    return applies ? u64{coalescing_->time_100us.load(std::memory_order_relaxed)} * 100 * nanoseconds_per_microsecond
                   : 0;
}

void CompletionQueue::raise_interrupt(Urgency urgency) {
    u64 delay_ns = 0;
    u16 vector = 0;
    {
        SpinlockGuard guard(lock_);
        take_shadow_head();
        if (!is_active() || !setup_.interrupts || used_ == 0) {
            return;
        }
        vector = setup_.vector;
        delay_ns = urgency == Urgency::now ? 0 : coalescing_time_ns();
        if (delay_ns == 0) {
            unsignalled_ = 0;
        }
    }
    if (delay_ns == 0) {
        return msix_->raise(vector);
    }
    // The timer is its executor's until it fires; whoever comes in between leaves it be.
    if (!timer_armed_.exchange(true, std::memory_order_acq_rel)) {
        Executor& executor = Executor::current();
        executor.arm(*this, executor.now_ns() + delay_ns);
    }
}

DoorbellResult CompletionQueue::write_head(u32 value) {
    SpinlockGuard guard(lock_);
    if (!is_active()) {
        return DoorbellResult::no_such_queue;
    }
    doorbell_writes_.add();
    // With shared doorbells memory is the only truth; the write is but a call to look there.
    if (!move_head(setup_.shadow_head != nullptr ? load_guest_u32(setup_.shadow_head) : value)) {
        return DoorbellResult::invalid_value;
    }
    if (starved_) {
        starved_ = false;
        return DoorbellResult::unblocked;
    }
    return DoorbellResult::accepted;
}

}  // namespace undercroft::nvme
