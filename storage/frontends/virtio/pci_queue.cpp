// PciQueue.
#include "storage/frontends/virtio/pci_queue.hpp"

namespace undercroft::virtio {

namespace {
/// With this many requests under way a queue looks for new ones at each completion instead of asking to be called, ...
constexpr u32 polling_requests_min = 8;
/// ... but asks again when none has completed for this time, so that slow requests do not hold new ones up.
constexpr u64 polling_time_ns = 100 * nanoseconds_per_microsecond;
}  // namespace

void PciQueue::attach(u16 index, Executor& executor, Device& device, PciQueueOwner& owner) {
    index_ = index;
    executor_ = &executor;
    device_ = &device;
    owner_ = &owner;
}

void PciQueue::activate(const Queue& queue) {
    queue_.emplace(queue);
    group_.emplace();
    in_flight_.store(0, std::memory_order_relaxed);
    taken_ = recent_[0] = recent_[1] = 0;
    is_broken_ = is_stalled_ = polling_ = polling_time_up_ = false;
    active_.store(true, std::memory_order_release);
    schedule();  // the driver may have filled it before
}

void PciQueue::notify() {
    if (is_active()) {
        notifications_.add();
        schedule();
    }
}

void PciQueue::schedule() {
    if (scheduled_.exchange(true, std::memory_order_seq_cst)) {
        return;
    }
    executor_->post_from_anywhere(*this);
}

void PciQueue::run() {
    scheduled_.exchange(false, std::memory_order_seq_cst);
    if (!is_active() || is_broken_) {
        return;  // `queue_` may be another processor's just now
    }
    queue_->want_notifications(false);
    // The driver may go on adding from another processor: one ring's worth, then others have their turn.
    for (u32 budget = queue_->size(); budget > 0; --budget) {
        if (in_flight() == size_max) {
            is_stalled_ = true;  // `finish` looks again
            return;
        }
        if (!take_one()) {
            if (is_broken_ || has_nothing_new()) {
                return;
            }
            queue_->want_notifications(false);
        } else if (!is_active()) {
            return;
        }
    }
    schedule();
}

bool PciQueue::take_one() {
    Result<bool> taken = queue_->take(next_);
    if (!taken) {
        break_ring(taken.error());
        return false;
    }
    if (*taken) {
        in_flight_.store(in_flight() + 1, std::memory_order_relaxed);  // this executor alone writes it
        requests_.add();
        if (taken_++ % requests_of_age == 0) {
            recent_[age_now() & 1] = 0;
        }
        ++recent_[age_now() & 1];
        group_->spawn(request());
    }
    return *taken;
}

bool PciQueue::has_nothing_new() {
    if (recent_[0] + recent_[1] >= polling_requests_min && !polling_time_up_) {
        if (!polling_) {
            polling_ = true;
            watch_completions();
        }
        return true;
    }
    stop_polling();
    queue_->want_notifications(true);
    return !queue_->has_available();
}

void PciQueue::stop_polling() {
    polling_ = false;
    polling_time_up_ = false;
    executor_->disarm(*this);
}

void PciQueue::watch_completions() {
    completed_while_polling_ = false;
    executor_->arm(*this, executor_->now_ns() + polling_time_ns);
}

void PciQueue::on_polling_end(Timer& self) {
    auto& queue = static_cast<PciQueue&>(self);
    if (queue.completed_while_polling_) {
        return queue.watch_completions();
    }
    queue.polling_time_up_ = true;
    queue.schedule();
}

void PciQueue::break_ring(Error why) {
    if (!is_broken_) {
        is_broken_ = true;
        owner_->queue_broke(index_, why);
    }
}

// Starts at once: takes its chain over before the next is taken.
Task<void> PciQueue::request() {
    Chain chain = next_;
    u64 age = age_now();
    Result<u32> written = co_await device_->process(index_, chain, group_->token());
    finish(chain, age, written);
}

void PciQueue::finish(const Chain& chain, u64 age, const Result<u32>& written) {
    in_flight_.store(in_flight() - 1, std::memory_order_relaxed);
    if (age_now() - age < 2) {
        --recent_[age & 1];
    }
    if (!is_active()) {
        return;  // the driver has forgotten it
    }
    if (written) {
        queue_->complete(chain, *written);
        if (!notifier_.posted.exchange(true)) {
            executor_->post(notifier_);
        }
    } else if (written.error() != Error::cancelled) {
        break_ring(written.error());
    }
    if (is_stalled_ || polling_) {
        is_stalled_ = false;
        completed_while_polling_ = true;
        schedule();
    }
}

// Once for everything that was completed in one go.
void PciQueue::on_used(Work& self) {
    PciQueue& queue = static_cast<Notifier&>(self).queue;
    queue.notifier_.posted.store(false);
    if (queue.is_active() && queue.queue_->should_notify()) {
        queue.owner_->queue_has_used(queue.vector());
    }
}

void PciQueue::deactivate() {
    if (is_active()) {
        stop_polling();
        active_.store(false, std::memory_order_release);
        group_->stop();
    }
}

Task<void> PciQueue::join() {
    if (group_) {
        Result<void> ended = co_await group_->join();
        ASSERT(ended.has_value());
        group_.reset();
        queue_.reset();
    }
}

}  // namespace undercroft::virtio
