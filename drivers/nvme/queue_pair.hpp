// One submission queue with its completion queue, and the commands that are under way in it. Belongs to one executor:
// everything here is called there. A command owns its slot, its PRP list and its buffers from `submit` until its
// outcome is delivered, which happens when the device completed it, or by `fail_all` once the device can no longer
// reach memory. Leaves out who resets the controller, and when (drivers/nvme/recovery.cpp). Base 2.0, sections 3.3.1 to
// 3.3.3.
#pragma once

#include <optional>

#include "drivers/device.hpp"
#include "drivers/nvme/options.hpp"
#include "drivers/nvme/outcome.hpp"
#include "kernel/async/semaphore.hpp"
#include "kernel/spec/nvme_registers.hpp"

namespace undercroft::nvme::host {

/// Index of a command in its queue pair.
using SlotIndex = u16;

class QueuePair {
public:
    struct Geometry {
        u16 id;               ///< of both queues; 0 is the admin queue
        u16 vector;           ///< MSI-X vector
        u32 entries;          ///< of each queue, 2 to 256
        u32 doorbell_stride;  ///< CAP.DSTRD
    };
    /// Allocates the rings and PRP lists. `executor` is where the pair lives from now on. It starts down.
    static Result<std::unique_ptr<QueuePair>> create(DeviceHost& host, Executor& executor, Geometry geometry);
    QueuePair(const QueuePair&) = delete;
    QueuePair& operator=(const QueuePair&) = delete;

    u16 id() const { return geometry_.id; }
    u16 vector() const { return geometry_.vector; }
    u32 entries() const { return geometry_.entries; }
    Executor& executor() const { return executor_; }
    u64 submission_address() const { return submission_.device_address(); }
    u64 completion_address() const { return completion_.device_address(); }

    // Commands

    /// A slot, if one is free, nobody waits for one, and the queue is up.
    std::optional<SlotIndex> try_acquire();
    /// A slot, waiting for it and for the queue to be up. The ending where there is none: `timed_out`, `cancelled`, or
    /// why the queue is dead.
    Task<Result<SlotIndex, Ending>> acquire(WaitLimits limits);
    /// Gives back a slot that was not submitted, or whose outcome was delivered.
    void release(SlotIndex slot);
    /// The PRP list of `slot`: memory, and where the device finds it.
    std::span<Le<u64>> list(SlotIndex slot) const;
    u64 list_address(SlotIndex slot) const;

    enum class Deadline : bool { none, applies };
    /// Sends `entry` (command id is filled in). The queue must be up, which it is if nothing was awaited since
    /// `acquire`. Without `deadline` the command may take for ever (asynchronous event requests).
    void submit(SlotIndex slot, SubmissionEntry entry, Deadline deadline = Deadline::applies);

    /// The awaitable for the outcome of a submitted command. Cannot be cancelled: the device has the buffers.
    class [[nodiscard]] Delivery {
    public:
        Delivery(QueuePair& queue, SlotIndex slot) : queue_(queue), slot_(slot) {}
        bool await_ready() const;
        void await_suspend(std::coroutine_handle<> waiter);
        Outcome await_resume() const;

    private:
        QueuePair& queue_;
        SlotIndex slot_;
    };
    Delivery delivery(SlotIndex slot) { return Delivery(*this, slot); }

    // Completions

    /// Takes in what the controller has completed. Returns whether there was anything.
    bool process_completions();
    /// Completions so far that name no command that is under way: the controller lies.
    u64 violation_count() const { return violation_count_.load(std::memory_order_relaxed); }
    /// Commands that the controller has answered so far.
    u64 completed_count() const { return completed_count_.load(std::memory_order_relaxed); }

    // Watching

    /// Commands under way to which a deadline applies.
    u32 watched_count() const { return watched_count_; }
    /// Ends when a command is under way to which a deadline applies.
    Waiter wait_busy(WaitLimits limits) { return busy_.wait(limits); }
    /// Time passes, in units of the watcher's interval.
    void tick() { ++tick_; }
    struct Overdue {
        SlotIndex slot;
        u16 command_id;
        u32 age_ticks;
        bool aborted;  ///< `mark_aborted` was called for it
    };
    /// The command that has been under way longest, if any.
    std::optional<Overdue> oldest() const;
    void mark_aborted(SlotIndex slot) { slots_[slot].aborted = true; }

    // Up, down and dead

    bool is_up() const { return state_ == State::up; }
    bool is_dead() const { return state_ == State::dead; }
    /// From now on nothing is submitted and no doorbell is rung.
    void take_down();
    /// Empties the rings as the controller expects them after a reset. Nothing may be under way.
    void reset_rings();
    /// The controller knows the queues: commands may be submitted.
    void bring_up();
    /// Ends everything that is under way with `ending`. The queue must be down and the device unable to reach memory.
    void fail_all(Ending ending);
    /// As `take_down`, for good: whoever waits for a slot or comes later is told `reason`.
    void kill(Ending reason);

private:
    enum class State : u8 { down, up, dead };
    enum class SlotState : u8 { free, held, submitted, delivered };
    struct Slot : Work {
        Slot() : Work(&Slot::run) {}
        static void run(Work& self) { static_cast<Slot&>(self).waiter.resume(); }
        std::coroutine_handle<> waiter;
        Outcome outcome;
        u32 submitted_tick = 0;
        SlotState state = SlotState::free;
        u8 generation = 0;
        bool watched = false;
        bool aborted = false;
    };

    QueuePair(DeviceHost& host, Executor& executor, Geometry geometry);
    SlotIndex take_slot();
    u16 command_id(SlotIndex slot) const { return static_cast<u16>(slot | u16{slots_[slot].generation} << 8); }
    void accept(const CompletionEntry& entry);
    void deliver(Slot& slot, Outcome outcome);

    DeviceHost& host_;
    Executor& executor_;
    Geometry geometry_;
    DmaBuffer submission_;
    DmaBuffer completion_;
    DmaBuffer lists_;
    std::unique_ptr<Slot[]> slots_;
    std::unique_ptr<SlotIndex[]> free_slots_;
    u32 slot_count_;
    u32 free_count_ = 0;
    Semaphore slots_available_;
    WaitQueue state_changed_;
    WaitQueue busy_;
    State state_ = State::down;
    Ending dead_reason_ = Ending::failed;
    bool phase_ = true;
    u32 submission_tail_ = 0;
    u32 completion_head_ = 0;
    u32 tick_ = 0;
    u32 watched_count_ = 0;
    std::atomic<u64> violation_count_{0};  // written here, read by anyone
    std::atomic<u64> completed_count_{0};
};

}  // namespace undercroft::nvme::host
