// What `inspect` knows of a vhost-user device: shared with whoever looks, who may come from any thread.
#pragma once

#include "kernel/inspect/activity.hpp"
#include "storage/disk.hpp"
#include "storage/frontends/virtio/device.hpp"

namespace undercroft::vhost_user {

struct DeviceRecord {
    static constexpr u32 in_flight_max = 1024;

    inspect::Activity activity{in_flight_max};
    Counter frontends;  ///< that have come, ever
    std::atomic<bool> is_connected{false};
    std::atomic<bool> is_counting{true};  ///< live: counting costs a look at the clock for each request

    /// Counters, latencies, what is under way, and the setting. From any thread.
    void describe(inspect::Node& node, u64 now_ns);
};

/// What a request moves, by what its chain offers: a transport knows no more.
struct Movement {
    inspect::IoKind kind;
    u64 bytes;
};
inline Movement movement_of(const virtio::Chain& chain) {
    constexpr u64 sector_bytes = 512;  // headers and answers are smaller, data are whole ones
    u64 in = align_down(total_bytes(chain.writable()), sector_bytes);
    u64 out = align_down(total_bytes(chain.readable()), sector_bytes);
    if (in == out) {
        return {.kind = inspect::IoKind::other, .bytes = 0};
    }
    return in > out ? Movement{.kind = inspect::IoKind::read, .bytes = in}
                    : Movement{.kind = inspect::IoKind::write, .bytes = out};
}

}  // namespace undercroft::vhost_user
