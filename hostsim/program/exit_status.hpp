// Exit statuses of the host program. `usage` and `configuration_refused` are the launcher's too
// (boot/launcher/status.sh).
#pragma once

namespace undercroft::exit_status {

inline constexpr int done = 0;                    ///< also: stopped by SIGINT or SIGTERM, cleanly
inline constexpr int usage = 1;                   ///< the command line is wrong
inline constexpr int configuration_refused = 13;  ///< a disk or a configuration is wrong; nothing was opened
inline constexpr int refused_by_system = 20;      ///< a file, socket or io_uring could not be had
inline constexpr int failed = 21;                 ///< it ran, and failed or found something wrong

}  // namespace undercroft::exit_status
