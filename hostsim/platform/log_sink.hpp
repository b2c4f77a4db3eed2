// Where log lines of a host program go.
#pragma once

#include "kernel/base/log.hpp"

namespace undercroft {

/// Sends every log line to standard error, one write a line, with its level in front. Callable from any thread.
void log_to_standard_error();

}  // namespace undercroft
