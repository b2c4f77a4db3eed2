// A machine's life in virtual time: workers on several processors read, write and flush a disk (encrypted or not) over
// the NVMe driver, over the project's own controller, over a medium that delays, fails, sticks and loses power; an
// oracle checks every sector that is read. One seed, one run, bit for bit.
#pragma once

#include <string>
#include <vector>

#include "kernel/base/types.hpp"

namespace undercroft::test {

struct SimulationReport {
    u64 digest = 0;  ///< of everything that happened, in order, with its virtual time
    u64 operations = 0;
    u64 failures = 0;  ///< operations that ended with an error
    u64 power_cycles = 0;
    u64 resets = 0;
    u64 aborts = 0;
    u64 violations = 0;  ///< lies that the driver noticed
    u64 given_up = 0;    ///< how often the driver gave its controller up
    u64 virtual_ns = 0;
    std::vector<std::string> problems;  ///< promises that were broken
};

/// Runs the life that `seed` gives. A hang or deadlock is a panic.
SimulationReport simulate_nvme(u64 seed);

}  // namespace undercroft::test
