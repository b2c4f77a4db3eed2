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

TEST_CASE("seeds draw both kinds of guests, faults in the pipeline, and rivals; each can be taken away") {
    u64 windows = 0;
    u64 linux = 0;
    u64 faults = 0;
    u64 rivals = 0;
    for (u64 seed = 1; seed < 200; ++seed) {
        Plan plan(seed);
        windows += plan.guest.is_there && plan.guest.is_windows;
        linux += plan.guest.is_there && !plan.guest.is_windows;
        faults += !plan.fault_rules.empty();
        rivals += plan.has_rival;
        REQUIRE_FALSE((plan.guest.is_windows && (plan.guest.aborts || plan.guest.shadow_doorbells)));
        for (const FaultRule& rule : plan.fault_rules) {
            REQUIRE(rule.action != FaultAction::corrupt);
            REQUIRE((rule.action != FaultAction::tear || rule.error.has_value()));
        }
        Plan calm(seed, Filter{}.with(Hazard::fault_layer).with(Hazard::rival));
        REQUIRE(calm.fault_rules.empty());
        REQUIRE_FALSE(calm.has_rival);
        REQUIRE(calm.describe() == plan.describe());
    }
    REQUIRE(windows > 0);
    REQUIRE(linux > 0);
    REQUIRE(faults > 0);
    REQUIRE(rivals > 0);
}

}  // namespace
}  // namespace undercroft::simulation
