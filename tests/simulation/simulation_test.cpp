// Seeds for the simulation: some that are fixed, some that are fresh in each run, and some twice.
#include <stdio.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <random>

#include "hostsim/simulation/world.hpp"
#include "tests/simulation/main.hpp"

namespace undercroft::test {
namespace {

using simulation::Counters;
using simulation::Report;

constexpr u64 fixed_seeds = 80;
constexpr std::chrono::seconds fresh_seeds_time{4};

Report run_seed(u64 seed) {
    announce_seed(seed);
    Report report = simulation::simulate(seed);
    for (const std::string& problem : report.problems) {
        (void)fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed), problem.c_str());
    }
    if (!report.problems.empty()) {
        (void)fprintf(stderr, "replay: undercroft sim --seed %llu\n", static_cast<unsigned long long>(seed));
    }
    return report;
}

void print(const char* what, u64 runs, const Counters& sum) {
    (void)printf(
        "%s: %llu runs, %llu operations (%llu failed), %llu power cycles, %llu resizes, %llu resets, %llu aborts, "
        "%llu lies, %llu times given up, %llu guest resets, %llu guest aborts, %llu s of virtual time\n",
        what, static_cast<unsigned long long>(runs), static_cast<unsigned long long>(sum.operations),
        static_cast<unsigned long long>(sum.failures), static_cast<unsigned long long>(sum.power_cycles),
        static_cast<unsigned long long>(sum.resizes), static_cast<unsigned long long>(sum.resets),
        static_cast<unsigned long long>(sum.aborts), static_cast<unsigned long long>(sum.violations),
        static_cast<unsigned long long>(sum.given_up), static_cast<unsigned long long>(sum.guest_resets),
        static_cast<unsigned long long>(sum.guest_aborts),
        static_cast<unsigned long long>(sum.virtual_ns / nanoseconds_per_second));
}

TEST_CASE("simulated disks keep their promises under faults and power loss, fixed seeds") {
    Counters sum;
    u64 runs = 0;
    for (u64 seed = 1; seed <= fixed_seeds && !requested_seed(); ++seed, ++runs) {
        CAPTURE(seed);
        Report report = run_seed(seed);
        CHECK(report.problems.empty());
        sum.add(report.counters);
    }
    if (!requested_seed()) {
        print("fixed seeds", runs, sum);
        // The faults must really have been there.
        REQUIRE(sum.failures > 0);
        REQUIRE(sum.resets > 0);
        REQUIRE(sum.aborts > 0);
        REQUIRE(sum.violations > 0);
        REQUIRE(sum.resizes > 0);
        REQUIRE(sum.cancelled > 0);
        REQUIRE(sum.guest_resets > 0);
        REQUIRE(sum.guest_aborts > 0);
        REQUIRE(sum.exclusions > 0);
        REQUIRE(sum.layer_faults > 0);
    }
}

TEST_CASE("simulated disks keep their promises under faults and power loss, fresh seeds") {
    Counters sum;
    u64 runs = 0;
    std::random_device entropy;
    u64 first = requested_seed().value_or(u64{entropy()} << 20);
    auto end = std::chrono::steady_clock::now() + fresh_seeds_time;
    (void)printf("fresh seeds from %llu\n", static_cast<unsigned long long>(first));
    do {
        u64 seed = first + runs;
        CAPTURE(seed);
        Report report = run_seed(seed);
        REQUIRE(report.problems.empty());
        sum.add(report.counters);
        ++runs;
    } while (!requested_seed() && std::chrono::steady_clock::now() < end);
    print("fresh seeds", runs, sum);
}

TEST_CASE("one seed, one run, bit for bit") {
    for (u64 seed : {u64{3}, u64{4}, u64{5}, u64{6}, requested_seed().value_or(8)}) {
        Report first = run_seed(seed);
        Report second = run_seed(seed);
        REQUIRE(first.digest == second.digest);
        REQUIRE(first.counters.virtual_ns == second.counters.virtual_ns);
        REQUIRE(first.counters.operations == second.counters.operations);
    }
    REQUIRE(run_seed(3).digest != run_seed(4).digest);
}

}  // namespace
}  // namespace undercroft::test
