// Makes a failing run shorter: takes hazards, workers, lives and operations away as long as the same kind of problem
// remains. Everything that is tried is the same seed with a filter, so whatever is found can be replayed.
#pragma once

#include "hostsim/simulation/probe.hpp"

namespace undercroft::simulation {

struct Shrunk {
    Filter filter;
    Finding finding;  ///< of a last run with that filter, with its history
    usize runs = 0;   ///< that it took
};

/// Shrinks `first`, what came of `seed` with `options`. Stops looking for something shorter after `limit_ns` of real
/// time.
Shrunk shrink(u64 seed, const RunOptions& options, const Finding& first, u64 limit_ns);

/// The last lines of a history, at most `lines_max`: those that are about the problem's sector, if it has one, and those
/// that concern all.
std::vector<std::string> tell(const Finding& finding, usize lines_max);

}  // namespace undercroft::simulation
