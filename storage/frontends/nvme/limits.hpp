// What this controller offers at most: every queue, list and retry of it has its bound here.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::nvme {

inline constexpr u32 io_queues_max = 64;              ///< I/O queue pairs; ids 1 to this
inline constexpr u32 queues_max = io_queues_max + 1;  ///< with the admin pair, id 0
inline constexpr u32 vectors_max = queues_max;        ///< MSI-X vectors
inline constexpr u32 queue_entries_max = 1024;        ///< MQES, of an I/O queue
inline constexpr u32 requests_per_queue_max = 128;    ///< executing at once; the rest stays in the ring
/// CAP.TO, and CRTO: disabling waits for what is under way on the disks, and a disk on a device that hangs takes its time
/// to fail (`DriverOptions::request_bound_ns`). A guest that waits no longer than that takes the controller for dead:
/// the longest time that CAP.TO can say, 127.5 s.
inline constexpr u32 ready_timeout_500ms = 255;
inline constexpr u32 memory_page_log2 = 12;    ///< the one page size of CAP.MPSMIN and MPSMAX
inline constexpr u32 transfer_pages_log2 = 8;  ///< MDTS
inline constexpr u64 transfer_bytes_max = u64{1} << (memory_page_log2 + transfer_pages_log2);
inline constexpr usize inline_segments = 8;  ///< kept in the request: enough for the usual transfer
inline constexpr usize segments_max = (usize{1} << transfer_pages_log2) + 1;
inline constexpr u64 large_lists_per_queue_max = 16;  ///< lists of `segments_max`; a request waits for one
inline constexpr u32 sgl_descriptors_max = 4096;      ///< looked at for one command, empty ones included
/// With this many commands executing, a queue with shared doorbells looks for new ones at each completion instead of
/// asking to be called, ...
inline constexpr u32 polling_requests_min = 8;
/// ... but asks again when none has completed for this time, so that slow commands do not hold new ones up.
inline constexpr u64 polling_time_ns = 100 * nanoseconds_per_microsecond;
inline constexpr usize namespaces_max = 256;
inline constexpr usize event_requests_max = 4;  ///< AERL + 1
inline constexpr usize aborts_max = 4;          ///< ACL + 1
inline constexpr usize error_log_entries = 64;  ///< ELPE + 1
inline constexpr u64 bounce_bytes = 64 * kib;   ///< Compare and Verify read through a buffer of this size

/// BAR0: registers and doorbells, then the MSI-X table, then its pending bits.
inline constexpr u32 msix_table_offset = 0x2000;
inline constexpr u32 msix_pending_offset = 0x3000;
inline constexpr u64 register_bar_bytes = 0x4000;

}  // namespace undercroft::nvme
