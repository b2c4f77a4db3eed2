// How an NVMe command ended.
#pragma once

#include "kernel/base/result.hpp"
#include "kernel/spec/nvme_commands.hpp"

namespace undercroft::nvme::host {

enum class Ending : u8 {
    completed,    ///< the controller answered; see the status
    interrupted,  ///< the controller was reset under it; may be tried again
    timed_out,    ///< it took too long, or did not get its turn in time
    failed,       ///< the controller was given up
    gone,         ///< the controller was removed or shut down
    cancelled,    ///< the caller asked before the command was sent
};

/// Whatever the ending, the device will not touch the command's memory any more.
struct Outcome {
    Ending ending = Ending::interrupted;
    StatusField status;
    u32 result = 0;  ///< dword 0 of the completion

    constexpr bool succeeded() const { return ending == Ending::completed && status.status() == Status::success; }
};

/// The general error nearest to `outcome`, which did not succeed.
Error to_error(const Outcome& outcome);

}  // namespace undercroft::nvme::host
