// A completion queue: where several submission queues, on several virtual processors, post. A spin lock guards tail,
// head and phase for a few stores.
//
// Room is reserved before a command is started, so posting never waits: a queue whose host does not read completions
// starts no more commands, which is all the pressure there is. Interrupts are raised from the executor's queue, one for
// all that was posted until then.
#pragma once

#include <atomic>

#include "kernel/async/executor.hpp"
#include "kernel/base/spinlock.hpp"
#include "storage/frontends/nvme/limits.hpp"
#include "storage/frontends/nvme/status.hpp"
#include "storage/frontends/pci/msix.hpp"

namespace undercroft::nvme {

/// What a doorbell write was.
enum class DoorbellResult : u8 {
    accepted,
    unblocked,  ///< accepted, and somebody waits for room
    no_such_queue,
    invalid_value,
};

/// Features 08h and 09h, as every processor sees them.
struct InterruptCoalescing {
    std::atomic<u8> threshold_minus_one{0};        ///< THR
    std::atomic<u8> time_100us{0};                 ///< TIME; 0: no coalescing
    std::atomic<bool> disabled[vectors_max] = {};  ///< CD, per vector
};

class CompletionQueue : private Work, private Timer {
public:
    CompletionQueue() : Work(&CompletionQueue::on_work), Timer(&CompletionQueue::on_timer) {}

    struct Setup {
        std::byte* ring = nullptr;  ///< guest memory, `entries` of 16 bytes, 16-byte aligned
        u32 entries = 0;
        bool interrupts = false;
        u16 vector = 0;
        /// The host's head in shared memory, and the value past which the host tells us by MMIO; or none. Guest memory,
        /// 4-byte aligned.
        std::byte* shadow_head = nullptr;
        std::byte* event_index = nullptr;
    };

    /// Once, before any other call.
    void attach(MsixTable& msix, const InterruptCoalescing& coalescing, bool is_admin) {
        msix_ = &msix;
        coalescing_ = is_admin ? nullptr : &coalescing;  // the admin queue's interrupts are never held back
    }
    void activate(const Setup& setup);
    /// From its return on nothing here touches guest memory.
    void deactivate();
    bool is_active() const { return active_.load(std::memory_order_acquire); }
    /// Starts to use shared memory for the head; the last one written by MMIO stays true until the host writes another.
    void use_shadow(std::byte* shadow_head, std::byte* event_index);

    /// Room for up to `wanted` completions; fewer, or 0, where there is less. After 0 the next doorbell write gives
    /// `unblocked`.
    u32 reserve(u32 wanted);
    void unreserve(u32 count);
    /// Posts into reserved room.
    void post(const SubmissionEntry& entry, u16 queue_id, u16 submission_head, const Outcome& outcome);

    /// The head doorbell.
    DoorbellResult write_head(u32 value);
    /// Whether an interrupt waits in an executor's queue, or for its coalescing time.
    bool is_scheduled() const {
        return scheduled_.load(std::memory_order_acquire) || timer_armed_.load(std::memory_order_acquire);
    }
    u64 doorbell_writes() const { return doorbell_writes_.get(); }
    u16 vector() const { return setup_.vector; }
    u32 entries() const { return setup_.entries; }

private:
    static void on_work(Work& self);
    static void on_timer(Timer& self);
    enum class Urgency : bool { may_wait, now };
    void raise_interrupt(Urgency urgency);
    u64 coalescing_time_ns() const;
    u32 room() const { return setup_.entries - 1 - used_ - reserved_; }
    bool move_head(u32 value);
    bool take_shadow_head();

    MsixTable* msix_ = nullptr;
    const InterruptCoalescing* coalescing_ = nullptr;
    mutable Spinlock lock_;
    std::atomic<bool> active_{false};
    Setup setup_;
    u32 tail_ = 0;
    u32 head_ = 0;
    u32 used_ = 0;  // posted and not yet taken by the host
    u32 reserved_ = 0;
    bool phase_ = true;
    bool starved_ = false;
    u32 unsignalled_ = 0;  // posted since the last interrupt
    std::atomic<bool> scheduled_{false};
    std::atomic<bool> timer_armed_{false};
    Counter doorbell_writes_;
};

}  // namespace undercroft::nvme
