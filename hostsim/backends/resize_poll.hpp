// Waiting for the size of something that does not tell when it changes: it is looked at while somebody waits.
#pragma once

#include "kernel/async/wait_queue.hpp"
#include "storage/disk_size.hpp"

namespace undercroft {

inline constexpr u64 resize_poll_ns = 250 * nanoseconds_per_millisecond;

/// As `DiskInterface::wait_for_resize`; `look` sets `size` to what it is now.
template <typename Look>
Task<DiskResult<u64>> poll_for_resize(DiskSize& size, u64 known_sectors, Look look, CancelToken cancel) {
    for (;;) {
        look();
        if (u64 sectors = size.get(); sectors != known_sectors) {
            co_return sectors;
        }
        Result<void> slept = co_await sleep_for(resize_poll_ns, cancel);
        if (!slept && slept.error() == Error::cancelled) {
            co_return fail(DiskError::cancelled);
        }
    }
}

}  // namespace undercroft
