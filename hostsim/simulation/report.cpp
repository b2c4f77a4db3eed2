// Recorder.
#include "hostsim/simulation/report.hpp"

namespace undercroft::simulation {

namespace {
/// More problems of one run say nothing new.
constexpr usize problems_max = 20;
}  // namespace

void Counters::add(const Counters& other) {
    operations += other.operations;
    failures += other.failures;
    flushes += other.flushes;
    power_cycles += other.power_cycles;
    resizes += other.resizes;
    resets += other.resets;
    aborts += other.aborts;
    violations += other.violations;
    given_up += other.given_up;
    guest_resets += other.guest_resets;
    guest_aborts += other.guest_aborts;
    cancelled += other.cancelled;
    exclusions += other.exclusions;
    layer_faults += other.layer_faults;
    injected += other.injected;
    virtual_ns += other.virtual_ns;
}

void Recorder::problem(std::string text, std::optional<u64> sector) {
    note(report.problems.size());
    if (report.problems.empty()) {
        report.problem_sector = sector;
    }
    event("PROBLEM: " + text, sector.value_or(0), sector ? 1 : 0);
    if (report.problems.size() < problems_max) {
        report.problems.push_back("at " + std::to_string(clock_.now_ns()) + " ns: " + std::move(text));
    }
}

void Recorder::event(std::string text, u64 first_sector, u64 sectors) {
    if (keep_history_) {
        report.history.push_back(
            {.at_ns = clock_.now_ns(), .text = std::move(text), .first_sector = first_sector, .sectors = sectors});
    }
}

}  // namespace undercroft::simulation
