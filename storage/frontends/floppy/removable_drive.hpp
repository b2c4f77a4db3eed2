// One drive of the floppy controller for whoever changes its medium. A PC's floppy drive has no lock: the person before it
// pushes the button.
#pragma once

#include "storage/frontends/floppy/controller.hpp"
#include "storage/removable_drive.hpp"

namespace undercroft::floppy {

class FloppyDrive final : public RemovableDrive {
public:
    /// The controller outlives this.
    FloppyDrive(Controller& controller, usize place) : controller_(controller), place_(place) {}

    Result<void> insert(Disk medium) override { return controller_.insert(place_, std::move(medium)); }
    Result<void> remove() override { return controller_.remove(place_); }
    Result<void> remove_by_force() override { return remove(); }
    bool has_medium() const override { return controller_.has_medium(place_); }
    bool is_locked() const override { return false; }

private:
    Controller& controller_;
    usize place_;
};

}  // namespace undercroft::floppy
