// Outcomes as general errors.
#include "drivers/nvme/outcome.hpp"

namespace undercroft::nvme::host {

Error to_error(const Outcome& outcome) {
    switch (outcome.ending) {
    case Ending::completed:
    case Ending::interrupted:
    case Ending::failed:
        return Error::device_error;
    case Ending::timed_out:
        return Error::timed_out;
    case Ending::gone:
        return Error::gone;
    case Ending::cancelled:
        return Error::cancelled;
    }
    return Error::device_error;
}

}  // namespace undercroft::nvme::host
