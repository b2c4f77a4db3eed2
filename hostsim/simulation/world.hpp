// One simulated machine's lives, from one seed: it starts, works, and loses its power or is shut down, some times over;
// after each life everything is read and checked. One seed, one run, bit for bit.
#pragma once

#include "hostsim/simulation/stack.hpp"

namespace undercroft::simulation {

struct RunOptions {
    Filter filter;
    bool keep_history = false;
    // For tests: put a bug where there is none.
    Decorate decorate = {};
    DecorateController decorate_controller = {};
};

/// Lives the lives that `seed` gives. A hang, a deadlock or a failed assertion is a panic.
Report simulate(u64 seed, const RunOptions& options = {});

}  // namespace undercroft::simulation
