// What a seed decides before anything runs: the machine, the pipeline, who works on it and how, and what befalls it.
// And the filters that take things away from a plan without changing the rest, with which a failing run is made shorter.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "drivers/nvme/options.hpp"
#include "hostsim/devices/nvme_faults.hpp"
#include "hostsim/devices/simulated_medium.hpp"
#include "kernel/base/result.hpp"
#include "storage/layers/fault_disk.hpp"

namespace undercroft::simulation {

/// What can be taken away from a plan. Every value has a name in `to_string`.
enum class Hazard : u8 {
    delay,           ///< the medium takes its time
    medium_error,    ///< the medium fails operations
    stuck,           ///< the medium does not end an operation until it is cancelled
    wedged,          ///< ... nor then
    fatal,           ///< CSTS.CFS
    lost_interrupt,  ///< of a physical controller
    wrong_id,        ///< of a completion of a physical controller
    removal,         ///< a controller is pulled out, and comes back with the next start
    power_loss,      ///< with everything under way, instead of in an orderly way
    resize,
    cancel,        ///< callers withdraw
    guest_reset,   ///< a guest resets its controller with commands in flight
    guest_abort,   ///< a guest aborts commands that are in flight
    guest_queues,  ///< a guest deletes queues with commands in flight
    fault_layer,   ///< the rules of a fault layer in the pipeline
    rival,         ///< another host that reserves the disk
};
inline constexpr usize hazard_count = 16;
const char* to_string(Hazard hazard);

/// What is left of a plan. The default leaves all of it.
struct Filter {
    u32 without = 0;               ///< a bit a `Hazard`
    u64 workers = ~u64{0};         ///< a bit a worker
    u64 operations_max = ~u64{0};  ///< of all workers, in the whole run
    u64 lives_max = ~u64{0};

    bool allows(Hazard hazard) const { return (without >> static_cast<u32>(hazard) & 1) == 0; }
    Filter with(Hazard hazard) const {
        Filter filter = *this;
        filter.without |= u32{1} << static_cast<u32>(hazard);
        return filter;
    }
    bool operator==(const Filter&) const = default;
};

/// As `--keep` takes it: `workers=0x3,operations=57,lives=1,without=stuck+fatal`; empty for the default.
std::string to_string(const Filter& filter);
/// The error is a text that says what is wrong.
Result<Filter, std::string> parse_filter(std::string_view text);

/// One disk of a pipeline, and what it stands on.
struct PipelineNode {
    enum class Kind : u8 {
        medium,  ///< a simulated medium, directly
        nvme,    ///< our NVMe driver, on our NVMe controller, on a simulated medium
        memory,  ///< the RAM disk: loses everything with the power
        crypt,
        delay,
        striped,
        overlay,  ///< a RAM layer that takes every write: loses them with the power
        cache,    ///< a RAM layer that is written through, and keeps what is read
        faulty,   ///< the fault layer, with the plan's rules
        reservations,
    };
    Kind kind = Kind::medium;
    u64 number = 0;  ///< of the medium or NVMe controller; sectors of a stripe's chunk; of other kinds nothing
    std::vector<PipelineNode> below = {};
};

/// How a guest drives its NVMe controller.
struct GuestHabits {
    bool is_there = false;  ///< otherwise the pipeline is used directly
    bool is_windows = false;
    u16 queues = 1;
    u32 queue_entries = 8;
    bool shadow_doorbells = false;
    u64 command_timeout_ns = 30 * nanoseconds_per_second;
    bool aborts = false;   ///< a late command, before it resets
    u32 attempts_max = 5;  ///< at a command that failed in a way that allows it
    u32 resets = 0;        ///< per thousand pauses of its supervisor
    u32 queue_deletions = 0;
    // Of Windows: interrupt coalescing as it sets it (base 2.0 section 5.27.1.6).
    u32 coalescing_threshold = 0;  ///< entries less one
    u32 coalescing_100us = 0;
};

/// How the workers choose what to do, per thousand operations; what is left are reads.
struct WorkloadMix {
    u32 write = 400;
    u32 durable = 100;  ///< of those that change something
    u32 flush = 80;
    u32 unmap = 40;
    u32 write_zeroes = 40;
    u32 block_status = 30;
    u32 compare = 20;
    u32 cancelled = 0;
    u64 pause_max_ns = 20 * nanoseconds_per_millisecond;
};

struct Plan {
    /// What `seed` decides, less what `filter` takes away.
    explicit Plan(u64 seed, const Filter& filter = {});

    u64 seed;
    Filter filter;

    usize processors = 1;
    PipelineNode pipeline;
    usize devices = 1;
    MediumKind medium;
    GuestHabits guest;

    usize workers = 1;
    u64 workers_per_region = 1;  ///< more than one: their operations overlap
    u64 regions = 1;
    WorkloadMix mix;
    u64 lives = 1;
    u64 operations_per_worker = 1;
    bool written_first = false;

    MediumFaults medium_faults;
    NvmeFaults controller_faults;
    std::vector<FaultRule> fault_rules;
    bool has_rival = false;
    bool resizes = false;
    nvme::host::DriverOptions driver;
    u16 vectors = 9;

    static constexpr u64 region_sectors = 32;
    static constexpr u64 sectors_per_request_max = 16;
    /// Sectors when it begins; resizes stay at or below.
    u64 sectors() const { return regions * region_sectors; }
    u64 sectors_per_device() const { return sectors() / devices; }
    bool has_nvme() const;
    bool is_volatile() const;  ///< everything is lost with the power
    /// Whether every write, or every read, that succeeds has passed the layer of reservations.
    bool writes_reach_reservations() const;
    bool reads_reach_reservations() const;
    /// The plan in a line, for people.
    std::string describe() const;

private:
    void draw_machine(SeededRandom random);
    void draw_pipeline(SeededRandom random);
    bool can_be_resized() const;
    void draw_guest(SeededRandom random);
    void draw_workload(SeededRandom random);
    void draw_faults(SeededRandom random);
    FaultRule draw_fault_rule(SeededRandom& random) const;
    void apply_filter();
};

}  // namespace undercroft::simulation
