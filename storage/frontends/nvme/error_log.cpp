// The error information log.
#include "storage/frontends/nvme/error_log.hpp"

namespace undercroft::nvme {

namespace {
constexpr u16 no_parameter = 0xffff;
}

void ErrorLog::record(ErrorLogEntry entry) {
    entry.parameter_location = no_parameter;
    SpinlockGuard guard(lock_);
    entry.error_count = ++count_;
    entries_[count_ % error_log_entries] = entry;
}

void ErrorLog::record_command(u16 queue_id, const SubmissionEntry& command, const Outcome& outcome) {
    ErrorLogEntry entry;
    entry.submission_id = queue_id;
    entry.command_id = command.command_id;
    entry.status = StatusField::make(outcome.status, outcome.do_not_retry, false).raw;
    entry.namespace_id = command.namespace_id;
    entry.lba = queue_id == 0 ? 0 : command.starting_lba();
    record(entry);
}

void ErrorLog::record_doorbell() {
    ErrorLogEntry entry;
    entry.submission_id = no_command;
    entry.command_id = no_command;
    entry.status = StatusField::make(Status::invalid_field, false, false).raw;
    record(entry);
}

ErrorLogEntry ErrorLog::newest(usize index) const {
    SpinlockGuard guard(lock_);
    if (index >= error_log_entries || index >= count_) {
        return {};
    }
    return entries_[(count_ - index) % error_log_entries];
}

u64 ErrorLog::count() const {
    SpinlockGuard guard(lock_);
    return count_;
}

}  // namespace undercroft::nvme
