// Why a run ended: the exit statuses of `./undercroft boot` that the machine itself decides on.
//
// The monitor writes the value to QEMU's isa-debug-exit device (port 0xf4, one byte). QEMU then exits with status
// (value << 1) | 1, which the launcher turns back. Statuses that the launcher decides on alone (usage, build, QEMU missing,
// timeout) stand beside these in boot/launcher/status.sh; the two must agree.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft {

/// Port of QEMU's isa-debug-exit device as the launcher configures it.
inline constexpr u16 debug_exit_port = 0xf4;

/// Values for that port. A guest power-off is none of them: it is ACPI S5 of the machine, which ends QEMU with status 0.
enum class ExitStatus : u8 {
    guest_triple_fault = 10,
    image_panic = 11,            ///< the VTL2 image ended itself
    monitor_panic = 12,          ///< the monitor ended itself
    configuration_refused = 13,  ///< every error is in the log, no disk was touched
    isolation_violation = 14,    ///< the monitor stopped VTL2 reaching for what is not its own
    guest_reset = 15,            ///< the guest asked for a reset, which ends the run
};

}  // namespace undercroft
