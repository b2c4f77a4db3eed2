// An executor's environment on Linux with io_uring: ready work runs, and idling submits what was prepared and waits for
// completions, the next timer or a wake, in one system call. `RingOperation` is the awaitable under every host backend
// and server: any operation of io_uring, its result as the kernel gives it. Leaves out multishot operations and
// registered files and buffers.
//
// - A ring belongs to the thread that first idles or submits on it; only `wake` may be called from others.
// - An operation that finds the ring full waits its turn, first come, first served; it is never lost.
// - Cancelling (by token or deadline) asks the kernel; the operation still ends by its own completion, so that nothing
//   ever completes into memory that was given back.
#pragma once

#include <liburing.h>

#include <atomic>
#include <memory>
#include <string>

#include "hostsim/platform/spin_credit.hpp"
#include "kernel/async/cancel.hpp"
#include "kernel/async/executor.hpp"
#include "kernel/async/wait_queue.hpp"
#include "kernel/base/result.hpp"

namespace undercroft {

struct RingOptions {
    /// Operations prepared between two submissions.
    u32 submission_entries = 256;
    /// Operations in flight; more wait their turn.
    u32 completion_entries = 4096;
    /// How long `idle` looks for completions before it gives the processor away. Pays where the other side answers
    /// within microseconds; 0 sleeps at once. It only spins while spinning has paid lately.
    u64 spin_ns = 0;
};

class RingOperation;

class RingPlatform final : public ExecutorPlatform {
public:
    /// A ring of its own. On failure the text says why and what to do about it (io_uring forbidden, locked memory used
    /// up, a kernel that is too old).
    static Result<std::unique_ptr<RingPlatform>, std::string> create(const RingOptions& options = {});
    RingPlatform(const RingPlatform&) = delete;
    RingPlatform& operator=(const RingPlatform&) = delete;
    /// Every operation must have ended.
    ~RingPlatform() override;

    /// The ring under `executor`, whose platform must be one.
    static RingPlatform& of(const Executor& executor);
    /// The ring of the executor that asks.
    static RingPlatform& current() { return of(Executor::current()); }
    /// Whether the executor that asks runs on a ring.
    static bool is_current();

    /// CLOCK_MONOTONIC.
    u64 now_ns() override;
    void idle(u64 deadline_ns) override;
    void wake() override;
    void poll() override;
    const void* kind() const override;

    /// From now on, as `RingOptions::spin_ns`. From any thread.
    void set_spin_ns(u64 spin_ns) { spin_ns_.store(spin_ns, std::memory_order_relaxed); }
    u64 spin_ns() const { return spin_ns_.load(std::memory_order_relaxed); }
    /// Whether spinning is of any use just now: not while there is work enough that sleeping makes for larger batches.
    /// Allowed at first; whoever knows the other side says so.
    void set_spin_allowed(bool allowed) { spin_allowed_ = allowed; }

    /// For `inspect`.
    u64 in_flight() const { return in_flight_; }
    u64 completion_count() const { return completion_count_; }
    u64 wait_count() const { return wait_count_; }  ///< how often `idle` gave the processor away

private:
    friend class RingOperation;
    explicit RingPlatform(const RingOptions& options) : spin_ns_(options.spin_ns) {}

    enum class Sleep : u32 { running, woken, sleeping };

    void start(RingOperation& operation);
    void cancel(RingOperation& operation);
    void withdraw(RingOperation& operation);
    void enable();
    void arm_wake();
    io_uring_sqe* take_entry();
    void start_waiting();
    usize reap();
    void submit();
    bool something_happened() const;
    bool spin(u64 deadline_ns);
    void sleep(u64 deadline_ns);
    void link(RingOperation*& first, RingOperation*& last, RingOperation& operation);
    void unlink(RingOperation*& first, RingOperation*& last, RingOperation& operation);

    io_uring ring_{};
    int event_ = -1;
    std::atomic<u64> spin_ns_;
    SpinCredit spin_credit_;
    u64 in_flight_ = 0;  // entries whose completion has not been seen: operations, cancellations, the wake
    u64 in_flight_max_ = 0;
    bool enabled_ = false;
    bool wake_armed_ = false;
    bool spin_allowed_ = true;
    std::atomic<Sleep> sleep_{Sleep::running};
    // Operations that wait for an entry, and operations in flight that wait for an entry to cancel them.
    RingOperation* waiting_first_ = nullptr;
    RingOperation* waiting_last_ = nullptr;
    RingOperation* cancelling_first_ = nullptr;
    RingOperation* cancelling_last_ = nullptr;
    u64 completion_count_ = 0;
    u64 wait_count_ = 0;
};

/// The awaitable of one operation. The result is the kernel's: not negative, or the negative of an errno value;
/// `-ECANCELED` where the token asked, and `-ETIME` where the deadline passed, before the kernel had done it. Derive to
/// say what the operation is, or use `ring_operation` below. Memory that the operation names stays valid until it ends.
class [[nodiscard]] RingOperation : private Work, private Timer, private CancelRegistration {
public:
    explicit RingOperation(WaitLimits limits)
        : Work(&RingOperation::run), Timer(&RingOperation::on_deadline), limits_(limits) {}
    ~RingOperation() { ASSERT(state_ == State::idle); }

    bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> waiter);
    i32 await_resume() const { return result_; }

protected:
    using Prepare = void (*)(RingOperation& self, io_uring_sqe& entry);
    Prepare prepare_ = nullptr;

private:
    friend class RingPlatform;
    enum class State : u8 { idle, waiting, in_flight, cancel_waiting, cancelling };

    static void run(Work& self) { static_cast<RingOperation&>(self).coroutine_.resume(); }
    static void on_deadline(Timer& self);
    static void on_cancel(CancelRegistration& self);
    void finish(i32 result);

    WaitLimits limits_;
    RingPlatform* ring_ = nullptr;
    Executor* executor_ = nullptr;
    std::coroutine_handle<> coroutine_;
    i32 result_ = 0;
    State state_ = State::idle;
    bool timed_out_ = false;
    RingOperation* previous_ = nullptr;
    RingOperation* next_ = nullptr;
};

template <typename Fill>
class [[nodiscard]] PreparedRingOperation : public RingOperation {
public:
    PreparedRingOperation(Fill fill, WaitLimits limits) : RingOperation(limits), fill_(std::move(fill)) {
        prepare_ = [](RingOperation& self, io_uring_sqe& entry) {
            static_cast<PreparedRingOperation&>(self).fill_(&entry);
        };
    }

private:
    Fill fill_;
};

/// `i32 got = co_await ring_operation([&](io_uring_sqe* entry) { io_uring_prep_read(entry, file, data, size, at); });`
/// runs one operation on the ring of the executor that awaits it. `fill` prepares the entry and leaves `user_data`
/// alone; it is called once, possibly later than the await. See `RingOperation` for the result.
template <typename Fill>
PreparedRingOperation<Fill> ring_operation(Fill fill, WaitLimits limits = {}) {
    return PreparedRingOperation<Fill>(std::move(fill), limits);
}
template <typename Fill>
PreparedRingOperation<Fill> ring_operation(Fill fill, CancelToken cancel) {
    return PreparedRingOperation<Fill>(std::move(fill), WaitLimits{.cancel = cancel});
}

}  // namespace undercroft
