// What the simulations' program tells its test cases.
#pragma once

#include <optional>

#include "kernel/base/types.hpp"

namespace undercroft::test {

/// The seed of `--seed`, if it was given: then only that one is run.
std::optional<u64> requested_seed();
/// Which seed is under way from now on: printed by whatever ends the program.
void announce_seed(u64 seed);

}  // namespace undercroft::test
