// Verb sim: simulated machines from seeds, until something breaks.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <random>
#include <thread>

#include "hostsim/program/exit_status.hpp"
#include "hostsim/program/verbs.hpp"
#include "hostsim/simulation/campaign.hpp"
#include "hostsim/simulation/shrink.hpp"
#include "kernel/base/log.hpp"

namespace undercroft {

namespace {

using namespace simulation;

constexpr u64 minutes_max = u64{7} * 24 * 60;
constexpr u64 streams_max = 64;
constexpr u64 shrink_seconds = 30;
constexpr usize history_lines_max = 60;
/// What one seed may take of real time.
constexpr u64 seed_limit_ns = 120 * nanoseconds_per_second;

constexpr OptionSpec options[] = {
    {.name = "seed", .value = "N", .help = "begin with seed N (default: a fresh one); alone, run that seed only"},
    {.name = "minutes", .value = "M", .help = "run for M minutes (default: 1)"},
    {.name = "seeds", .value = "K", .help = "run at most K seeds"},
    {.name = "jobs", .value = "J", .help = "processes to use (default: one a CPU)"},
    {.name = "keep", .value = "WHAT", .help = "leave only a part of each seed's life, as a failure prints it"},
    {.name = "list", .value = nullptr, .help = "print what the seeds decide, and run nothing"},
    {.name = "history", .value = nullptr, .help = "print everything that happens; for one seed"},
};

constexpr char help[] =
    "Each seed is a machine: guests, controllers, drivers, a disk pipeline and media that fail and lose their power, "
    "in\n"
    "virtual time. An oracle checks every sector. A failure is printed with its seed, the shortest history that shows "
    "it,\n"
    "and the command that replays it. --keep takes workers=MASK,operations=N,lives=N,without=HAZARD+HAZARD...\n"
    "Exit status: 0 nothing found, or stopped; 1 wrong command line; 21 something was found.";

volatile sig_atomic_t stop_requested = 0;

void on_signal(int) {
    if (stop_requested != 0) {
        _exit(exit_status::failed);
    }
    stop_requested = 1;
}

int refuse(const std::string& why) {
    (void)fprintf(stderr, "undercroft: %s\n", why.c_str());
    return exit_status::usage;
}

u64 per_minute(u64 count, u64 elapsed_ns) {
    return static_cast<u64>(static_cast<double>(count) * 60e9 / static_cast<double>(std::max<u64>(elapsed_ns, 1)));
}

void print_progress(const CampaignStatus& status, const char* end) {
    const Counters& counters = status.counters;
    (void)fprintf(
        stderr, "%s%4llu s  %llu seeds  %llu operations (%llu a minute)  %llu power cycles  %llu resets  %llu faults%s",
        isatty(STDERR_FILENO) != 0 ? "\r\033[K" : "", wide(status.elapsed_ns / nanoseconds_per_second),
        wide(status.runs), wide(counters.operations), wide(per_minute(counters.operations, status.elapsed_ns)),
        wide(counters.power_cycles), wide(counters.resets + counters.guest_resets), wide(counters.injected), end);
    (void)fflush(stderr);
}

void print_summary(const CampaignStatus& status, u64 first_seed) {
    const Counters& counters = status.counters;
    (void)printf("%llu seeds from %llu: %llu operations (%llu failed, %llu cancelled), %llu a minute\n",
                 wide(status.runs), wide(first_seed), wide(counters.operations), wide(counters.failures),
                 wide(counters.cancelled), wide(per_minute(counters.operations, status.elapsed_ns)));
    (void)printf(
        "%llu power cycles, %llu resizes, %llu faults, %llu resets, %llu aborts, %llu lies noticed, %llu times "
        "given up; guests: %llu resets, %llu aborts\n",
        wide(counters.power_cycles), wide(counters.resizes), wide(counters.injected), wide(counters.resets),
        wide(counters.aborts), wide(counters.violations), wide(counters.given_up), wide(counters.guest_resets),
        wide(counters.guest_aborts));
    (void)printf("%llu s of virtual time in %llu s; digest %016llx\n",
                 wide(counters.virtual_ns / nanoseconds_per_second), wide(status.elapsed_ns / nanoseconds_per_second),
                 wide(status.digest));
}

std::string replay_command(u64 seed, const Filter& filter) {
    std::string keep = to_string(filter);
    return "undercroft sim --seed " + std::to_string(seed) + (keep.empty() ? "" : " --keep " + keep);
}

void print_history(const Finding& finding, usize lines_max) {
    for (const std::string& line : tell(finding, lines_max)) {
        (void)printf("%s\n", line.c_str());
    }
}

int report_failure(u64 seed, const Filter& filter) {
    RunOptions run{.filter = filter, .keep_history = false, .decorate = {}};
    (void)printf("seed %llu: %s\n", wide(seed), Plan(seed, filter).describe().c_str());
    Finding first = probe(seed, run, seed_limit_ns);
    if (!first.failed) {
        Finding second = probe(seed, run, seed_limit_ns);
        (void)printf("failed, and does not fail again: %s\n", first.digest == second.digest
                                                                  ? "a run depends on what ran before it"
                                                                  : "two runs of the seed are not the same");
        return exit_status::failed;
    }
    for (const std::string& problem : first.problems) {
        (void)printf("  %s\n", problem.c_str());
    }
    (void)fprintf(stderr, "looking for a shorter history, up to %llu s ...\n", wide(shrink_seconds));
    Shrunk shrunk = shrink(seed, run, first, shrink_seconds * nanoseconds_per_second);
    (void)printf("shortest history found in %zu runs (%llu operations, before: %llu):\n", shrunk.runs,
                 wide(shrunk.finding.operations), wide(first.operations));
    print_history(shrunk.finding, history_lines_max);
    for (const std::string& problem : shrunk.finding.problems) {
        (void)printf("  %s\n", problem.c_str());
    }
    (void)printf("replay: %s --history\n", replay_command(seed, shrunk.filter).c_str());
    (void)printf("whole:  %s\n", replay_command(seed, filter).c_str());
    return exit_status::failed;
}

/// One seed, twice: what it does, and that it does the same each time.
int run_seed(u64 seed, const Filter& filter, bool history) {
    RunOptions run{.filter = filter, .keep_history = history, .decorate = {}};
    Finding finding = probe(seed, run, seed_limit_ns);
    if (history) {
        print_history(finding, ~usize{0});
    }
    if (finding.failed && history) {
        for (const std::string& problem : finding.problems) {
            (void)printf("  %s\n", problem.c_str());
        }
        return exit_status::failed;
    }
    if (finding.failed) {
        return report_failure(seed, filter);
    }
    Finding again = probe(seed, run, seed_limit_ns);
    (void)printf("seed %llu: %s\n%llu operations, nothing found; digest %016llx\n", wide(seed),
                 Plan(seed, filter).describe().c_str(), wide(finding.operations), wide(finding.digest));
    if (again.digest != finding.digest) {
        (void)printf("a second run has digest %016llx: the simulation is not repeatable\n", wide(again.digest));
        return exit_status::failed;
    }
    return exit_status::done;
}

int run_seeds(const CampaignOptions& campaign) {
    struct sigaction action = {};
    action.sa_handler = &on_signal;
    (void)sigaction(SIGINT, &action, nullptr);
    (void)sigaction(SIGTERM, &action, nullptr);
    bool terminal = isatty(STDERR_FILENO) != 0;
    u64 interval_ns = (terminal ? 1 : 30) * nanoseconds_per_second;
    u64 next_ns = interval_ns;
    (void)printf("seeds from %llu\n", wide(campaign.first_seed));
    (void)fflush(stdout);
    CampaignResult result = run_campaign(campaign, [&](const CampaignStatus& status) {
        if (status.elapsed_ns >= next_ns) {
            print_progress(status, terminal ? "" : "\n");
            next_ns = status.elapsed_ns + interval_ns;
        }
        return stop_requested == 0;
    });
    if (terminal) {
        print_progress(result.status, "\n");
    }
    print_summary(result.status, campaign.first_seed);
    if (result.failed_seed) {
        return report_failure(*result.failed_seed, campaign.run.filter);
    }
    (void)printf("%s\n", result.stopped ? "stopped; nothing found" : "nothing found");
    return exit_status::done;
}

int run(const CommandLine& line) {
    std::random_device entropy;
    Result<u64, std::string> seed = line.number("seed", u64{entropy()} << 20, 0, ~u64{0} >> 1);
    Result<u64, std::string> minutes = line.number("minutes", 1, 1, minutes_max);
    Result<u64, std::string> seeds = line.number("seeds", ~u64{0} >> 2, 1, ~u64{0} >> 2);
    Result<u64, std::string> jobs =
        line.number("jobs", std::max(std::thread::hardware_concurrency(), 1U), 1, streams_max);
    for (const auto* number : {&seed, &minutes, &seeds, &jobs}) {
        if (!*number) {
            return refuse(number->error());
        }
    }
    Result<Filter, std::string> filter = parse_filter(line.value("keep"));
    if (!filter) {
        return refuse("--keep: " + filter.error());
    }
    bool single = line.has("seed") && !line.has("minutes") && !line.has("seeds");
    if (line.has("list")) {
        for (u64 number = 0; number < (line.has("seeds") ? *seeds : 1); ++number) {
            (void)printf("%llu: %s\n", wide(*seed + number), Plan(*seed + number, *filter).describe().c_str());
        }
        return exit_status::done;
    }
    if (single || (line.has("history") && line.has("seed"))) {
        return run_seed(*seed, *filter, line.has("history"));
    }
    CampaignOptions campaign{
        .first_seed = *seed, .seeds = *seeds, .streams = *jobs, .run = {}, .seed_limit_ns = seed_limit_ns};
    campaign.run.filter = *filter;
    bool timed = line.has("minutes") || !line.has("seeds");
    campaign.limit_ns = timed ? *minutes * 60 * nanoseconds_per_second : ~u64{0};
    return run_seeds(campaign);
}

}  // namespace

const Verb verb_sim{.name = "sim",
                    .summary = "Simulate machines from seeds until something breaks",
                    .arguments = "",
                    .help = help,
                    .options = options,
                    .positional_max = 0,
                    .run = &run};

}  // namespace undercroft
