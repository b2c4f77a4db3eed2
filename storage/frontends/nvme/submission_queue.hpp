// A submission queue. Doorbells come from any virtual processor and only move the tail; everything else belongs to the
// queue's executor: it fetches entries, starts commands, and takes their endings. Each entry is copied out of the ring
// once.
//
// With shared doorbells the host calls where the event index asks for it. An idle queue asks. A busy one does not: its
// next completion looks, so at depth a guest hardly ever leaves for a doorbell.
//
// It stays inside its pool of requests and the room of its completion queue; what does not fit waits in the ring.
#pragma once

#include <memory>

#include "kernel/async/semaphore.hpp"
#include "kernel/async/task_group.hpp"
#include "kernel/base/spinlock.hpp"
#include "kernel/inspect/activity.hpp"
#include "storage/frontends/nvme/completion_queue.hpp"
#include "storage/frontends/nvme/error_log.hpp"
#include "storage/frontends/nvme/request.hpp"

namespace undercroft::nvme {

class SubmissionQueue : private Work, private Timer {
public:
    SubmissionQueue() : Work(&SubmissionQueue::on_work), Timer(&SubmissionQueue::on_polling_end) {}
    ~SubmissionQueue();

    struct Setup {
        const std::byte* ring = nullptr;  ///< guest memory, `entries` of 64 bytes
        u32 entries = 0;
        CompletionQueue* completion_queue = nullptr;
        u16 completion_queue_id = 0;
        /// The host's tail in shared memory, and the value past which the host tells us by MMIO; or none. Guest memory,
        /// 4-byte aligned.
        std::byte* shadow_tail = nullptr;
        std::byte* event_index = nullptr;
    };

    /// Once, before any other call.
    void attach(u16 id, Executor& owner, CommandHandler& handler, ErrorLog& errors) {
        id_ = id;
        owner_ = &owner;
        handler_ = &handler;
        errors_ = &errors;
    }
    u16 id() const { return id_; }
    Executor& owner() const { return *owner_; }

    /// Starts an inactive queue; any executor, while nobody else does. `out_of_memory` where there is none for its
    /// requests.
    Result<void> activate(const Setup& setup);
    bool is_active() const { return active_.load(std::memory_order_acquire); }

    // Any virtual processor.
    /// The tail doorbell.
    DoorbellResult write_tail(u32 value);
    /// Has the owner look at the queue.
    void schedule();
    /// Whether a look is on its way.
    bool is_scheduled() const { return scheduled_.load(std::memory_order_acquire); }
    u64 doorbell_writes() const { return doorbell_writes_.get(); }
    u64 commands() const { return commands_.get(); }
    u64 failures() const { return failures_.get(); }
    u64 bytes_read() const { return bytes_read_.get(); }
    u64 bytes_written() const { return bytes_written_.get(); }
    /// What there is of the queue for `inspect`.
    void describe(inspect::Node& node, u64 now_ns) const;
    /// The completion queue that it feeds; meaningful while active.
    u16 completion_queue_id() const { return completion_queue_id_.load(std::memory_order_relaxed); }

    // The owner alone.
    void use_shadow(std::byte* shadow_tail, std::byte* event_index);
    /// Fetches nothing more. Requests go on.
    void deactivate();
    /// Asks every request to end, and says why.
    void cancel_all(Ending why);
    /// Waits until every request has ended.
    Task<Result<void>> join() { return group_.join(); }
    /// The executing request with this command id, or none.
    Request* find(u16 command_id);
    /// Waits until the use `generation` of `request` has ended.
    Task<Result<void>> wait_for_end(const Request& request, u64 generation, WaitLimits limits);

    void count_read(u64 bytes) { bytes_read_.add(bytes); }
    void count_written(u64 bytes) { bytes_written_.add(bytes); }
    /// Where `request` reads or writes.
    void place(const Request& request, u64 offset_bytes, u64 bytes) {
        if (inspect::Activity* activity = activity_.load(std::memory_order_relaxed)) {
            activity->place(request.started, offset_bytes, bytes);
        }
    }

    /// Runs a coroutine of a request; `finish` is the last thing it does with it.
    void spawn(Task<void> task) { group_.spawn(std::move(task)); }
    /// Posts the completion, and takes the request back.
    void finish(Request& request, const Outcome& outcome);
    /// Takes the request and its room back with no completion (yet).
    void forget(Request& request);
    /// Segments for a large transfer: `inline_list` where it suffices. Waits for one of few; `out_of_memory` or
    /// `cancelled`.
    Task<Result<std::span<MemorySegment>>> large_segments(Request& request);
    /// The queue's one buffer of `bounce_bytes`, until the request ends. Waits for it; `out_of_memory` or `cancelled`.
    Task<Result<std::span<std::byte>>> bounce_buffer(Request& request);
    /// Entry of the ring that will be fetched next, as completions report it.
    u16 head() const { return static_cast<u16>(head_); }

private:
    static void on_work(Work& self) { static_cast<SubmissionQueue&>(self).run(); }
    static void on_polling_end(Timer& self);
    void run();
    bool has_nothing_new();
    void watch_completions();
    void stop_polling();
    void fetch_one();
    u32 distance_to_tail();
    bool has_new_tail_after_arming();
    void take_back(Request& request);

    u16 id_ = 0;
    Executor* owner_ = nullptr;
    CommandHandler* handler_ = nullptr;
    ErrorLog* errors_ = nullptr;
    Setup setup_;
    std::atomic<bool> active_{false};
    std::atomic<bool> scheduled_{false};
    std::atomic<u32> tail_{0};
    std::atomic<u16> completion_queue_id_{0};
    u32 head_ = 0;
    bool polling_ = false;  // each completion looks for new entries; the host was not asked to call
    bool completed_while_polling_ = false;
    bool polling_time_up_ = false;  // nothing completed for a while: others on this queue shall not wait for it
    bool stalled_ = false;          // no free request at the last look

    std::unique_ptr<Request[]> requests_;
    u32 request_count_ = 0;
    Request* free_ = nullptr;
    u32 free_count_ = 0;
    LargeSegmentList* free_large_ = nullptr;
    Semaphore large_available_{large_lists_per_queue_max};
    std::unique_ptr<std::byte[]> bounce_;
    Semaphore bounce_available_{1};
    TaskGroup group_;
    WaitQueue ended_;

    Spinlock doorbell_lock_;
    Counter doorbell_writes_;
    Counter commands_;
    Counter failures_;
    Counter bytes_read_;
    Counter bytes_written_;
    std::atomic<inspect::Activity*> activity_{nullptr};  // owned; of I/O queues, from the first use on
};

}  // namespace undercroft::nvme
