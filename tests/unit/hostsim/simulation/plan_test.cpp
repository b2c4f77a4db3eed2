// Plans and filters: one seed, one plan; what --keep says is what was meant.
#include "hostsim/simulation/plan.hpp"

#include <catch2/catch.hpp>

namespace undercroft::simulation {
namespace {

TEST_CASE("a filter is printed and read back") {
    Filter filter;
    REQUIRE(to_string(filter).empty());
    REQUIRE(parse_filter("").value() == filter);
    filter.workers = 0x1f;
    filter.operations_max = 57;
    filter.lives_max = 0;
    filter = filter.with(Hazard::stuck).with(Hazard::guest_queues);
    REQUIRE(to_string(filter) == "workers=0x1f,operations=57,lives=0,without=stuck+guest_queues");
    REQUIRE(parse_filter(to_string(filter)).value() == filter);
    REQUIRE_FALSE(filter.allows(Hazard::stuck));
    REQUIRE(filter.allows(Hazard::wedged));
}

TEST_CASE("a filter that cannot be read says why") {
    REQUIRE(parse_filter("workers=three").error().find("'three' is no number") != std::string::npos);
    REQUIRE(parse_filter("workers").error().find("is no number") != std::string::npos);
    REQUIRE(parse_filter("luck=1").error().find("there is no 'luck'") != std::string::npos);
    REQUIRE(parse_filter("without=stuck+rain").error().find("there is no hazard 'rain'") != std::string::npos);
}

TEST_CASE("a filter takes away what it names and leaves the rest of the plan") {
    for (u64 seed = 1; seed < 50; ++seed) {
        Plan whole(seed);
        Plan part(seed, Filter{}.with(Hazard::medium_error).with(Hazard::resize));
        REQUIRE(part.medium_faults.failed == 0);
        REQUIRE_FALSE(part.resizes);
        REQUIRE(part.describe() == whole.describe());
        REQUIRE(part.medium_faults.delayed == whole.medium_faults.delayed);
        REQUIRE(Plan(seed).describe() == whole.describe());
    }
}

}  // namespace
}  // namespace undercroft::simulation
