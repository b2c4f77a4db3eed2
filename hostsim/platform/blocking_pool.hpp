// A few threads that run blocking functions (SQLite, libcurl, DNS) for executors: the function runs there, and its
// coroutine goes on where it came from. Leaves out interrupting a function that runs: give it a time limit of its own.
#pragma once

#include <condition_variable>
#include <coroutine>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <variant>
#include <vector>

#include "kernel/async/cancel.hpp"
#include "kernel/async/executor.hpp"
#include "kernel/base/result.hpp"

namespace undercroft {

class BlockingPool;

/// One function on its way through a pool; the part that does not depend on the function.
class BlockingCall : private Work, private CancelRegistration {
public:
    BlockingCall(BlockingPool& pool, CancelToken cancel) : Work(&BlockingCall::resume), pool_(pool), cancel_(cancel) {}
    bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> waiter);

protected:
    void (*function_)(BlockingCall& self) = nullptr;
    bool withdrawn_ = false;

private:
    friend class BlockingPool;
    static void resume(Work& self);
    static void on_cancel(CancelRegistration& self);

    BlockingPool& pool_;
    CancelToken cancel_;
    Executor* executor_ = nullptr;
    std::coroutine_handle<> coroutine_;
    BlockingCall* previous_ = nullptr;
    BlockingCall* next_ = nullptr;
    bool queued_ = false;
};

template <typename Function>
class [[nodiscard]] TypedBlockingCall : public BlockingCall {
public:
    using Value = std::invoke_result_t<Function&>;
    TypedBlockingCall(BlockingPool& pool, Function function, CancelToken cancel)
        : BlockingCall(pool, cancel), body_(std::move(function)) {
        function_ = [](BlockingCall& self) {
            auto& call = static_cast<TypedBlockingCall&>(self);
            if constexpr (std::is_void_v<Value>) {
                call.body_();
            } else {
                call.value_.emplace(call.body_());
            }
        };
    }
    Result<Value> await_resume() {
        if (withdrawn_) {
            return fail(Error::cancelled);
        }
        if constexpr (std::is_void_v<Value>) {
            return {};
        } else {
            return std::move(*value_);
        }
    }

private:
    Function body_;
    std::conditional_t<std::is_void_v<Value>, std::monostate, std::optional<Value>> value_;
};

class BlockingPool {
public:
    /// Starts `threads` threads (at least one).
    explicit BlockingPool(usize threads);
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;
    /// Every call must have ended. Ends the threads.
    ~BlockingPool();

    /// `auto value = CO_TRY(co_await pool.run([&] { return ...; }));` runs `function` on one of the threads, after those
    /// asked for earlier, and goes on where it was awaited. `cancelled` where `cancel` asked before it began; once it
    /// runs, it runs to its end.
    template <typename Function>
    TypedBlockingCall<Function> run(Function function, CancelToken cancel = {}) {
        return TypedBlockingCall<Function>(*this, std::move(function), cancel);
    }

private:
    friend class BlockingCall;
    void enqueue(BlockingCall& call);
    bool withdraw(BlockingCall& call);
    BlockingCall* next();
    void serve();

    std::mutex lock_;
    std::condition_variable work_;
    BlockingCall* first_ = nullptr;
    BlockingCall* last_ = nullptr;
    bool ending_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace undercroft
