// Streams of seeds in child processes, and the memory in which they say how far they are.
#include "hostsim/simulation/campaign.hpp"

#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <new>

namespace undercroft::simulation {

namespace {

constexpr int status_failed = 3;
constexpr u64 tick_ns = 50 * nanoseconds_per_millisecond;

u64 real_now_ns() {
    timespec now{};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<u64>(now.tv_sec) * nanoseconds_per_second + static_cast<u64>(now.tv_nsec);
}

/// What one stream and the campaign tell each other.
struct Stream {
    std::atomic<u64> seed{0};      // under way
    std::atomic<u64> began_ns{0};  // of real time; 0: none is under way
    std::atomic<u64> sequence{0};  // odd while what follows is being written
    u64 runs = 0;
    u64 digest = 0;
    Counters counters;
};

struct Shared {
    std::atomic<bool> stop{false};
    Stream streams[64];
};

bool is_repeatable(u64 seed, const RunOptions& options, u64 digest) { return simulate(seed, options).digest == digest; }

[[noreturn]] void run_stream(Shared& shared, usize index, const CampaignOptions& options, u64 end_ns) {
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);  // whoever runs the campaign stops it in an orderly way
    (void)signal(SIGABRT, SIG_DFL);
    // What a panic says is said again by whoever looks at the seed that failed.
    (void)freopen("/dev/null", "w", stderr);
    Stream& stream = shared.streams[index];
    for (u64 number = index; number < options.seeds && !shared.stop.load(); number += options.streams) {
        u64 now = real_now_ns();
        if (now >= end_ns) {
            break;
        }
        u64 seed = options.first_seed + number;
        stream.seed.store(seed);
        stream.began_ns.store(now);
        Report report = simulate(seed, options.run);
        bool repeat = options.repeat_each != 0 && number % options.repeat_each == 0;
        if (!report.problems.empty() || (repeat && !is_repeatable(seed, options.run, report.digest))) {
            _exit(status_failed);
        }
        stream.sequence.fetch_add(1);
        ++stream.runs;
        stream.digest += report.digest * (2 * seed + 1);
        stream.counters.add(report.counters);
        stream.sequence.fetch_add(1);
    }
    stream.began_ns.store(0);
    _exit(0);
}

CampaignStatus status_of(const Shared& shared, const CampaignOptions& options, u64 began_ns) {
    CampaignStatus status;
    for (usize index = 0; index < options.streams; ++index) {
        const Stream& stream = shared.streams[index];
        Stream copy;
        u64 before = 0;
        do {
            before = stream.sequence.load();
            copy.runs = stream.runs;
            copy.digest = stream.digest;
            copy.counters = stream.counters;
        } while (before % 2 != 0 || before != stream.sequence.load());
        status.runs += copy.runs;
        status.digest += copy.digest;
        status.counters.add(copy.counters);
    }
    status.next_seed = options.first_seed + status.runs;
    status.elapsed_ns = real_now_ns() - began_ns;
    return status;
}

/// Whether some stream is at one seed for too long.
std::optional<usize> hanging_stream(const Shared& shared, const CampaignOptions& options) {
    for (usize index = 0; index < options.streams; ++index) {
        u64 began_ns = shared.streams[index].began_ns.load();
        if (began_ns != 0 && real_now_ns() > began_ns + options.seed_limit_ns) {
            return index;
        }
    }
    return std::nullopt;
}

}  // namespace

CampaignResult run_campaign(const CampaignOptions& given, const std::function<bool(const CampaignStatus&)>& tick) {
    CampaignOptions options = given;
    options.streams = std::clamp<usize>(options.streams, 1, std::size(Shared{}.streams));
    void* memory = mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        PANIC("no shared memory");
    }
    // SAFETY: fresh pages, large enough and aligned; destroyed below by unmapping, for Shared has nothing to release.
    Shared& shared = *new (memory) Shared;
    u64 began_ns = real_now_ns();
    u64 end_ns = options.limit_ns < ~u64{0} - began_ns ? began_ns + options.limit_ns : ~u64{0};
    std::vector<pid_t> children(options.streams, -1);
    (void)fflush(stdout);
    (void)fflush(stderr);
    for (usize index = 0; index < options.streams; ++index) {
        children[index] = fork();
        if (children[index] == 0) {
            run_stream(shared, index, options, end_ns);
        }
    }
    CampaignResult result;
    usize running = options.streams;
    while (running > 0) {
        for (usize index = 0; index < options.streams; ++index) {
            int status = 0;
            if (children[index] > 0 && waitpid(children[index], &status, WNOHANG) == children[index]) {
                children[index] = -1;
                --running;
                bool failed = !WIFEXITED(status) || WEXITSTATUS(status) != 0;
                if (failed && !result.failed_seed) {
                    result.failed_seed = shared.streams[index].seed.load();
                    shared.stop.store(true);
                }
            }
        }
        if (std::optional<usize> hanging = hanging_stream(shared, options); hanging && children[*hanging] > 0) {
            (void)kill(children[*hanging], SIGKILL);
        }
        if (running > 0 && !shared.stop.load() && !tick(status_of(shared, options, began_ns))) {
            shared.stop.store(true);
            result.stopped = true;
        }
        if (running > 0) {
            timespec pause{.tv_sec = 0, .tv_nsec = static_cast<long>(tick_ns)};
            (void)nanosleep(&pause, nullptr);
        }
    }
    result.status = status_of(shared, options, began_ns);
    (void)munmap(memory, sizeof(Shared));
    return result;
}

}  // namespace undercroft::simulation
