// What a SANITIZE command asks for, checked (SBC-3 4.11 and clause 5), and the operation that comes of it.
#pragma once

#include "storage/disk_size.hpp"
#include "storage/scsi/request.hpp"

namespace undercroft::scsi {

struct SanitizePlan {
    /// Whole blocks of the initialization pattern; null for a block erase, which leaves zeros.
    std::unique_ptr<std::byte[]> pattern = nullptr;
    usize pattern_bytes = 0;
    u8 passes = 1;
    bool inverts = false;          ///< every second pass writes the pattern's complement
    bool is_unrestricted = false;  ///< AUSE: after a failure, EXIT FAILURE MODE is enough
    bool is_waited_for = false;    ///< not IMMED: the command ends when the operation has
    u64 parameter_bytes = 0;       ///< taken from the initiator
    u32 nexus = 0;                 ///< whose way to the medium it takes
};

/// A number that is waited for from any executor.
using WatchedNumber = DiskSize;

enum class SanitizeOutcome : u8 { open, done, failed };

/// Shared by who carries it out and by the command that waits for it, which may look when the next is under way already.
struct SanitizeOperation {
    explicit SanitizeOperation(SanitizePlan what) : plan(std::move(what)), is_waited_for(plan.is_waited_for) {}

    SanitizePlan plan;
    MemorySegment segment = {};
    std::atomic<bool> is_waited_for;  ///< by a command that is under way itself
    WatchedNumber outcome{static_cast<u64>(SanitizeOutcome::open)};
};

}  // namespace undercroft::scsi
