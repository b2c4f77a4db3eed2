// Submission queue: doorbell, fetching, the pool of requests.
#include "storage/frontends/nvme/submission_queue.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "storage/frontends/nvme/guest_words.hpp"

namespace undercroft::nvme {

namespace {

inspect::IoKind kind_of(const SubmissionEntry& entry) {
    switch (IoOpcode{entry.opcode}) {
    case IoOpcode::read:
        return inspect::IoKind::read;
    case IoOpcode::write:
        return inspect::IoKind::write;
    case IoOpcode::flush:
        return inspect::IoKind::flush;
    case IoOpcode::dataset_management:
        return inspect::IoKind::unmap;
    case IoOpcode::write_zeroes:
        return inspect::IoKind::write_zeroes;
    default:
        return inspect::IoKind::other;
    }
}

}  // namespace

SubmissionQueue::~SubmissionQueue() {
    ASSERT(!is_scheduled());
    delete activity_.load();
    while (free_large_ != nullptr) {
        delete std::exchange(free_large_, free_large_->next);
    }
}

Result<void> SubmissionQueue::activate(const Setup& setup) {
    u32 wanted = std::min(setup.entries - 1, requests_per_queue_max);
    if (request_count_ < wanted) {
        requests_.reset(new (std::nothrow) Request[wanted]);
        request_count_ = requests_ != nullptr ? wanted : 0;
        if (requests_ == nullptr) {
            return fail(Error::out_of_memory);
        }
    }
    free_ = nullptr;
    for (u32 index = 0; index < request_count_; ++index) {
        requests_[index].queue = this;
        requests_[index].next_free = std::exchange(free_, &requests_[index]);
    }
    free_count_ = request_count_;
    if (id_ != 0 && activity_.load() == nullptr) {
        activity_.store(new (std::nothrow) inspect::Activity(requests_per_queue_max));  // without it nothing is shown
    }
    setup_ = setup;
    completion_queue_id_.store(setup.completion_queue_id, std::memory_order_relaxed);
    head_ = 0;
    stalled_ = false;
    SpinlockGuard guard(doorbell_lock_);
    tail_.store(0, std::memory_order_relaxed);
    active_.store(true, std::memory_order_release);
    return {};
}

void SubmissionQueue::use_shadow(std::byte* shadow_tail, std::byte* event_index) {
    setup_.shadow_tail = shadow_tail;
    setup_.event_index = event_index;
    u32 tail = tail_.load(std::memory_order_acquire);
    store_guest_u32(shadow_tail, tail);
    store_guest_u32(event_index, head_);
    schedule();
}

DoorbellResult SubmissionQueue::write_tail(u32 value) {
    {
        SpinlockGuard guard(doorbell_lock_);
        if (!is_active()) {
            return DoorbellResult::no_such_queue;
        }
        doorbell_writes_.add();
        if (value >= setup_.entries) {
            return DoorbellResult::invalid_value;
        }
        tail_.store(value, std::memory_order_release);
    }
    schedule();
    return DoorbellResult::accepted;
}

void SubmissionQueue::schedule() {
    if (scheduled_.exchange(true, std::memory_order_seq_cst)) {
        return;
    }
    owner_->post_from_anywhere(*this);
}

u32 SubmissionQueue::distance_to_tail() {
    u32 tail = tail_.load(std::memory_order_acquire);
    if (setup_.shadow_tail != nullptr) {
        u32 shared = load_guest_u32(setup_.shadow_tail);
        if (shared < setup_.entries) {
            tail = shared;
            tail_.store(tail, std::memory_order_relaxed);
        }
    }
    return tail >= head_ ? tail - head_ : tail + setup_.entries - head_;
}

bool SubmissionQueue::has_new_tail_after_arming() {
    if (setup_.event_index == nullptr) {
        return false;
    }
    // The host stores its tail, then reads the event index; we store the index, then read the tail. With a full fence
    // on both sides one of us sees the other.
    store_guest_u32(setup_.event_index, head_);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    return distance_to_tail() > 0;
}

bool SubmissionQueue::has_nothing_new() {
    if (setup_.event_index == nullptr) {
        return true;
    }
    u32 executing = request_count_ - free_count_;
    if (executing >= polling_requests_min && !polling_time_up_) {
        if (!polling_) {
            polling_ = true;
            watch_completions();
        }
        return true;
    }
    stop_polling();
    return !has_new_tail_after_arming();
}

void SubmissionQueue::stop_polling() {
    polling_ = false;
    polling_time_up_ = false;
    owner_->disarm(*this);
}

void SubmissionQueue::watch_completions() {
    completed_while_polling_ = false;
    owner_->arm(*this, owner_->now_ns() + polling_time_ns);
}

void SubmissionQueue::on_polling_end(Timer& self) {
    auto& queue = static_cast<SubmissionQueue&>(self);
    if (queue.completed_while_polling_) {
        return queue.watch_completions();
    }
    queue.polling_time_up_ = true;
    queue.schedule();
}

void SubmissionQueue::run() {
    scheduled_.exchange(false, std::memory_order_seq_cst);
    if (!is_active()) {
        return;  // `setup_` may be another processor's just now
    }
    // The host may go on adding entries from another processor: one ring's worth, then others have their turn.
    u32 budget = setup_.entries;
    while (is_active()) {
        u32 waiting = distance_to_tail();
        if (waiting == 0) {
            if (has_nothing_new()) {
                return;
            }
            continue;
        }
        if (budget == 0) {
            schedule();
            return;
        }
        u32 wanted = std::min({waiting, budget, free_count_});
        if (wanted == 0) {
            stalled_ = true;  // `take_back` looks again
            return;
        }
        u32 granted = setup_.completion_queue->reserve(wanted);
        if (granted == 0) {
            return;  // the completion queue's doorbell looks again
        }
        budget -= granted;
        for (; granted > 0 && is_active(); --granted) {
            fetch_one();
        }
        if (granted > 0) {
            setup_.completion_queue->unreserve(granted);
        }
    }
}

void SubmissionQueue::fetch_one() {
    Request& request = *free_;
    free_ = request.next_free;
    --free_count_;
    std::memcpy(&request.entry, setup_.ring + usize{head_} * sizeof(SubmissionEntry), sizeof(SubmissionEntry));
    head_ = head_ + 1 == setup_.entries ? 0 : head_ + 1;
    request.ending = Ending::none;
    request.executing = true;
    request.was_aborted = false;
    request.cancel.emplace();
    commands_.add();
    if (inspect::Activity* activity = activity_.load(std::memory_order_relaxed)) {
        request.started = activity->begin(kind_of(request.entry), 0, 0, owner_->now_ns());
    }
    handler_->start(request);
}

void SubmissionQueue::deactivate() {
    stop_polling();
    SpinlockGuard guard(doorbell_lock_);
    active_.store(false, std::memory_order_release);
}

void SubmissionQueue::cancel_all(Ending why) {
    for (u32 index = 0; index < request_count_; ++index) {
        Request& request = requests_[index];
        if (request.executing) {
            request.ending = why;
            request.cancel->cancel();
        }
    }
}

Request* SubmissionQueue::find(u16 command_id) {
    for (u32 index = 0; index < request_count_; ++index) {
        Request& request = requests_[index];
        if (request.executing && request.entry.command_id == command_id) {
            return &request;
        }
    }
    return nullptr;
}

Task<Result<void>> SubmissionQueue::wait_for_end(const Request& request, u64 generation, WaitLimits limits) {
    while (request.generation == generation) {
        CO_TRY(co_await ended_.wait(limits));
    }
    co_return Result<void>{};
}

void SubmissionQueue::finish(Request& request, const Outcome& outcome) {
    Outcome reported = outcome;
    request.was_aborted = request.ending != Ending::none && outcome.status == Status::abort_requested;
    if (request.was_aborted && request.ending == Ending::queue_deleted) {
        reported = failure(Status::aborted_queue_deleted);
    }
    if (request.ending == Ending::reset) {
        // The host has forgotten the command; its queues are about to go.
        setup_.completion_queue->unreserve(1);
    } else {
        if (reported.status != Status::success) {
            failures_.add();
            if (inspect::Activity* activity = activity_.load(std::memory_order_relaxed)) {
                activity->count_failure(request.started.kind);
            }
            errors_->record_command(id_, request.entry, reported);
        }
        setup_.completion_queue->post(request.entry, id_, head(), reported);
    }
    take_back(request);
}

void SubmissionQueue::forget(Request& request) {
    setup_.completion_queue->unreserve(1);
    take_back(request);
}

void SubmissionQueue::take_back(Request& request) {
    if (request.large_list != nullptr) {
        request.large_list->next = std::exchange(free_large_, request.large_list);
        request.large_list = nullptr;
        large_available_.release();
    }
    if (request.holds_bounce) {
        request.holds_bounce = false;
        bounce_available_.release();
    }
    if (inspect::Activity* activity = activity_.load(std::memory_order_relaxed)) {
        activity->end(request.started, owner_->now_ns());
    }
    request.executing = false;
    ++request.generation;
    request.next_free = std::exchange(free_, &request);
    ++free_count_;
    if (!ended_.is_empty()) {
        ended_.notify_all();
    }
    if (stalled_ || polling_) {
        stalled_ = false;
        completed_while_polling_ = true;
        schedule();
    }
}

Task<Result<std::span<MemorySegment>>> SubmissionQueue::large_segments(Request& request) {
    CO_TRY(co_await large_available_.acquire(1, {.cancel = request.token()}));
    LargeSegmentList* list = free_large_;
    if (list != nullptr) {
        free_large_ = list->next;
    } else {
        list = new (std::nothrow) LargeSegmentList;
    }
    if (list == nullptr) {
        large_available_.release();
        co_return fail(Error::out_of_memory);
    }
    request.large_list = list;
    co_return std::span<MemorySegment>(list->segments);
}

Task<Result<std::span<std::byte>>> SubmissionQueue::bounce_buffer(Request& request) {
    CO_TRY(co_await bounce_available_.acquire(1, {.cancel = request.token()}));
    if (bounce_ == nullptr) {
        bounce_.reset(new (std::nothrow) std::byte[bounce_bytes]);
    }
    if (bounce_ == nullptr) {
        bounce_available_.release();
        co_return fail(Error::out_of_memory);
    }
    request.holds_bounce = true;
    co_return std::span<std::byte>(bounce_.get(), bounce_bytes);
}

}  // namespace undercroft::nvme
