// The executor's loop, its remote queue, and the pools of coroutine frames.
#include "kernel/async/executor.hpp"

#include <new>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define UNDERCROFT_FRAMES_TO_HEAP 1
#endif
#endif

namespace undercroft {

namespace {

#if defined(UNDERCROFT_FRAMES_TO_HEAP)
/// Under AddressSanitizer a frame goes back to the heap at once, so that a use after its end is found.
constexpr bool pool_frames = false;
#else
constexpr bool pool_frames = true;
#endif

/// Work items run in a row before timers and remote posts are looked at again.
constexpr usize work_batch_max = 64;
/// How far ahead the seeded scheduler may reach into the ready queue.
constexpr u64 scheduling_window = 8;
}  // namespace

Executor::~Executor() {
    for (FreeFrame*& list : free_frames_) {
        while (list != nullptr) {
            FreeFrame* frame = list;
            list = frame->next;
            ::operator delete(frame);
        }
    }
}

Executor& Executor::current() {
    Executor* executor = current_executor_slot();
    ASSERT(executor != nullptr);
    return *executor;
}

bool Executor::has_current() { return current_executor_slot() != nullptr; }

void Executor::post(Work& work) {
    work.next_ = nullptr;
    (tail_ != nullptr ? tail_->next_ : head_) = &work;
    tail_ = &work;
    ++ready_count_;
}

void Executor::post_remote(Work& work) {
    Work* first = remote_.load(std::memory_order_relaxed);
    do {
        work.next_ = first;
    } while (!remote_.compare_exchange_weak(first, &work, std::memory_order_release, std::memory_order_relaxed));
    if (first == nullptr) {
        platform_.wake();
    }
}

void Executor::take_remote() {
    Work* stack = remote_.exchange(nullptr, std::memory_order_acquire);
    Work* reversed = nullptr;  // posts came newest first; run them oldest first
    while (stack != nullptr) {
        Work* next = stack->next_;
        stack->next_ = reversed;
        reversed = stack;
        stack = next;
    }
    while (reversed != nullptr) {
        Work* next = reversed->next_;
        post(*reversed);
        reversed = next;
    }
}

Work* Executor::take_ready() {
    if (head_ == nullptr) {
        return nullptr;
    }
    usize skip = 0;
    if (scheduling_state_ != 0) {
        // xorshift64: any non-zero state runs through all the others.
        scheduling_state_ ^= scheduling_state_ << 13;
        scheduling_state_ ^= scheduling_state_ >> 7;
        scheduling_state_ ^= scheduling_state_ << 17;
        u64 window = ready_count_ < scheduling_window ? ready_count_ : scheduling_window;
        skip = scheduling_state_ % window;
    }
    Work* previous = nullptr;
    Work* work = head_;
    for (; skip > 0; --skip) {
        previous = work;
        work = work->next_;
    }
    (previous != nullptr ? previous->next_ : head_) = work->next_;
    if (tail_ == work) {
        tail_ = previous;
    }
    --ready_count_;
    return work;
}

bool Executor::run_batch() {
    if (remote_.load(std::memory_order_relaxed) != nullptr) {
        take_remote();
    }
    bool ran = !timers_.is_empty() && timers_.fire(platform_.now_ns()) > 0;
    for (usize count = 0; count < work_batch_max; ++count) {
        Work* work = take_ready();
        if (work == nullptr) {
            break;
        }
        ran = true;
        ++work_count_;
        work->run_(*work);
    }
    return ran;
}

bool Executor::run_ready() {
    bool ran = false;
    while (run_batch()) {
        ran = true;
    }
    return ran;
}

void Executor::run_once() {
    if (!run_batch()) {
        ++idle_count_;
        platform_.idle(timers_.next_deadline_ns());
    } else if (head_ != nullptr) {
        platform_.poll();
    }
}

void* Executor::allocate_frame(usize size) {
    usize index = (size + frame_granule - 1) / frame_granule - 1;
    if (index >= frame_classes) {
        return ::operator new(size, std::nothrow);
    }
    FreeFrame*& list = free_frames_[index];
    if (list == nullptr) {
        return ::operator new(frame_bytes(size), std::nothrow);
    }
    FreeFrame* frame = list;
    list = frame->next;
    return frame;
}

void Executor::free_frame(void* frame, usize size) {
    if (!pool_frames || frame_bytes(size) > frame_classes * frame_granule) {
        ::operator delete(frame);
        return;
    }
    usize index = (size + frame_granule - 1) / frame_granule - 1;
    // SAFETY: the block is at least `frame_granule` bytes, came from operator new, and nobody else refers to it.
    auto* free_frame = new (frame) FreeFrame{free_frames_[index]};
    free_frames_[index] = free_frame;
}

}  // namespace undercroft
