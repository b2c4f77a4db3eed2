// What a drive tells its host when the disk below failed: the one table from disk errors to status and error registers.
// Source: ACS section 6.2 and 6.3 (error and status fields).
#pragma once

#include "kernel/spec/ata.hpp"
#include "storage/disk_error.hpp"

namespace undercroft::ide {

struct ErrorReport {
    u8 error = 0;            ///< error register
    u8 status = 0;           ///< further bits of the status register, beside ERR
    bool is_memory = false;  ///< the guest's memory was at fault: the bus master says so
};

/// What the host is told of `error`.
constexpr ErrorReport report_of(DiskError error) {
    switch (error) {
    case DiskError::illegal_block:
        return {.error = ata::error_bit::id_not_found};
    case DiskError::medium_read:
    case DiskError::medium_guard:
    case DiskError::medium_reference_tag:
    case DiskError::medium_application_tag:
        return {.error = ata::error_bit::uncorrectable};
    case DiskError::medium_write:
    case DiskError::gone:
        return {.error = ata::error_bit::aborted, .status = ata::status_bit::device_fault};
    case DiskError::memory_access:
        return {.error = ata::error_bit::aborted, .is_memory = true};
    case DiskError::aborted_by_preempt:
    case DiskError::invalid_input:
    case DiskError::io:
    case DiskError::read_only:
    case DiskError::reservation_conflict:
    case DiskError::unsupported_eject:
    case DiskError::timed_out:
    case DiskError::cancelled:
        break;
    }
    return {.error = ata::error_bit::aborted};
}

}  // namespace undercroft::ide
