// Asynchronous events.
#include "storage/frontends/nvme/events.hpp"

#include <algorithm>

#include "kernel/spec/nvme_logs.hpp"

namespace undercroft::nvme {

void EventNotifier::raise(u32 kind) {
    pending_.fetch_or(kind, std::memory_order_seq_cst);
    schedule();
}

void EventNotifier::schedule() {
    if (scheduled_.exchange(true, std::memory_order_seq_cst)) {
        return;
    }
    Executor& owner = queue_->owner();
    owner.post_from_anywhere(*this);
}

void EventNotifier::run() {
    scheduled_.exchange(false, std::memory_order_seq_cst);
    deliver();
}

u32 EventNotifier::deliverable() const {
    u32 kinds = pending_.load(std::memory_order_seq_cst) & ~masked_;
    if ((configuration_ & event_configuration::namespace_attribute) == 0) {
        kinds &= ~u32{namespace_attribute};
    }
    return kinds;
}

void EventNotifier::deliver() {
    while (parked_count_ > 0 && queue_->is_active()) {
        u32 kinds = deliverable();
        if (kinds == 0 || completions_->reserve(1) == 0) {
            return;  // the completion queue's doorbell looks again
        }
        u32 kind = kinds & -kinds;
        pending_.fetch_and(~kind, std::memory_order_seq_cst);
        masked_ |= (kind & error_kinds) != 0 ? error_kinds : kind;
        EventResult result;
        switch (static_cast<Kind>(kind)) {
        case invalid_doorbell_register:
            result = EventResult::make(EventType::error, event_information::error_invalid_doorbell_register,
                                       static_cast<u8>(LogPage::error_information));
            break;
        case invalid_doorbell_value:
            result = EventResult::make(EventType::error, event_information::error_invalid_doorbell_value,
                                       static_cast<u8>(LogPage::error_information));
            break;
        case namespace_attribute:
            result = EventResult::make(EventType::notice, event_information::notice_namespace_attribute_changed,
                                       static_cast<u8>(LogPage::changed_namespaces));
            break;
        }
        complete(success(result.raw), 0);
    }
}

void EventNotifier::complete(const Outcome& outcome, usize index) {
    SubmissionEntry entry = parked_[index];
    std::copy(parked_ + index + 1, parked_ + parked_count_, parked_ + index);
    --parked_count_;
    completions_->post(entry, queue_->id(), queue_->head(), outcome);
}

void EventNotifier::park(Request& request) {
    if (parked_count_ == event_requests_max) {
        return queue_->finish(request, failure(Status::event_request_limit_exceeded));
    }
    parked_[parked_count_++] = request.entry;
    queue_->forget(request);
    deliver();
}

bool EventNotifier::abort(u16 command_id) {
    for (usize index = 0; index < parked_count_; ++index) {
        if (parked_[index].command_id == command_id && completions_->reserve(1) == 1) {
            complete(failure(Status::abort_requested), index);
            return true;
        }
    }
    return false;
}

void EventNotifier::namespace_changed(u32 namespace_id) {
    u32* end = changed_ + changed_count_;
    u32* place = std::lower_bound(changed_, end, namespace_id);
    bool known = place != end && *place == namespace_id;
    if (!known && changed_count_ == changed_max) {
        changed_overflow_ = true;
    } else if (!known) {
        std::move_backward(place, end, end + 1);
        *place = namespace_id;
        ++changed_count_;
    }
    raise(namespace_attribute);
}

usize EventNotifier::changed_namespaces(std::span<u32> into) const {
    if (changed_overflow_) {
        into[0] = all_namespaces;
        return 1;
    }
    std::copy(changed_, changed_ + changed_count_, into.begin());
    return changed_count_;
}

void EventNotifier::log_was_read(u8 log_page) {
    switch (static_cast<LogPage>(log_page)) {
    case LogPage::error_information:
        masked_ &= ~error_kinds;
        break;
    case LogPage::changed_namespaces:
        masked_ &= ~u32{namespace_attribute};
        pending_.fetch_and(~u32{namespace_attribute}, std::memory_order_seq_cst);
        changed_count_ = 0;
        changed_overflow_ = false;
        break;
    default:
        return;
    }
    deliver();
}

void EventNotifier::set_configuration(u32 value) {
    configuration_ = value;
    deliver();
}

void EventNotifier::reset() {
    pending_.store(0, std::memory_order_seq_cst);
    masked_ = configuration_ = 0;
    parked_count_ = changed_count_ = 0;
    changed_overflow_ = false;
}

}  // namespace undercroft::nvme
