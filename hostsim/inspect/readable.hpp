// Numbers for people.
#pragma once

#include <string>

#include "kernel/base/types.hpp"

namespace undercroft {

/// "1.5 GiB".
std::string readable_size(u64 bytes);
/// "1.5 ms"; minutes and more as "2 h 5 min".
std::string readable_time(u64 nanoseconds);

}  // namespace undercroft
