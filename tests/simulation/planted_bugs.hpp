// Bugs that are put into a simulated machine to see that the simulation finds them: disks that do what their contract
// forbids, and controllers that do what a guest cannot bear, each in one way. For tests alone.
#pragma once

#include <span>

#include "hostsim/simulation/world.hpp"

namespace undercroft::test {

struct PlantedBug {
    const char* name;
    simulation::Place place;
    /// Makes the disk that misbehaves, over `below`. Null where the controller does.
    std::shared_ptr<DiskInterface> (*make)(Disk below);
    /// Makes the controller that misbehaves.
    std::unique_ptr<PciFunction> (*wrap)(PciFunction& controller) = nullptr;

    simulation::RunOptions plant() const;
};

std::span<const PlantedBug> planted_bugs();

}  // namespace undercroft::test
