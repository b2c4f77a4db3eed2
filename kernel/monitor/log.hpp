// The monitor's log: one line a call on the second serial port, prefixed "monitor: "; VTL2's lines pass through it as
// they are. Polled, never waits for more than the transmitter. Integer formats only.
#pragma once

#include <string_view>

#include "kernel/base/types.hpp"

namespace undercroft::monitor {

/// Sets up the port, and makes this the sink of kernel/base/log.hpp as well.
void log_initialise();

void log(const char* format, ...) __attribute__((format(printf, 1, 2)));

/// A line of VTL2's: control characters are replaced, the length is the caller's matter.
void log_image_line(std::string_view text);

/// Called first by a panic: lines no longer wait for a CPU that holds the lock.
void log_without_lock();

}  // namespace undercroft::monitor
