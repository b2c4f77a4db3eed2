// The table from disk errors to NVMe status.
#include "storage/frontends/nvme/status.hpp"

namespace undercroft::nvme {

Outcome failure(Status status) {
    switch (status) {
    case Status::data_transfer_error:
    case Status::internal_error:
    case Status::abort_requested:
    case Status::aborted_queue_deleted:
    case Status::command_interrupted:
    case Status::namespace_not_ready:
        return {.status = status, .do_not_retry = false};
    default:
        return {.status = status, .do_not_retry = true};
    }
}

Outcome outcome_of(DiskError error) {
    switch (error) {
    case DiskError::aborted_by_preempt:
        return failure(Status::aborted_by_preempt);
    case DiskError::illegal_block:
        return failure(Status::lba_out_of_range);
    case DiskError::invalid_input:
        return failure(Status::invalid_field);
    case DiskError::io:
        return failure(Status::internal_error);
    case DiskError::medium_guard:
        return failure(Status::guard_check_error);
    case DiskError::medium_reference_tag:
        return failure(Status::reference_tag_check_error);
    case DiskError::medium_application_tag:
        return failure(Status::application_tag_check_error);
    case DiskError::medium_read:
        return failure(Status::unrecovered_read_error);
    case DiskError::medium_write:
        return failure(Status::write_fault);
    case DiskError::memory_access:
        return failure(Status::data_transfer_error);
    case DiskError::read_only:
        return failure(Status::write_to_read_only_range);
    case DiskError::reservation_conflict:
        return failure(Status::reservation_conflict);
    case DiskError::unsupported_eject:
        return failure(Status::invalid_opcode);
    case DiskError::timed_out:
    case DiskError::cancelled:
        return failure(Status::abort_requested);
    case DiskError::gone:
        // Nobody will come back to answer a repeated command.
        return {.status = Status::internal_error, .do_not_retry = true};
    }
    return failure(Status::internal_error);
}

}  // namespace undercroft::nvme
