// Asynchronous events: one request is always parked at the controller. A changed namespace is identified anew, and its
// size passed on. Base 2.0, sections 5.2 and 5.16.1.5.
#include "drivers/nvme/driver.hpp"
#include "drivers/nvme/namespace.hpp"
#include "kernel/base/log.hpp"
#include "kernel/spec/nvme_logs.hpp"

namespace undercroft::nvme::host {

Task<void> Driver::event_loop() {
    CancelToken cancel = queue_tasks_.token();
    while (!closing_ && !admin_->is_dead()) {
        SubmissionEntry entry;
        entry.opcode = static_cast<u8>(AdminOpcode::asynchronous_event_request);
        entry.data_pointer = {.prp1 = unmappable_address, .prp2 = unmappable_address};
        Outcome outcome = co_await execute_admin({.entry = entry, .deadline = QueuePair::Deadline::none});
        if (closing_) {
            break;
        }
        if (outcome.succeeded()) {
            events_.fetch_add(1, std::memory_order_relaxed);
            co_await handle_event(EventResult{outcome.result});
            (void)co_await sleep_for(options_.event_interval_ns, cancel);
        } else if (outcome.ending == Ending::completed || state() != State::running) {
            // Refused, or a reset is under way: nothing to park until the controller was set up again.
            (void)co_await running_again_.wait({.cancel = cancel});
        }
    }
}

Task<void> Driver::handle_event(EventResult event) {
    // Reading the log is what arms this kind of event again.
    std::byte log[identify_bytes];
    SubmissionEntry entry;
    entry.opcode = static_cast<u8>(AdminOpcode::get_log_page);
    entry.namespace_id = all_namespaces;
    bool changed = event.type() == EventType::notice &&
                   event.information() == event_information::notice_namespace_attribute_changed;
    constexpr usize short_log_bytes = 512;
    GetLogPage page = GetLogPage::make(static_cast<LogPage>(event.log_page()),
                                       changed ? sizeof(NamespaceList) : short_log_bytes, false);
    entry.dword10 = page.dword10;
    entry.dword11 = page.dword11;
    (void)co_await read_admin_data(entry, log);
    if (changed) {
        // Which of them the list names does not matter: there are few, and the list may have overflowed.
        rescan_wanted_.set();
    } else {
        log_warning("nvme: event type %u, information %u", static_cast<unsigned>(event.type()),
                    static_cast<unsigned>(event.information()));
    }
}

Task<void> Driver::rescan_loop() {
    CancelToken cancel = queue_tasks_.token();
    while (co_await rescan_wanted_.wait({.cancel = cancel})) {
        rescan_wanted_.reset();
        co_await rescan();
    }
}

/// Asks until there is an answer that makes sense, a few times: a controller that is busy with what it has just
/// announced may have none for a moment.
Task<Result<NamespaceFacts>> Driver::identify_patiently(u32 id) {
    Result<NamespaceFacts> facts = co_await identify_namespace(id);
    for (u32 attempt = 1; !facts && attempt < options_.attempts_max && state() == State::running; ++attempt) {
        Result<void> slept = co_await sleep_for(options_.retry_delay_ns, queue_tasks_.token());
        if (slept.error() == Error::cancelled) {
            break;
        }
        facts = co_await identify_namespace(id);
    }
    co_return facts;
}

/// Identifies every open namespace anew. One that is not there, or is nonsense, each time that it was asked for is gone;
/// one that could not be asked for stays as it was.
Task<void> Driver::rescan() {
    // By index: nothing is ever removed from the list, but `open_namespace` may add to it meanwhile.
    for (usize index = 0; index < namespaces_.size() && state() == State::running; ++index) {
        std::shared_ptr<Namespace> name_space = namespaces_[index];
        Result<NamespaceFacts> facts = co_await identify_patiently(name_space->id());
        if (facts || facts.error() == Error::not_found || facts.error() == Error::unsupported ||
            facts.error() == Error::malformed) {
            name_space->update(facts);
        } else {
            log_warning("nvme: namespace %u cannot be identified anew (%s) and stays as it was", name_space->id(),
                        to_string(facts.error()));
        }
    }
}

}  // namespace undercroft::nvme::host
