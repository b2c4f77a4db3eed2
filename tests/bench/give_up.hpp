// How a benchmark ends that cannot go on.
#pragma once

#include <cstdio>
#include <cstdlib>

namespace undercroft {

[[noreturn]] inline void give_up(const char* why) {
    std::fprintf(stderr, "benchmark: %s\n", why);
    std::_Exit(1);
}

}  // namespace undercroft
