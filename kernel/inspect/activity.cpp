// Reading what was counted.
#include "kernel/inspect/activity.hpp"

#include <new>
#include <span>

#include "kernel/config/identifiers.hpp"

namespace undercroft::inspect {

namespace {

bool moves_bytes(IoKind kind) { return kind != IoKind::flush && kind != IoKind::other; }

}  // namespace

const char* to_string(IoKind kind) {
    switch (kind) {
    case IoKind::read:
        return "read";
    case IoKind::write:
        return "write";
    case IoKind::flush:
        return "flush";
    case IoKind::unmap:
        return "unmap";
    case IoKind::write_zeroes:
        return "write_zeroes";
    case IoKind::other:
        break;
    }
    return "other";
}

u64 KindTotals::ended() const {
    u64 sum = 0;
    for (u64 count : latency) {
        sum += count;
    }
    return sum;
}

u64 KindTotals::percentile_ns(u64 per_mille) const {
    u64 wanted = (ended() * per_mille + 999) / 1000;
    u64 sum = 0;
    for (usize bucket = 0; bucket < latency_buckets; ++bucket) {
        sum += latency[bucket];
        if (wanted > 0 && sum >= wanted) {
            return u64{1} << bucket;
        }
    }
    return 0;
}

void IoTotals::add(const IoTotals& other) {
    for (usize kind = 0; kind < io_kinds; ++kind) {
        kinds[kind].failures += other.kinds[kind].failures;
        kinds[kind].bytes += other.kinds[kind].bytes;
        kinds[kind].total_ns += other.kinds[kind].total_ns;
        for (usize bucket = 0; bucket < latency_buckets; ++bucket) {
            kinds[kind].latency[bucket] += other.kinds[kind].latency[bucket];
        }
    }
}

void IoTotals::describe(Node& node) const {
    for (usize index = 0; index < io_kinds; ++index) {
        const KindTotals& kind = kinds[index];
        u64 ended = kind.ended();
        if (ended == 0) {
            continue;
        }
        node.child(to_string(static_cast<IoKind>(index)), [&](Node& below) {
            below.number("count", ended);
            below.number("failures", kind.failures);
            if (moves_bytes(static_cast<IoKind>(index))) {
                below.number("bytes", kind.bytes);
            }
            below.child("latency", [&](Node& latency) {
                latency.number("average_ns", kind.total_ns / ended);
                latency.number("p50_below_ns", kind.percentile_ns(500));
                latency.number("p99_below_ns", kind.percentile_ns(990));
                latency.child("count_below_ns", [&](Node& buckets) {
                    for (usize bucket = 0; bucket < latency_buckets; ++bucket) {
                        if (kind.latency[bucket] > 0) {
                            buckets.number(decimal(u64{1} << bucket), kind.latency[bucket]);
                        }
                    }
                });
            });
        });
    }
}

Activity::Activity(u32 in_flight_max) : slots_(new(std::nothrow) Slot[in_flight_max]) {
    slot_count_ = slots_ != nullptr ? in_flight_max : 0;
    for (u32 slot = 0; slot < slot_count_; ++slot) {
        slots_[slot].next_free = slot + 1;
    }
}

void Activity::add_to(IoTotals& totals) const {
    for (usize index = 0; index < io_kinds; ++index) {
        const Kind& kind = kinds_[index];
        KindTotals& sum = totals.kinds[index];
        sum.failures += kind.failures.get();
        sum.bytes += kind.bytes.get();
        sum.total_ns += kind.total_ns.get();
        for (usize bucket = 0; bucket < latency_buckets; ++bucket) {
            sum.latency[bucket] += kind.latency[bucket].get();
        }
    }
}

u32 Activity::in_flight() const {
    u32 count = 0;
    for (const Slot& slot : std::span(slots_.get(), slot_count_)) {
        count += slot.started_ns.load(std::memory_order_relaxed) != 0 ? 1 : 0;
    }
    return count;
}

void Activity::describe_in_flight(Node& node, u64 now_ns) const {
    // The oldest first, by looking for each: there are few, and a sort is more code than all of this.
    u64 last_ns = 0;
    u32 last = ~u32{0};
    for (u32 shown = 0; shown < slot_count_; ++shown) {
        u32 oldest = ~u32{0};
        u64 oldest_ns = ~u64{0};
        for (u32 index = 0; index < slot_count_; ++index) {
            u64 started_ns = slots_[index].started_ns.load(std::memory_order_acquire);
            bool is_next = started_ns > last_ns || (started_ns == last_ns && started_ns != 0 && index > last);
            if (is_next && started_ns < oldest_ns) {
                oldest = index;
                oldest_ns = started_ns;
            }
        }
        if (oldest == ~u32{0}) {
            return;
        }
        last_ns = oldest_ns;
        last = oldest;
        const Slot& slot = slots_[oldest];
        node.child(decimal(shown), [&](Node& below) {
            below.text("operation", to_string(slot.kind.load(std::memory_order_relaxed)));
            if (u64 offset = slot.offset_bytes.load(std::memory_order_relaxed); offset != offset_unknown) {
                below.number("offset_bytes", offset);
            }
            below.number("length_bytes", slot.bytes.load(std::memory_order_relaxed));
            below.number("age_ns", now_ns >= oldest_ns ? now_ns - (oldest_ns - 1) : 0);
        });
    }
}

}  // namespace undercroft::inspect
