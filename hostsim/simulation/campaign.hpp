// Many seeds, on several processors: one process a stream of seeds, because one that finds something dies of it now and
// then. Stops at the first failure.
#pragma once

#include "hostsim/simulation/probe.hpp"

namespace undercroft::simulation {

struct CampaignOptions {
    u64 first_seed = 1;
    u64 seeds = ~u64{0};     ///< at most
    u64 limit_ns = ~u64{0};  ///< of real time, after which no seed is begun
    usize streams = 1;
    RunOptions run;
    /// One run in so many is made twice, to see that both are the same; 0: none.
    u64 repeat_each = 50;
    /// Of real time, for one seed; one that takes longer hangs.
    u64 seed_limit_ns = 120 * nanoseconds_per_second;
};

struct CampaignStatus {
    u64 runs = 0;
    u64 next_seed = 0;
    Counters counters;
    u64 elapsed_ns = 0;
    u64 digest = 0;  ///< of all runs, whatever their order
};

struct CampaignResult {
    CampaignStatus status;
    std::optional<u64> failed_seed;
    bool stopped = false;  ///< somebody asked for it
};

/// Runs until something fails, the seeds or the time are used up, or `tick`, which is called a few times a second, says
/// false.
CampaignResult run_campaign(const CampaignOptions& options, const std::function<bool(const CampaignStatus&)>& tick);

}  // namespace undercroft::simulation
