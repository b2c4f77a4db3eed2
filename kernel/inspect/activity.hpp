// What a queue, a connection or a layer does: operations, bytes, failures, how long they take, and those under way.
// Counting is a few plain loads and stores of whoever owns it (one executor); reading is for anybody, at any time, and
// what is read is as good as one moment: each number is right, two of them may be a moment apart.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <memory>
#include <utility>

#include "kernel/base/counter.hpp"
#include "kernel/inspect/node.hpp"

namespace undercroft::inspect {

enum class IoKind : u8 { read, write, flush, unmap, write_zeroes, other };
inline constexpr usize io_kinds = 6;

/// The place of an operation that nobody knows, or that has none: it is not shown.
inline constexpr u64 offset_unknown = ~u64{0};

/// Bucket `n` of a latency histogram counts what took less than 2^n ns, and no less than half of that; the last, what
/// took longer.
inline constexpr usize latency_buckets = 40;
inline usize latency_bucket(u64 ns) { return std::min<usize>(std::bit_width(ns), latency_buckets - 1); }

/// Sums of one kind of operation.
struct KindTotals {
    u64 failures = 0;
    u64 bytes = 0;
    u64 total_ns = 0;
    std::array<u64, latency_buckets> latency = {};  ///< together: all that have ended
    u64 ended() const;
    /// What `per_mille` of them took at most, as far as buckets tell; 0 where there are none.
    u64 percentile_ns(u64 per_mille) const;
};

struct IoTotals {
    std::array<KindTotals, io_kinds> kinds = {};
    void add(const IoTotals& other);
    /// A node for each kind of which there were any.
    void describe(Node& node) const;
};

class Activity {
public:
    /// Room for `in_flight_max` operations under way; what is more is counted, and not shown while it runs. So is all,
    /// where there is no memory for that.
    explicit Activity(u32 in_flight_max);
    Activity(const Activity&) = delete;
    Activity& operator=(const Activity&) = delete;

    /// An operation under way, from `begin` to `end`; both on the owner's executor.
    struct Started {
        u64 at_ns = 0;
        u32 slot = 0;
        IoKind kind = IoKind::other;
    };

    /// Where `started` is, for those that know it later.
    void place(const Started& started, u64 offset_bytes, u64 bytes) {
        if (started.slot < slot_count_) [[likely]] {
            slots_[started.slot].offset_bytes.store(offset_bytes, std::memory_order_relaxed);
            slots_[started.slot].bytes.store(bytes, std::memory_order_relaxed);
        }
        kinds_[static_cast<usize>(started.kind)].bytes.add(bytes);
    }
    /// An operation starts; each is ended once, by `end`.
    Started begin(IoKind kind, u64 offset_bytes, u64 bytes, u64 now_ns) {
        u32 slot = first_free_;
        if (slot < slot_count_) [[likely]] {
            Slot& taken = slots_[slot];
            first_free_ = taken.next_free;
            taken.kind.store(kind, std::memory_order_relaxed);
            taken.offset_bytes.store(offset_bytes, std::memory_order_relaxed);
            taken.bytes.store(bytes, std::memory_order_relaxed);
            taken.started_ns.store(now_ns + 1, std::memory_order_release);
        }
        kinds_[static_cast<usize>(kind)].bytes.add(bytes);
        return {.at_ns = now_ns, .slot = slot, .kind = kind};
    }
    /// Counts it and what it took, and gives its slot back.
    void end(const Started& started, u64 now_ns) {
        Kind& kind = kinds_[static_cast<usize>(started.kind)];
        u64 took_ns = now_ns > started.at_ns ? now_ns - started.at_ns : 0;
        kind.latency[latency_bucket(took_ns)].add();
        kind.total_ns.add(took_ns);
        if (started.slot < slot_count_) [[likely]] {
            slots_[started.slot].started_ns.store(0, std::memory_order_relaxed);
            slots_[started.slot].next_free = std::exchange(first_free_, started.slot);
        }
    }
    /// One of `kind` has failed; beside its `end`.
    void count_failure(IoKind kind) { kinds_[static_cast<usize>(kind)].failures.add(); }

    // Anybody.
    void add_to(IoTotals& totals) const;
    /// A node for each operation under way, the oldest first: what it is, where, and its age.
    void describe_in_flight(Node& node, u64 now_ns) const;
    u32 in_flight() const;

private:
    struct Kind {
        Counter failures;
        Counter bytes;
        Counter total_ns;
        Counter latency[latency_buckets];
    };
    struct Slot {
        std::atomic<u64> started_ns{0};  // and one; 0: free
        std::atomic<u64> offset_bytes{0};
        std::atomic<u64> bytes{0};
        std::atomic<IoKind> kind{IoKind::other};
        u32 next_free = 0;  // the owner's
    };

    std::array<Kind, io_kinds> kinds_;
    std::unique_ptr<Slot[]> slots_;
    u32 slot_count_ = 0;
    u32 first_free_ = 0;
};

const char* to_string(IoKind kind);

}  // namespace undercroft::inspect
