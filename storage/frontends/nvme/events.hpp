// Asynchronous events: requests are parked here, never failed, until there is something to say. An event type that was
// reported stays silent until the host has read its log page. Source: base 2.0 section 5.2.
#pragma once

#include <atomic>

#include "storage/frontends/nvme/submission_queue.hpp"

namespace undercroft::nvme {

class EventNotifier : private Work {
public:
    EventNotifier() : Work(&EventNotifier::on_work) {}

    /// Once, before any other call. The admin queue's owner is the notifier's.
    void attach(SubmissionQueue& queue, CompletionQueue& completions) {
        queue_ = &queue;
        completions_ = &completions;
    }

    /// Any processor: the host wrote to a doorbell that is not there, or a value that cannot be.
    void report_invalid_doorbell_register() { raise(invalid_doorbell_register); }
    void report_invalid_doorbell_value() { raise(invalid_doorbell_value); }
    /// Any processor: looks again, for there is room for a completion now.
    void schedule();
    bool is_scheduled() const { return scheduled_.load(std::memory_order_acquire); }

    // The owner alone.
    /// Takes an Asynchronous Event Request.
    void park(Request& request);
    /// Ends the parked request with this command id; false where there is none.
    bool abort(u16 command_id);
    /// The size of a namespace, or something else of it, is not what Identify said.
    void namespace_changed(u32 namespace_id);
    /// Takes the changed-namespace list: ids that changed since it was last taken, ascending; one FFFFFFFFh if they
    /// were too many.
    usize changed_namespaces(std::span<u32> into) const;
    /// The host has read a log page, and said that its event is dealt with.
    void log_was_read(u8 log_page);
    void set_configuration(u32 value);
    u32 configuration() const { return configuration_; }
    /// Forgets requests, events and configuration.
    void reset();

private:
    enum Kind : u32 { invalid_doorbell_register = 1, invalid_doorbell_value = 2, namespace_attribute = 4 };
    static constexpr u32 error_kinds = invalid_doorbell_register | invalid_doorbell_value;
    static constexpr usize changed_max = 32;

    static void on_work(Work& self) { static_cast<EventNotifier&>(self).run(); }
    void run();
    void raise(u32 kind);
    void deliver();
    u32 deliverable() const;
    void complete(const Outcome& outcome, usize index);

    SubmissionQueue* queue_ = nullptr;
    CompletionQueue* completions_ = nullptr;
    std::atomic<u32> pending_{0};
    std::atomic<bool> scheduled_{false};
    u32 masked_ = 0;  // kinds that were reported and not read yet
    u32 configuration_ = 0;
    SubmissionEntry parked_[event_requests_max];
    usize parked_count_ = 0;
    u32 changed_[changed_max] = {};
    usize changed_count_ = 0;
    bool changed_overflow_ = false;
};

}  // namespace undercroft::nvme
