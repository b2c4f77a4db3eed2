// Limits of the NVMe driver. Every wait, retry and queue has its maximum here; together they bound how long a request
// can take (`request_bound_ns`).
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::nvme::host {

struct DriverOptions {
    /// Entries of an I/O queue; the controller's CAP.MQES may make it less. 2 to 256.
    u32 queue_entries_max = 256;
    /// How long the device may take for one I/O command before it is aborted.
    u64 command_timeout_ns = 10 * nanoseconds_per_second;
    /// How long after the Abort before the controller is reset.
    u64 abort_grace_ns = 1 * nanoseconds_per_second;
    /// How long an admin command may take before the controller is reset, or while it is being set up, given up.
    u64 admin_timeout_ns = 5 * nanoseconds_per_second;
    /// Bound on what CAP.TO may ask for.
    u64 ready_timeout_max_ns = 30 * nanoseconds_per_second;
    /// Bound on what RTD3E may ask for at a clean shutdown.
    u64 shutdown_timeout_max_ns = 10 * nanoseconds_per_second;
    /// Past this age of a request no further attempt is begun.
    u64 request_timeout_ns = 30 * nanoseconds_per_second;
    /// Attempts at one command, the first included.
    u32 attempts_max = 3;
    /// Before an attempt that the controller asked for (namespace not ready, command interrupted).
    u64 retry_delay_ns = 100 * nanoseconds_per_millisecond;
    /// Controller resets in a row, without one I/O command completing in between, before the device is given up.
    u32 resets_max = 3;
    /// While commands are under way: how often their age and the controller's health are looked at, and the queue
    /// without an interrupt.
    u64 watch_interval_ns = 250 * nanoseconds_per_millisecond;
    /// How often the controller's health is looked at when nothing is under way.
    u64 idle_watch_interval_ns = 10 * nanoseconds_per_second;
    /// Least time between two asynchronous events, so that a device cannot keep the processor busy with them.
    u64 event_interval_ns = 10 * nanoseconds_per_millisecond;
    /// Bounce memory of an I/O queue, in pages.
    u32 bounce_pages = 32;

    /// No request takes longer, whatever the device does: attempts are begun until `request_timeout_ns`, the last one
    /// may use up its timeout, the Abort, and the controller's time to be disabled, after which it is cut off from
    /// memory and the request fails.
    constexpr u64 request_bound_ns() const {
        return request_timeout_ns + command_timeout_ns + abort_grace_ns + 2 * admin_timeout_ns +
               2 * ready_timeout_max_ns + 8 * watch_interval_ns + retry_delay_ns;
    }
};

/// Largest transfer of one command; what is larger is split. Its PRP list, with one entry more for an unaligned start,
/// fits a quarter of a page.
inline constexpr usize transfer_bytes_max = 512 * kib;
/// Entries in a command's PRP list.
inline constexpr usize prp_list_entries = transfer_bytes_max / page_size;
/// Commands of one request that are under way at the same time.
inline constexpr usize parallel_commands_max = 8;
/// Largest transfer of one command through bounce memory.
inline constexpr usize bounce_bytes_max = 64 * kib;
/// Entries of the admin queue.
inline constexpr u32 admin_queue_entries = 32;
/// Namespaces of one controller that the driver serves at most.
inline constexpr usize namespaces_max = 32;
/// I/O queues, and so executors, at most.
inline constexpr usize io_queues_max = 64;
/// The memory page size that the driver asks for, CC.MPS.
inline constexpr u32 page_size_log2 = 12;
static_assert(page_size == usize{1} << page_size_log2);
/// How often CSTS is read while it is waited for.
inline constexpr u64 register_poll_interval_ns = 1 * nanoseconds_per_millisecond;
/// CAP.TO of 0 counts as this: one unit.
inline constexpr u64 ready_timeout_min_ns = 500 * nanoseconds_per_millisecond;
/// How long an executor waits for others to have their queues made.
inline constexpr u64 setup_wait_max_ns = 30 * nanoseconds_per_second;

/// What stands in a PRP field that the controller must not look at: an address that no machine here maps, so that a
/// controller that does look, fails.
inline constexpr u64 unmappable_address = 0xffff'ffff'ffff'f000;

}  // namespace undercroft::nvme::host
