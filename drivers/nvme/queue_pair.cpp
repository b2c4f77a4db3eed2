// QueuePair.
#include "drivers/nvme/queue_pair.hpp"

#include <new>

#include "kernel/base/log.hpp"

namespace undercroft::nvme::host {

namespace {

constexpr usize list_bytes = prp_list_entries * sizeof(Le<u64>);
static_assert(page_size % list_bytes == 0, "a PRP list must not cross a page");

/// Low byte of a command id: the slot. 255 slots at most, so that no id is FFFFh, which the error log reserves.
constexpr u16 slot_mask = 0xff;

}  // namespace

QueuePair::QueuePair(DeviceHost& host, Executor& executor, Geometry geometry)
    : host_(host), executor_(executor), geometry_(geometry), slot_count_(geometry.entries - 1),
      slots_available_(geometry.entries - 1) {}

Result<std::unique_ptr<QueuePair>> QueuePair::create(DeviceHost& host, Executor& executor, Geometry geometry) {
    ASSERT(geometry.entries >= 2 && geometry.entries <= 256);
    std::unique_ptr<QueuePair> pair(new (std::nothrow) QueuePair(host, executor, geometry));
    if (!pair) {
        return fail(Error::out_of_memory);
    }
    pair->submission_ = TRY(host.allocate_dma(geometry.entries * sizeof(SubmissionEntry)));
    pair->completion_ = TRY(host.allocate_dma(geometry.entries * sizeof(CompletionEntry)));
    pair->lists_ = TRY(host.allocate_dma(pair->slot_count_ * list_bytes));
    pair->slots_.reset(new (std::nothrow) Slot[pair->slot_count_]);
    pair->free_slots_.reset(new (std::nothrow) SlotIndex[pair->slot_count_]);
    if (!pair->slots_ || !pair->free_slots_) {
        return fail(Error::out_of_memory);
    }
    while (pair->free_count_ < pair->slot_count_) {
        pair->free_slots_[pair->free_count_] = static_cast<SlotIndex>(pair->slot_count_ - 1 - pair->free_count_);
        ++pair->free_count_;
    }
    return pair;
}

std::optional<SlotIndex> QueuePair::try_acquire() {
    if (state_ != State::up || !slots_available_.try_acquire()) {
        return std::nullopt;
    }
    return take_slot();
}

Task<Result<SlotIndex, Ending>> QueuePair::acquire(WaitLimits limits) {
    for (;;) {
        while (state_ == State::down) {
            Result<void> waited = co_await state_changed_.wait(limits);
            if (!waited) {
                co_return fail(waited.error() == Error::cancelled ? Ending::cancelled : Ending::timed_out);
            }
        }
        if (state_ == State::dead) {
            co_return fail(dead_reason_);
        }
        Result<void> waited = co_await slots_available_.acquire(1, limits);
        if (!waited) {
            co_return fail(waited.error() == Error::cancelled ? Ending::cancelled : Ending::timed_out);
        }
        if (state_ == State::up) {
            co_return take_slot();
        }
        slots_available_.release();  // it went down while we waited
    }
}

SlotIndex QueuePair::take_slot() {
    SlotIndex index = free_slots_[--free_count_];
    Slot& slot = slots_[index];
    ASSERT(slot.state == SlotState::free);
    slot.state = SlotState::held;
    return index;
}

void QueuePair::release(SlotIndex index) {
    Slot& slot = slots_[index];
    ASSERT(slot.state == SlotState::held || slot.state == SlotState::delivered);
    slot.state = SlotState::free;
    free_slots_[free_count_++] = index;
    slots_available_.release();
}

std::span<Le<u64>> QueuePair::list(SlotIndex slot) const {
    // SAFETY: the buffer holds `list_bytes` for each slot, and Le<u64> has no alignment and no invalid value.
    auto* lists = reinterpret_cast<Le<u64>*>(lists_.data());
    return {lists + slot * prp_list_entries, prp_list_entries};
}

u64 QueuePair::list_address(SlotIndex slot) const { return lists_.device_address() + slot * list_bytes; }

void QueuePair::submit(SlotIndex index, SubmissionEntry entry, Deadline deadline) {
    Slot& slot = slots_[index];
    ASSERT(state_ == State::up && slot.state == SlotState::held);
    ++slot.generation;
    slot.state = SlotState::submitted;
    slot.waiter = nullptr;
    slot.submitted_tick = tick_;
    slot.aborted = false;
    slot.watched = deadline == Deadline::applies;
    watched_count_ += slot.watched;
    entry.command_id = command_id(index);
    std::memcpy(submission_.data() + submission_tail_ * sizeof(entry), &entry, sizeof(entry));
    submission_tail_ = submission_tail_ + 1 == geometry_.entries ? 0 : submission_tail_ + 1;
    // The entry must be in memory before the controller hears of it.
    std::atomic_thread_fence(std::memory_order_release);
    host_.registers().write32(submission_doorbell_offset(geometry_.id, geometry_.doorbell_stride), submission_tail_);
    if (!busy_.is_empty() && slot.watched) {
        busy_.notify_all();
    }
}

bool QueuePair::Delivery::await_ready() const { return queue_.slots_[slot_].state == SlotState::delivered; }

void QueuePair::Delivery::await_suspend(std::coroutine_handle<> waiter) { queue_.slots_[slot_].waiter = waiter; }

Outcome QueuePair::Delivery::await_resume() const { return queue_.slots_[slot_].outcome; }

bool QueuePair::process_completions() {
    if (state_ != State::up) {
        return false;
    }
    u32 taken = 0;
    for (; taken < geometry_.entries; ++taken) {
        std::byte* at = completion_.data() + completion_head_ * sizeof(CompletionEntry);
        // SAFETY: the ring is page-aligned, so the last two bytes of an entry are an aligned u16. The device writes
        // them last; nothing of the entry may be read before the phase was seen.
        auto* status_at = reinterpret_cast<u16*>(at + offsetof(CompletionEntry, status));
        u16 status = __atomic_load_n(status_at, __ATOMIC_ACQUIRE);
        if (StatusField{status}.phase() != phase_) {
            break;
        }
        CompletionEntry entry;
        std::memcpy(&entry, at, sizeof(entry));
        entry.status = status;
        if (++completion_head_ == geometry_.entries) {
            completion_head_ = 0;
            phase_ = !phase_;
        }
        accept(entry);
    }
    if (taken > 0) {
        host_.registers().write32(completion_doorbell_offset(geometry_.id, geometry_.doorbell_stride),
                                  completion_head_);
    }
    return taken > 0;
}

void QueuePair::accept(const CompletionEntry& entry) {
    u16 id = entry.command_id;
    u16 index = id & slot_mask;
    if (index >= slot_count_ || slots_[index].state != SlotState::submitted || command_id(index) != id ||
        entry.submission_id != geometry_.id) {
        violation_count_.store(violation_count() + 1, std::memory_order_relaxed);
        log_warning("nvme: queue %u: completion for command %04x of queue %u, which is not under way", geometry_.id, id,
                    u16{entry.submission_id});
        return;
    }
    completed_count_.store(completed_count() + 1, std::memory_order_relaxed);
    deliver(slots_[index], {.ending = Ending::completed, .status = entry.status_field(), .result = entry.result});
}

void QueuePair::deliver(Slot& slot, Outcome outcome) {
    slot.outcome = outcome;
    slot.state = SlotState::delivered;
    watched_count_ -= slot.watched;
    if (slot.waiter) {
        executor_.post(slot);
    }
}

std::optional<QueuePair::Overdue> QueuePair::oldest() const {
    std::optional<Overdue> result;
    for (u32 index = 0; index < slot_count_; ++index) {
        const Slot& slot = slots_[index];
        u32 age = tick_ - slot.submitted_tick;
        if (slot.state == SlotState::submitted && slot.watched && (!result || age > result->age_ticks)) {
            SlotIndex slot_index = static_cast<SlotIndex>(index);
            result = Overdue{slot_index, command_id(slot_index), age, slot.aborted};
        }
    }
    return result;
}

void QueuePair::take_down() {
    if (state_ == State::up) {
        state_ = State::down;
    }
}

void QueuePair::reset_rings() {
    std::memset(submission_.data(), 0, submission_.size_bytes());
    std::memset(completion_.data(), 0, completion_.size_bytes());
    submission_tail_ = 0;
    completion_head_ = 0;
    phase_ = true;
}

void QueuePair::bring_up() {
    if (state_ == State::down) {
        state_ = State::up;
        state_changed_.notify_all();
    }
}

void QueuePair::fail_all(Ending ending) {
    ASSERT(state_ != State::up);
    for (u32 index = 0; index < slot_count_; ++index) {
        if (slots_[index].state == SlotState::submitted) {
            deliver(slots_[index], {.ending = ending, .status = {}, .result = 0});
        }
    }
}

void QueuePair::kill(Ending reason) {
    if (state_ != State::dead) {
        state_ = State::dead;
        dead_reason_ = reason;
        state_changed_.notify_all();
    }
}

}  // namespace undercroft::nvme::host
