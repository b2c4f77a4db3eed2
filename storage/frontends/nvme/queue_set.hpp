// All queues of the controller: creating, deleting and stopping them, doorbells, and shadow doorbells. I/O queue `id`
// belongs to executor (id - 1) % n, the admin queue to executor 0; executor 0 does all management. Source: base 2.0
// sections 3.3, 5.4 to 5.7, 5.8.
#pragma once

#include <array>

#include "kernel/guest/memory.hpp"
#include "kernel/spec/nvme_registers.hpp"
#include "storage/frontends/nvme/submission_queue.hpp"

namespace undercroft::nvme {

class EventNotifier;

class QueueSet {
public:
    /// `executors` is not empty; they and all else must outlive this.
    QueueSet(const GuestMemory& memory, MsixTable& msix, const InterruptCoalescing& coalescing,
             std::span<Executor* const> executors);

    /// Once, before any other call.
    void attach(CommandHandler& admin, CommandHandler& io, ErrorLog& errors, EventNotifier& events);

    SubmissionQueue& admin_submission() { return submission_[0]; }
    CompletionQueue& admin_completion() { return completion_[0]; }
    Executor& main_executor() const { return *executors_.front(); }
    std::span<Executor* const> executors() const { return executors_; }

    // Any virtual processor.
    /// A write to the `index`th doorbell, counted in dwords from the first.
    void write_doorbell(u64 index, u32 value);

    // Executor 0.
    /// `invalid_argument` where sizes or addresses cannot be.
    Result<void> start_admin(AdminQueueAttributes attributes, u64 submission_address, u64 completion_address);
    /// Whether entry sizes of I/O queues, from CC, are the ones there are.
    void set_entry_sizes(bool submission_valid, bool completion_valid) {
        submission_size_valid_ = submission_valid;
        completion_size_valid_ = completion_valid;
    }
    Outcome create_completion_queue(const SubmissionEntry& entry);
    Outcome create_submission_queue(const SubmissionEntry& entry);
    Outcome delete_completion_queue(u16 id);
    /// Ends what executes, posts its completions, then frees the queue. Ends on executor 0.
    Task<Outcome> delete_submission_queue(u16 id);
    /// Doorbell Buffer Config: both addresses page-aligned.
    Task<Outcome> use_shadow_doorbells(u64 shadow_address, u64 event_address);
    /// Whether the command was there and has been ended by this. Ends on executor 0.
    Task<bool> abort(u16 queue_id, u16 command_id);
    bool has_io_queues() const;
    /// Ends everything; when it has ended nothing touches guest memory. Ends on executor 0.
    Task<void> stop();
    /// After `stop`, with no doorbell to come: waits until no executor holds any work of ours. Ends on executor 0.
    Task<void> drain();

    const std::array<SubmissionQueue, queues_max>& submission_queues() const { return submission_; }
    const std::array<CompletionQueue, queues_max>& completion_queues() const { return completion_; }

private:
    struct Shadow {
        std::byte* doorbells = nullptr;
        std::byte* events = nullptr;
    };
    Executor& owner_of(u16 id) const { return *executors_[id == 0 ? 0 : (id - 1) % executors_.size()]; }
    Result<std::byte*> ring(u64 address, u64 bytes) const;
    std::byte* shadow_word(std::byte* page, u32 index) const {
        return page == nullptr ? nullptr : page + usize{index} * 4;
    }
    void kick(u16 completion_queue_id);
    void report(DoorbellResult result, u16 completion_queue_id);
    bool has_scheduled_work() const;

    const GuestMemory& memory_;
    std::span<Executor* const> executors_;
    ErrorLog* errors_ = nullptr;
    EventNotifier* events_ = nullptr;
    std::array<SubmissionQueue, queues_max> submission_;
    std::array<CompletionQueue, queues_max> completion_;
    // Executor 0's view: a queue exists from its creation to the end of its deletion.
    std::array<bool, queues_max> submission_exists_{};
    std::array<bool, queues_max> completion_exists_{};
    Semaphore management_{1};
    Shadow shadow_;
    bool submission_size_valid_ = false;
    bool completion_size_valid_ = false;
};

}  // namespace undercroft::nvme
