// One seed in a process of its own, so that a panic, a crash or a hang is a finding like any other, and nothing is left
// over for the next run.
#pragma once

#include "hostsim/simulation/world.hpp"

namespace undercroft::simulation {

/// What came of a seed.
struct Finding {
    bool failed = false;
    std::string problem;  ///< the first; of a panic what it said
    std::vector<std::string> problems;
    u64 digest = 0;
    u64 operations = 0;
    std::optional<u64> sector;  ///< that the first problem is about
    std::vector<HistoryEntry> history;
};

/// Runs `seed` in a child process. One that is not through after `limit_ns` of real time is killed, and failed.
Finding probe(u64 seed, const RunOptions& options, u64 limit_ns);

/// What kind of problem it is: its text without numbers.
std::string kind_of(const std::string& problem);

}  // namespace undercroft::simulation
