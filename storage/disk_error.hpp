// What can go wrong with a disk operation: one small enum. Each frontend has one table from it to its protocol's
// status.
#pragma once

#include "kernel/base/result.hpp"

namespace undercroft {

enum class DiskError : u8 {
    aborted_by_preempt,      ///< a persistent reservation's preempt-and-abort ended it
    illegal_block,           ///< past the end, or sector + count overflows
    invalid_input,           ///< malformed: a length that is no whole number of sectors, ...
    io,                      ///< the layer below failed for a reason that is none of the others
    medium_guard,            ///< end-to-end protection: guard check
    medium_reference_tag,    ///< end-to-end protection: reference tag check
    medium_application_tag,  ///< end-to-end protection: application tag check
    medium_read,             ///< unrecovered read error
    medium_write,            ///< write fault
    memory_access,           ///< the caller's memory could not be reached
    read_only,               ///< a change was asked of a read-only disk
    reservation_conflict,    ///< a persistent reservation forbids it
    unsupported_eject,       ///< the medium cannot be ejected
    timed_out,               ///< the deadline passed; no later completion will touch the caller's memory
    gone,                    ///< the device was removed or shut down
    cancelled,               ///< the caller's token asked; no later completion will touch the caller's memory
};

/// Number of values above, for tables and tests that must cover them all.
inline constexpr usize disk_error_count = 16;

/// The name of `error` as it appears in logs, for example "illegal block".
const char* to_string(DiskError error);

template <typename T>
using DiskResult = Result<T, DiskError>;

}  // namespace undercroft
