// Shrinking, greedily.
#include "hostsim/simulation/shrink.hpp"

#include <algorithm>
#include <chrono>

namespace undercroft::simulation {

namespace {

constexpr u64 probe_limit_ns = 60 * nanoseconds_per_second;

class Shrinker {
public:
    Shrinker(u64 seed, const RunOptions& options, const Finding& first, u64 limit_ns)
        : seed_(seed), options_(options), kind_(kind_of(first.problem)), best_(first),
          deadline_(std::chrono::steady_clock::now() + std::chrono::nanoseconds(limit_ns)) {}

    Shrunk run() {
        bool shorter = true;
        while (shorter && !is_late()) {
            shorter = fewer_lives();
            shorter |= fewer_operations();
            shorter |= fewer_workers();
            shorter |= fewer_hazards();
        }
        RunOptions last = options_;
        last.keep_history = true;
        return {.filter = options_.filter, .finding = probe(seed_, last, probe_limit_ns), .runs = runs_ + 1};
    }

private:
    bool is_late() const { return std::chrono::steady_clock::now() >= deadline_; }

    /// Keeps `filter` where the problem is still there.
    bool attempt(const Filter& filter) {
        if (is_late() || filter == options_.filter) {
            return false;
        }
        RunOptions options = options_;
        options.filter = filter;
        ++runs_;
        Finding finding = probe(seed_, options, probe_limit_ns);
        if (!finding.failed || kind_of(finding.problem) != kind_) {
            return false;
        }
        options_.filter = filter;
        best_ = std::move(finding);
        return true;
    }

    bool fewer_lives() {
        u64 lives = Plan(seed_, options_.filter).lives;
        for (u64 fewer = 0; fewer < lives; ++fewer) {
            Filter filter = options_.filter;
            filter.lives_max = fewer;
            if (attempt(filter)) {
                return true;
            }
        }
        return false;
    }

    bool fewer_operations() {
        bool any = false;
        u64 operations = std::min(options_.filter.operations_max, best_.operations);
        for (u64 step = operations; step > 0 && !is_late();) {
            Filter filter = options_.filter;
            filter.operations_max = operations - step;
            if (attempt(filter)) {
                operations -= step;
                any = true;
                step = std::min(step, operations);
            } else {
                step /= 2;
            }
        }
        return any;
    }

    bool fewer_workers() {
        bool any = false;
        u64 workers = Plan(seed_, options_.filter).workers;
        u64 all = workers >= 64 ? ~u64{0} : (u64{1} << workers) - 1;
        for (u64 index = 0; index < std::min<u64>(workers, 64); ++index) {
            Filter filter = options_.filter;
            filter.workers &= all & ~(u64{1} << index);
            any |= (options_.filter.workers >> index & 1) != 0 && attempt(filter);
        }
        return any;
    }

    bool fewer_hazards() {
        bool any = false;
        for (u32 index = 0; index < hazard_count; ++index) {
            auto hazard = static_cast<Hazard>(index);
            any |= options_.filter.allows(hazard) && attempt(options_.filter.with(hazard));
        }
        return any;
    }

    u64 seed_;
    RunOptions options_;
    std::string kind_;
    Finding best_;
    std::chrono::steady_clock::time_point deadline_;
    usize runs_ = 0;
};

}  // namespace

Shrunk shrink(u64 seed, const RunOptions& options, const Finding& first, u64 limit_ns) {
    return Shrinker(seed, options, first, limit_ns).run();
}

std::vector<std::string> tell(const Finding& finding, usize lines_max) {
    std::vector<std::string> lines;
    bool all = finding.history.size() <= lines_max || !finding.sector;
    for (const HistoryEntry& entry : finding.history) {
        bool concerns = all || entry.sectors == 0 ||
                        (*finding.sector >= entry.first_sector && *finding.sector < entry.first_sector + entry.sectors);
        if (!concerns) {
            continue;
        }
        u64 us = (entry.at_ns - nanoseconds_per_second) / nanoseconds_per_microsecond;
        std::string at = std::to_string(us);
        at.insert(0, at.size() < 12 ? 12 - at.size() : 0, ' ');
        std::string line = std::move(at);
        line.append(" us  ").append(entry.text);
        if (entry.sectors > 0) {
            line.append("  [").append(std::to_string(entry.first_sector)).append(", ");
            line.append(std::to_string(entry.first_sector + entry.sectors - 1)).append("]");
        }
        lines.push_back(std::move(line));
    }
    if (lines.size() > lines_max) {
        lines.erase(lines.begin(), lines.end() - static_cast<std::ptrdiff_t>(lines_max));
    }
    return lines;
}

}  // namespace undercroft::simulation
