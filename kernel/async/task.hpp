// `Task<T>`: a lazy coroutine that is owned by whoever awaits it, and runs on the awaiter's executor. Nothing is
// detached: long-lived work lives in a TaskGroup. A task is destroyed before it was awaited or after it
// has ended; what it would be suspended in asserts that.
#pragma once

#include <coroutine>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "kernel/async/executor.hpp"
#include "kernel/base/assert.hpp"

namespace undercroft {

namespace detail {

/// Frames come from the current executor's pools; before there is one (composition roots), from the heap.
struct FrameAllocation {
    static void* operator new(usize size) {
        void* frame = Executor::has_current() ? Executor::current().allocate_frame(size)
                                              : ::operator new(Executor::frame_bytes(size), std::nothrow);
        ASSERT(frame != nullptr);
        return frame;
    }
    static void operator delete(void* frame, usize size) {
        if (Executor::has_current()) {
            Executor::current().free_frame(frame, size);
        } else {
            ::operator delete(frame);
        }
    }
};

struct FinalAwaiter {
    bool await_ready() const noexcept { return false; }
    template <typename Promise>
    std::coroutine_handle<> await_suspend(std::coroutine_handle<Promise> finished) const noexcept {
        std::coroutine_handle<> continuation = finished.promise().continuation;
        return continuation ? continuation : std::noop_coroutine();
    }
    void await_resume() const noexcept {}
};

struct PromiseBase : FrameAllocation {
    std::coroutine_handle<> continuation;
    std::suspend_always initial_suspend() const noexcept { return {}; }
    FinalAwaiter final_suspend() const noexcept { return {}; }
    [[noreturn]] void unhandled_exception() const noexcept { PANIC("an exception left a coroutine"); }
};

}  // namespace detail

template <typename T = void>
class [[nodiscard]] Task {
public:
    struct promise_type : detail::PromiseBase {
        std::optional<T> value;
        Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
        template <typename U>
        void return_value(U&& result) {
            value.emplace(std::forward<U>(result));
        }
    };

    /// A task that is finished already: costs no frame.
    static Task ready(T value) { return Task(std::move(value)); }

    Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)), ready_(std::move(other.ready_)) {}
    Task& operator=(Task&& other) noexcept {
        destroy();
        frame_ = std::exchange(other.frame_, nullptr);
        ready_ = std::move(other.ready_);
        return *this;
    }
    ~Task() { destroy(); }

    bool await_ready() const { return ready_.has_value(); }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) {
        frame_.promise().continuation = waiter;
        return frame_;
    }
    T await_resume() {
        if (ready_.has_value()) {
            return std::move(*ready_);
        }
        return std::move(*frame_.promise().value);
    }

private:
    explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
    explicit Task(T&& value) : ready_(std::move(value)) {}
    void destroy() {
        if (frame_) {
            frame_.destroy();
            frame_ = nullptr;
        }
    }
    std::coroutine_handle<promise_type> frame_;
    std::optional<T> ready_;
};

template <>
class [[nodiscard]] Task<void> {
public:
    struct promise_type : detail::PromiseBase {
        Task get_return_object() { return Task(std::coroutine_handle<promise_type>::from_promise(*this)); }
        void return_void() const {}
    };

    Task(Task&& other) noexcept : frame_(std::exchange(other.frame_, nullptr)) {}
    Task& operator=(Task&& other) noexcept {
        destroy();
        frame_ = std::exchange(other.frame_, nullptr);
        return *this;
    }
    ~Task() { destroy(); }

    bool await_ready() const { return false; }
    std::coroutine_handle<> await_suspend(std::coroutine_handle<> waiter) {
        frame_.promise().continuation = waiter;
        return frame_;
    }
    void await_resume() const {}

private:
    explicit Task(std::coroutine_handle<promise_type> frame) : frame_(frame) {}
    void destroy() {
        if (frame_) {
            frame_.destroy();
            frame_ = nullptr;
        }
    }
    std::coroutine_handle<promise_type> frame_;
};

namespace detail {

/// A coroutine that starts at once and frees itself at its end: the root under TaskGroup and `run_blocking`, used
/// nowhere else.
struct Root {
    struct promise_type : FrameAllocation {
        Root get_return_object() const { return {}; }
        std::suspend_never initial_suspend() const noexcept { return {}; }
        std::suspend_never final_suspend() const noexcept { return {}; }
        void return_void() const {}
        [[noreturn]] void unhandled_exception() const noexcept { PANIC("an exception left a coroutine"); }
    };
};

template <typename T>
Root run_root(Task<T> task, std::optional<T>& result) {
    result.emplace(co_await std::move(task));
}
inline Root run_root(Task<void> task, bool& finished) {
    co_await std::move(task);
    finished = true;
}

}  // namespace detail

/// Runs `task` to its end on `executor`, which becomes current. For composition roots and tests: never inside a
/// coroutine.
template <typename T>
T run_blocking(Executor& executor, Task<T> task) {
    CurrentExecutorScope scope(executor);
    if constexpr (std::is_void_v<T>) {
        bool finished = false;
        detail::run_root(std::move(task), finished);
        executor.run_until([&] { return finished; });
    } else {
        std::optional<T> result;
        detail::run_root(std::move(task), result);
        executor.run_until([&] { return result.has_value(); });
        return std::move(*result);
    }
}

}  // namespace undercroft
