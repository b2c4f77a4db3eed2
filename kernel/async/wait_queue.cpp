// Waiter and WaitQueue.
#include "kernel/async/wait_queue.hpp"

namespace undercroft {

bool Waiter::await_suspend(std::coroutine_handle<> waiter) {
    coroutine_ = waiter;
    executor_ = &Executor::current();
    if (!CancelRegistration::arm(limits_.cancel, &Waiter::on_cancel)) {
        outcome_ = fail(Error::cancelled);
        return false;
    }
    if (limits_.deadline_ns != no_deadline) {
        executor_->arm(*this, limits_.deadline_ns);
    }
    if (queue_ != nullptr) {
        queue_->link(*this);
    }
    return true;
}

void Waiter::finish(Result<void> outcome) {
    outcome_ = outcome;
    executor_->disarm(*this);
    CancelRegistration::withdraw();
    if (linked_) {
        queue_->unlink(*this);
    }
    executor_->post(*this);
}

bool WaitQueue::notify_one() {
    if (first_ == nullptr) {
        return false;
    }
    first_->finish({});
    return true;
}

void WaitQueue::notify_all() {
    // Only those that wait now: one that waits again from its resumption is behind `last`, and resumption comes later
    // anyway.
    while (notify_one()) {
    }
}

void WaitQueue::link(Waiter& waiter) {
    waiter.linked_ = true;
    waiter.next_ = nullptr;
    waiter.previous_ = last_;
    (last_ != nullptr ? last_->next_ : first_) = &waiter;
    last_ = &waiter;
}

void WaitQueue::unlink(Waiter& waiter) {
    waiter.linked_ = false;
    (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
    (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
}

}  // namespace undercroft
