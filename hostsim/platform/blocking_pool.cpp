// BlockingPool: a queue of calls under a mutex, and the threads that take from it.
#include "hostsim/platform/blocking_pool.hpp"

#include "kernel/base/assert.hpp"

namespace undercroft {

bool BlockingCall::await_suspend(std::coroutine_handle<> waiter) {
    coroutine_ = waiter;
    executor_ = &Executor::current();
    if (!CancelRegistration::arm(cancel_, &BlockingCall::on_cancel)) {
        withdrawn_ = true;
        return false;
    }
    pool_.enqueue(*this);
    return true;
}

void BlockingCall::resume(Work& self) {
    auto& call = static_cast<BlockingCall&>(self);
    call.CancelRegistration::withdraw();
    call.coroutine_.resume();
}

void BlockingCall::on_cancel(CancelRegistration& self) {
    auto& call = static_cast<BlockingCall&>(self);
    if (call.pool_.withdraw(call)) {
        call.withdrawn_ = true;
        call.executor_->post(call);
    }
}

BlockingPool::BlockingPool(usize threads) {
    ASSERT(threads > 0);
    for (usize index = 0; index < threads; ++index) {
        threads_.emplace_back([this] { serve(); });
    }
}

BlockingPool::~BlockingPool() {
    {
        std::lock_guard guard(lock_);
        ASSERT(first_ == nullptr);
        ending_ = true;
    }
    work_.notify_all();
    for (std::thread& thread : threads_) {
        thread.join();
    }
}

void BlockingPool::enqueue(BlockingCall& call) {
    {
        std::lock_guard guard(lock_);
        call.queued_ = true;
        call.next_ = nullptr;
        call.previous_ = last_;
        (last_ != nullptr ? last_->next_ : first_) = &call;
        last_ = &call;
    }
    work_.notify_one();
}

bool BlockingPool::withdraw(BlockingCall& call) {
    std::lock_guard guard(lock_);
    if (!call.queued_) {
        return false;
    }
    call.queued_ = false;
    (call.previous_ != nullptr ? call.previous_->next_ : first_) = call.next_;
    (call.next_ != nullptr ? call.next_->previous_ : last_) = call.previous_;
    return true;
}

BlockingCall* BlockingPool::next() {
    std::unique_lock guard(lock_);
    work_.wait(guard, [this] { return first_ != nullptr || ending_; });
    BlockingCall* call = first_;
    if (call != nullptr) {
        call->queued_ = false;
        first_ = call->next_;
        (first_ != nullptr ? first_->previous_ : last_) = nullptr;
    }
    return call;
}

void BlockingPool::serve() {
    while (BlockingCall* call = next()) {
        call->function_(*call);
        call->executor_->post_remote(*call);  // the call may be gone from here on
    }
}

}  // namespace undercroft
