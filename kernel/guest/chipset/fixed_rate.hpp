// A counter that runs at a fixed frequency from a nanosecond clock: both conversions, without 128-bit arithmetic.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft {

/// Frequencies up to 4 GHz.
struct FixedRate {
    u64 hertz;

    /// Whole ticks in `time_ns`.
    constexpr u64 ticks(u64 time_ns) const {
        u64 seconds = time_ns / nanoseconds_per_second;
        u64 rest = time_ns % nanoseconds_per_second;
        return seconds * hertz + rest * hertz / nanoseconds_per_second;
    }
    /// The first nanosecond at which `ticks(...)` is at least `tick`.
    constexpr u64 time_ns(u64 tick) const {
        u64 seconds = tick / hertz;
        u64 rest = tick % hertz;
        return seconds * nanoseconds_per_second + (rest * nanoseconds_per_second + hertz - 1) / hertz;
    }
};

}  // namespace undercroft
