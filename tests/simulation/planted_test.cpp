// Simulation is worth what it finds: each planted bug must be found, within a minute, from the same seeds that find
// nothing where none is planted. A test that cannot see one of them is broken.
#include "tests/simulation/planted_bugs.hpp"

#include <stdio.h>

#include <catch2/catch.hpp>

#include "hostsim/simulation/campaign.hpp"
#include "hostsim/simulation/shrink.hpp"

namespace undercroft::test {
namespace {

using namespace simulation;

constexpr u64 limit_ns = 60 * nanoseconds_per_second;

CampaignResult search(const RunOptions& run, u64 seeds) {
    CampaignOptions options;
    options.first_seed = 1;
    options.seeds = seeds;
    options.limit_ns = limit_ns;
    options.run = run;
    options.repeat_each = 0;
    return run_campaign(options, [](const CampaignStatus&) { return true; });
}

TEST_CASE("every planted bug is found within a minute, and nothing where there is none") {
    u64 last_seed = 0;
    for (const PlantedBug& bug : planted_bugs()) {
        CAPTURE(bug.name);
        CampaignResult result = search(bug.plant(), ~u64{0} >> 1);
        CHECK(result.failed_seed.has_value());
        if (!result.failed_seed) {
            continue;
        }
        Finding finding = probe(*result.failed_seed, bug.plant(), limit_ns);
        CHECK(finding.failed);
        (void)printf("%-32s seed %3llu after %.1f s: %s\n", bug.name,
                     static_cast<unsigned long long>(*result.failed_seed),
                     static_cast<double>(result.status.elapsed_ns) / 1e9, finding.problem.c_str());
        last_seed = std::max(last_seed, *result.failed_seed);
    }
    CampaignResult clean = search({}, last_seed);
    CHECK_FALSE(clean.failed_seed.has_value());
    CHECK(clean.status.runs == last_seed);
}

TEST_CASE("a finding is made shorter, and what is left shows it again") {
    const PlantedBug& bug = planted_bugs()[0];
    CampaignResult result = search(bug.plant(), ~u64{0} >> 1);
    REQUIRE(result.failed_seed.has_value());
    RunOptions planted = bug.plant();
    Finding first = probe(*result.failed_seed, planted, limit_ns);
    REQUIRE(first.failed);
    Shrunk shrunk = shrink(*result.failed_seed, planted, first, 5 * nanoseconds_per_second);
    CHECK(shrunk.finding.failed);
    CHECK(kind_of(shrunk.finding.problem) == kind_of(first.problem));
    CHECK(shrunk.finding.operations < first.operations);
    CHECK_FALSE(tell(shrunk.finding, 60).empty());
    planted.filter = parse_filter(to_string(shrunk.filter)).value();
    CHECK(probe(*result.failed_seed, planted, limit_ns).problem == shrunk.finding.problem);
}

}  // namespace
}  // namespace undercroft::test
