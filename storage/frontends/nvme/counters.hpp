// What the controller counts, for exit statistics and `inspect`.
#pragma once

#include "kernel/base/counter.hpp"

namespace undercroft::nvme {

/// Sums over all queues since the controller was made.
struct Counters {
    u64 admin_commands = 0;
    u64 io_commands = 0;
    u64 failed_commands = 0;  ///< completed with a status that is not success
    u64 doorbell_writes = 0;  ///< by MMIO: each was an exit of the guest
    u64 interrupts = 0;       ///< handed to the message sink or set pending
    u64 bytes_read = 0;
    u64 bytes_written = 0;
    u64 resets = 0;
};

}  // namespace undercroft::nvme
