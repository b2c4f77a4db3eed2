// A command in execution: its entry as copied from the ring, its memory segments, and how it is asked to end. Requests
// come from their queue's pool, so that a command costs no heap.
#pragma once

#include <optional>
#include <span>

#include "kernel/async/cancel.hpp"
#include "kernel/inspect/activity.hpp"
#include "kernel/spec/nvme_commands.hpp"
#include "storage/disk.hpp"
#include "storage/frontends/nvme/limits.hpp"
#include "storage/frontends/nvme/status.hpp"

namespace undercroft::nvme {

class SubmissionQueue;

/// Collects pieces of guest memory into segments; neighbours become one.
class SegmentBuilder {
public:
    explicit SegmentBuilder(std::span<MemorySegment> storage) : storage_(storage) {}

    /// False where there is no room.
    bool append(std::span<std::byte> piece) {
        if (piece.empty()) {
            return true;
        }
        if (count_ > 0) {
            MemorySegment& last = storage_[count_ - 1];
            if (last.data + last.size == piece.data()) {
                last.size += piece.size();
                return true;
            }
        }
        if (count_ == storage_.size()) {
            return false;
        }
        storage_[count_++] = {piece.data(), piece.size()};
        return true;
    }
    SegmentList list() const { return storage_.first(count_); }

private:
    std::span<MemorySegment> storage_;
    usize count_ = 0;
};

/// Segments of a transfer for which the request's own do not suffice.
struct LargeSegmentList {
    LargeSegmentList* next = nullptr;
    MemorySegment segments[segments_max] = {};
};

/// Why a request was asked to stop.
enum class Ending : u8 {
    none,
    abort_command,  ///< by Abort: completes as such
    queue_deleted,  ///< completes as such
    reset,          ///< no completion at all
};

struct Request {
    SubmissionEntry entry;
    SubmissionQueue* queue = nullptr;
    Request* next_free = nullptr;
    LargeSegmentList* large_list = nullptr;
    std::optional<CancelSource> cancel;
    u64 generation = 0;  ///< counts uses of this slot
    Ending ending = Ending::none;
    SegmentList data;  ///< the transfer, once resolved
    bool executing = false;
    bool holds_bounce = false;
    inspect::Activity::Started started;  ///< of I/O commands
    bool was_aborted = false;            ///< of the last use: it ended because it was asked to
    MemorySegment inline_list[inline_segments] = {};

    CancelToken token() { return cancel->token(); }
};

/// Carries commands out. `start` is called on the queue's executor and must lead to exactly one
/// `SubmissionQueue::finish` or `forget`.
class CommandHandler {
public:
    virtual ~CommandHandler() = default;
    virtual void start(Request& request) = 0;
};

}  // namespace undercroft::nvme
