// What a simulated life comes to: counters, a digest of all that happened, promises that were broken, and, where
// somebody asked for it, every event.
#pragma once

#include <string>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"

namespace undercroft::simulation {

/// Something that happened, for people.
struct HistoryEntry {
    u64 at_ns = 0;
    std::string text;
    /// Sectors that it touched; none: it concerns all.
    u64 first_sector = 0;
    u64 sectors = 0;
};

struct Counters {
    u64 operations = 0;
    u64 failures = 0;  ///< operations that ended with an error
    u64 flushes = 0;   ///< that succeeded
    u64 power_cycles = 0;
    u64 resizes = 0;
    u64 resets = 0;      ///< by the NVMe driver
    u64 aborts = 0;      ///< by the NVMe driver
    u64 violations = 0;  ///< lies that the NVMe driver noticed
    u64 given_up = 0;    ///< how often the NVMe driver gave its controller up
    u64 guest_resets = 0;
    u64 guest_aborts = 0;
    u64 cancelled = 0;
    u64 exclusions = 0;    ///< times that another host's reservation kept us out
    u64 layer_faults = 0;  ///< that the fault layer made
    u64 injected = 0;      ///< faults of media and controllers
    u64 virtual_ns = 0;

    void add(const Counters& other);
};

struct Report {
    u64 digest = 0;  ///< of everything that happened, in order, with its virtual time
    Counters counters;
    std::vector<std::string> problems;  ///< promises that were broken
    std::optional<u64> problem_sector;  ///< of the first, where it is about one
    std::vector<HistoryEntry> history;
};

/// Takes down what happens in one run.
class Recorder {
public:
    Recorder(const VirtualClock& clock, bool keep_history) : clock_(clock), keep_history_(keep_history) {}

    /// Something that must be the same in each run of a seed.
    void note(u64 value) { report.digest = (report.digest ^ value) * 0x100'0000'01b3 + clock_.now_ns(); }
    void problem(std::string text, std::optional<u64> sector = {});
    void expect(bool condition, const char* text) {
        if (!condition) [[unlikely]] {
            problem(text);
        }
    }
    bool keeps_history() const { return keep_history_; }
    void event(std::string text, u64 first_sector = 0, u64 sectors = 0);
    bool is_clean() const { return report.problems.empty(); }

    Report report;

private:
    const VirtualClock& clock_;
    bool keep_history_;
};

}  // namespace undercroft::simulation
