// Seeds for the NVMe simulation: some that are fixed, some that are fresh in each run, and one twice.
#include "tests/simulation/nvme_simulation.hpp"

#include <stdio.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <random>

#include "tests/simulation/main.hpp"

namespace undercroft::test {
namespace {

constexpr u64 fixed_seeds = 24;
constexpr std::chrono::seconds fresh_seeds_time{8};

SimulationReport run_seed(u64 seed) {
    announce_seed(seed);
    SimulationReport report = simulate_nvme(seed);
    for (const std::string& problem : report.problems) {
        (void)fprintf(stderr, "seed %llu: %s\n", static_cast<unsigned long long>(seed), problem.c_str());
    }
    if (!report.problems.empty()) {
        (void)fprintf(stderr, "replay: simulation_tests --seed %llu\n", static_cast<unsigned long long>(seed));
    }
    return report;
}

void print(const char* what, u64 runs, const SimulationReport& sum) {
    (void)printf(
        "%s: %llu runs, %llu operations (%llu failed), %llu power cycles, %llu resets, %llu aborts, %llu lies, %llu "
        "times given up, %llu s of virtual time\n",
        what, static_cast<unsigned long long>(runs), static_cast<unsigned long long>(sum.operations),
        static_cast<unsigned long long>(sum.failures), static_cast<unsigned long long>(sum.power_cycles),
        static_cast<unsigned long long>(sum.resets), static_cast<unsigned long long>(sum.aborts),
        static_cast<unsigned long long>(sum.violations), static_cast<unsigned long long>(sum.given_up),
        static_cast<unsigned long long>(sum.virtual_ns / nanoseconds_per_second));
}

void add(SimulationReport& sum, const SimulationReport& report) {
    sum.operations += report.operations;
    sum.failures += report.failures;
    sum.power_cycles += report.power_cycles;
    sum.resets += report.resets;
    sum.aborts += report.aborts;
    sum.violations += report.violations;
    sum.given_up += report.given_up;
    sum.virtual_ns += report.virtual_ns;
}

TEST_CASE("the NVMe disk keeps its promises under faults and power loss, fixed seeds") {
    SimulationReport sum;
    u64 runs = 0;
    for (u64 seed = 1; seed <= fixed_seeds && !requested_seed(); ++seed, ++runs) {
        CAPTURE(seed);
        SimulationReport report = run_seed(seed);
        REQUIRE(report.problems.empty());
        add(sum, report);
    }
    if (!requested_seed()) {
        print("fixed seeds", runs, sum);
        // The faults must really have been there.
        REQUIRE(sum.failures > 0);
        REQUIRE(sum.resets > 0);
        REQUIRE(sum.aborts > 0);
        REQUIRE(sum.violations > 0);
    }
}

TEST_CASE("the NVMe disk keeps its promises under faults and power loss, fresh seeds") {
    SimulationReport sum;
    u64 runs = 0;
    std::random_device entropy;
    u64 first = requested_seed().value_or(u64{entropy()} << 20);
    auto end = std::chrono::steady_clock::now() + fresh_seeds_time;
    (void)printf("fresh seeds from %llu\n", static_cast<unsigned long long>(first));
    do {
        u64 seed = first + runs;
        CAPTURE(seed);
        SimulationReport report = run_seed(seed);
        REQUIRE(report.problems.empty());
        add(sum, report);
        ++runs;
    } while (!requested_seed() && std::chrono::steady_clock::now() < end);
    print("fresh seeds", runs, sum);
}

TEST_CASE("one seed, one run, bit for bit") {
    for (u64 seed : {u64{3}, requested_seed().value_or(8)}) {
        SimulationReport first = run_seed(seed);
        SimulationReport second = run_seed(seed);
        REQUIRE(first.digest == second.digest);
        REQUIRE(first.virtual_ns == second.virtual_ns);
        REQUIRE(first.operations == second.operations);
    }
    REQUIRE(run_seed(3).digest != run_seed(4).digest);
}

}  // namespace
}  // namespace undercroft::test
