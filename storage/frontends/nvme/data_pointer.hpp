// From a command's data pointer to memory segments: PRP entries and lists, SGL descriptors and segments. Everything the
// host says is read once and checked. Left out: metadata, keyed and transport SGLs. Source: base 2.0 sections 4.1.1 and
// 4.1.2.
#pragma once

#include "kernel/guest/memory.hpp"
#include "storage/frontends/nvme/request.hpp"

namespace undercroft::nvme {

/// Upper bound of the segments that `resolve_data` will need for `bytes`, as far as the entry alone tells.
usize segments_needed(const SubmissionEntry& entry, u64 bytes);

/// Fills `segments` with the guest memory of the command's `bytes` (not 0). Statuses: PRP offset invalid, data transfer
/// error (no such memory), and those of malformed SGLs. An SGL may describe more than `bytes`; what is behind them is
/// not looked at.
Status resolve_data(const GuestMemory& memory, const SubmissionEntry& entry, u64 bytes, SegmentBuilder& segments);

}  // namespace undercroft::nvme
