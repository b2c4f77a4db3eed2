// A drive whose medium is changed while it is in use: what the optical unit and the floppy controller have in common for
// whoever stands before the drive. Leaves out which media there are (storage/inspect/media_changer.hpp).
#pragma once

#include "storage/disk.hpp"

namespace undercroft {

class RemovableDrive {
public:
    virtual ~RemovableDrive() = default;

    /// Puts a medium in, in place of one that is there; the guest is told. `invalid_argument` where it is none for this
    /// drive. Any executor, as all of these.
    virtual Result<void> insert(Disk medium) = 0;
    /// Takes the medium out. `not_found` without one; `busy` where the guest prevents it: it has been told of the wish.
    virtual Result<void> remove() = 0;
    /// As `remove`, whatever the guest says.
    virtual Result<void> remove_by_force() = 0;
    /// Whether the guest can read a medium.
    virtual bool has_medium() const = 0;
    /// Whether the guest prevents a removal.
    virtual bool is_locked() const = 0;
};

}  // namespace undercroft
