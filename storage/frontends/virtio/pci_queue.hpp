// A virtqueue of the PCI function at work. The driver's calls come from any virtual processor and only wake it; all else
// belongs to the queue's executor: it takes chains, starts requests, gives them back and raises the queue's interrupt.
//
// An idle queue asks to be called. A busy one does not: its next completion looks for new chains, so at depth a driver
// hardly ever leaves the guest to notify.
#pragma once

#include "kernel/async/task_group.hpp"
#include "kernel/base/counter.hpp"
#include "storage/frontends/pci/msix.hpp"
#include "storage/frontends/virtio/device.hpp"

namespace undercroft::virtio {

/// What a queue tells the function that it is part of. From the queue's executor.
class PciQueueOwner {
public:
    virtual ~PciQueueOwner() = default;
    /// There are used buffers that the driver wants to hear of.
    virtual void queue_has_used(u16 vector) = 0;
    /// The driver broke the ring: nothing more comes from it.
    virtual void queue_broke(u16 index, Error why) = 0;
};

class PciQueue : private Work, private Timer {
public:
    static constexpr u16 size_max = 128;  ///< entries, and requests under way at once

    PciQueue() : Work(&PciQueue::on_work), Timer(&PciQueue::on_polling_end), notifier_(*this) {}
    PciQueue(const PciQueue&) = delete;
    PciQueue& operator=(const PciQueue&) = delete;
    ~PciQueue() { ASSERT(!is_busy()); }

    /// Once, before any other call.
    void attach(u16 index, Executor& executor, Device& device, PciQueueOwner& owner);
    Executor& executor() const { return *executor_; }

    /// Starts an inactive queue; any processor, while nobody else does.
    void activate(const Queue& queue);
    bool is_active() const { return active_.load(std::memory_order_acquire); }
    // Any processor.
    /// The driver says that there is something, or somebody else that there may be.
    void notify();
    void set_vector(u16 vector) { vector_.store(vector, std::memory_order_relaxed); }
    u16 vector() const { return vector_.load(std::memory_order_relaxed); }
    u64 requests() const { return requests_.get(); }
    u64 notifications() const { return notifications_.get(); }
    /// Requests under way.
    u32 in_flight() const { return in_flight_.load(std::memory_order_relaxed); }
    /// Whether a look, or an interrupt, is on its way.
    bool is_busy() const { return scheduled_.load(std::memory_order_acquire) || notifier_.posted.load(); }

    // The queue's executor.
    /// Takes nothing more, asks requests to end, and completes none from now on.
    void deactivate();
    /// After `deactivate`: waits until no request runs. Then nothing here touches guest memory.
    Task<void> join();

private:
    struct Notifier : Work {
        explicit Notifier(PciQueue& queue) : Work(&PciQueue::on_used), queue(queue) {}
        PciQueue& queue;
        std::atomic<bool> posted{false};
    };
    static void on_work(Work& self) { static_cast<PciQueue&>(self).run(); }
    static void on_used(Work& self);
    static void on_polling_end(Timer& self);
    void run();
    bool take_one();
    bool has_nothing_new();
    void watch_completions();
    void stop_polling();
    void schedule();
    void break_ring(Error why);
    Task<void> request();
    void finish(const Chain& chain, u64 age, const Result<u32>& written);
    /// Of the request taken last.
    u64 age_now() const { return (taken_ - 1) / requests_of_age; }

    u16 index_ = 0;
    Executor* executor_ = nullptr;
    Device* device_ = nullptr;
    PciQueueOwner* owner_ = nullptr;
    std::atomic<bool> active_{false};
    std::atomic<bool> scheduled_{false};
    std::atomic<u16> vector_{0};
    Notifier notifier_;
    Counter requests_;
    Counter notifications_;

    // The queue's executor alone, once active.
    std::optional<Queue> queue_;
    std::optional<TaskGroup> group_;
    Chain next_;
    std::atomic<u32> in_flight_{0};  // read by others
    // Requests by age, so many in a row of one: what is under way of the last two tells whether completions will come soon. What
    // is older waits for a disk that does not answer, and must not keep the others waiting for it.
    static constexpr u64 requests_of_age = size_max;
    u64 taken_ = 0;
    u32 recent_[2] = {};  // under way, by the lowest bit of their age
    bool is_broken_ = false;
    bool is_stalled_ = false;  // as many requests under way as there may be
    bool polling_ = false;     // each completion looks; the driver was not asked to call
    bool completed_while_polling_ = false;
    bool polling_time_up_ = false;
};

}  // namespace undercroft::virtio
