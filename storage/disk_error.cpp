// Texts of `DiskError`.
#include "storage/disk_error.hpp"

namespace undercroft {

const char* to_string(DiskError error) {
    switch (error) {
    case DiskError::aborted_by_preempt:
        return "aborted by preempt";
    case DiskError::illegal_block:
        return "illegal block";
    case DiskError::invalid_input:
        return "invalid input";
    case DiskError::io:
        return "input/output error";
    case DiskError::medium_guard:
        return "guard check failed";
    case DiskError::medium_reference_tag:
        return "reference tag check failed";
    case DiskError::medium_application_tag:
        return "application tag check failed";
    case DiskError::medium_read:
        return "unrecovered read error";
    case DiskError::medium_write:
        return "write fault";
    case DiskError::memory_access:
        return "memory not accessible";
    case DiskError::read_only:
        return "read only";
    case DiskError::reservation_conflict:
        return "reservation conflict";
    case DiskError::unsupported_eject:
        return "eject not supported";
    case DiskError::timed_out:
        return "timed out";
    case DiskError::gone:
        return "gone";
    case DiskError::cancelled:
        return "cancelled";
    }
    return "unknown disk error";
}

}  // namespace undercroft
