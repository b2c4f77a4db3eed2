// The machine's own real-time clock (MC146818, ports 70h and 71h), read once while starting up: from then on the TSC
// counts. Left out: setting it, alarms.
// Source: Motorola MC146818A datasheet; ACPI's century register 32h as PCs have it.
#pragma once

#include "kernel/base/result.hpp"

namespace undercroft {

/// The time of day in UTC, in seconds since 1970-01-01 00:00. `device_error` where the clock stands still in an update,
/// or holds no date.
Result<u64> read_cmos_clock();

}  // namespace undercroft
