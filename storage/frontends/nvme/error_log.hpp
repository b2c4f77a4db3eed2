// The error information log: the newest failures, kept in a ring. Any virtual processor may record. Source: base 2.0
// section 5.16.1.2.
#pragma once

#include "kernel/base/spinlock.hpp"
#include "kernel/spec/nvme_logs.hpp"
#include "storage/frontends/nvme/limits.hpp"
#include "storage/frontends/nvme/status.hpp"

namespace undercroft::nvme {

class ErrorLog {
public:
    /// Queue and command id where no command is to blame.
    static constexpr u16 no_command = 0xffff;

    /// A command of queue `queue_id` failed.
    void record_command(u16 queue_id, const SubmissionEntry& entry, const Outcome& outcome);
    /// The host wrote nonsense to a doorbell.
    void record_doorbell();
    /// The `index`th newest entry; all zero where there is none.
    ErrorLogEntry newest(usize index) const;
    /// Errors since the controller was made.
    u64 count() const;

private:
    void record(ErrorLogEntry entry);

    mutable Spinlock lock_;
    u64 count_ = 0;
    ErrorLogEntry entries_[error_log_entries];
};

}  // namespace undercroft::nvme
