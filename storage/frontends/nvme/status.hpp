// How a command ended, and the one table from disk errors to NVMe status.
#pragma once

#include "kernel/spec/nvme_commands.hpp"
#include "storage/disk_error.hpp"

namespace undercroft::nvme {

/// Which direction a failed transfer had, seen from the host: some errors are named after it.
enum class TransferDirection : u8 { to_host, from_host };

/// What goes into a completion entry.
struct Outcome {
    Status status = Status::success;
    bool do_not_retry = false;
    u32 result = 0;
    u32 result_high = 0;
};

/// A failure that the host's repeating would not cure, unless `status` is one of those that pass by themselves.
Outcome failure(Status status);

/// A success that carries dword 0.
constexpr Outcome success(u32 result = 0) { return {.result = result}; }

/// What the host is told of `error`.
Outcome outcome_of(DiskError error);

/// As above, for the result of a whole disk operation.
inline Outcome outcome_of(const DiskResult<void>& result) { return result ? Outcome{} : outcome_of(result.error()); }

}  // namespace undercroft::nvme
