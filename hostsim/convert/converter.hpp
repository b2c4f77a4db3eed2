// Copying one disk onto another: several pieces at a time, zeros and holes as such, with progress that can be written
// down and gone on from. Sector sizes may differ; the target may be larger, never smaller.
//
// Everything before a checkpoint is on the target and durable when it is reported; a copy that was stopped there goes on
// with `ConvertOptions::start_bytes`, and makes the rest as if it had never stopped. The source must not change.
#pragma once

#include <string>

#include "storage/disk.hpp"

namespace undercroft {

struct ConvertOptions {
    usize depth = 8;                   ///< pieces at a time
    u64 piece_bytes = 1 * mib;         ///< of one read and write
    u64 start_bytes = 0;               ///< what an earlier copy has done already: a checkpoint
    bool keep_holes = true;            ///< zeros become holes; false: they are written, byte for byte
    u64 checkpoint_bytes = 256 * mib;  ///< copied between two checkpoints
};

struct ConvertProgress {
    u64 total_bytes = 0;
    u64 done_bytes = 0;    ///< up to here everything is copied
    u64 copied_bytes = 0;  ///< of data
    u64 zero_bytes = 0;    ///< of zeros and holes
};

/// Is told how far a copy is. Called on the executor that copies.
class ConvertObserver {
public:
    virtual ~ConvertObserver() = default;
    /// After every piece.
    virtual void progress(const ConvertProgress& progress) = 0;
    /// Everything before `done_bytes` is durable. What it returns on failure ends the copy.
    virtual Result<void, std::string> checkpoint(u64 done_bytes) = 0;
};

/// Why these two cannot be copied: sizes, sector sizes, a target that is read-only. Empty where they can.
std::string convert_problem(const Disk& source, const Disk& target);

/// Copies `source` onto `target`, flushes it and checks that both still have the sizes they had. On failure, or when
/// `cancel` asks: the reason ("cancelled"), after a last checkpoint where the target still takes one.
Task<Result<ConvertProgress, std::string>> convert(Disk source, Disk target, ConvertOptions options,
                                                   ConvertObserver& observer, CancelToken cancel);

/// Whether both hold the same, reading all of them (the target's first bytes, where it is larger). On failure: where
/// they differ, or what could not be read. `observer` gets progress alone.
Task<Result<void, std::string>> verify(Disk source, Disk target, ConvertOptions options, ConvertObserver& observer,
                                       CancelToken cancel);

}  // namespace undercroft
