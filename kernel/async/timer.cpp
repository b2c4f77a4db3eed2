// The pairing heap behind TimerQueue.
#include "kernel/async/timer.hpp"

namespace undercroft {

Timer* TimerQueue::meld(Timer* left, Timer* right) {
    if (left == nullptr) {
        return right;
    }
    if (right == nullptr) {
        return left;
    }
    if (right->deadline_ns_ < left->deadline_ns_) {
        Timer* swap = left;
        left = right;
        right = swap;
    }
    right->sibling_ = left->child_;
    if (left->child_ != nullptr) {
        left->child_->previous_ = right;
    }
    right->previous_ = left;
    left->child_ = right;
    return left;
}

Timer* TimerQueue::merge_pairs(Timer* first) {
    // Two passes without recursion: pair left to right onto a stack threaded through sibling_, then meld the stack.
    Timer* stack = nullptr;
    while (first != nullptr) {
        Timer* second = first->sibling_;
        Timer* rest = second != nullptr ? second->sibling_ : nullptr;
        first->sibling_ = first->previous_ = nullptr;
        if (second != nullptr) {
            second->sibling_ = second->previous_ = nullptr;
        }
        Timer* pair = meld(first, second);
        pair->sibling_ = stack;
        stack = pair;
        first = rest;
    }
    Timer* root = nullptr;
    while (stack != nullptr) {
        Timer* next = stack->sibling_;
        stack->sibling_ = nullptr;
        root = meld(root, stack);
        stack = next;
    }
    return root;
}

void TimerQueue::arm(Timer& timer, u64 deadline_ns) {
    ASSERT(!timer.armed_);
    timer.deadline_ns_ = deadline_ns;
    timer.armed_ = true;
    timer.child_ = timer.sibling_ = timer.previous_ = nullptr;
    root_ = meld(root_, &timer);
}

void TimerQueue::disarm(Timer& timer) {
    if (!timer.armed_) {
        return;
    }
    timer.armed_ = false;
    if (&timer == root_) {
        root_ = merge_pairs(timer.child_);
        return;
    }
    if (timer.previous_->child_ == &timer) {
        timer.previous_->child_ = timer.sibling_;
    } else {
        timer.previous_->sibling_ = timer.sibling_;
    }
    if (timer.sibling_ != nullptr) {
        timer.sibling_->previous_ = timer.previous_;
    }
    root_ = meld(root_, merge_pairs(timer.child_));
}

usize TimerQueue::fire(u64 now_ns) {
    usize fired = 0;
    while (root_ != nullptr && root_->deadline_ns_ <= now_ns) {
        Timer& timer = *root_;
        disarm(timer);
        ++fired;
        timer.callback_(timer);
    }
    return fired;
}

}  // namespace undercroft
