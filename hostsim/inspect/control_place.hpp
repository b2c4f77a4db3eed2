// Where running programs listen for `inspect`: sockets in one folder of the user's own, a program each, so that nobody
// has to name them. `$XDG_RUNTIME_DIR/undercroft`, or `/run/undercroft` for root, or `/tmp/undercroft-UID`. The launcher
// (boot/launcher/machine.sh) puts those of machines there as well.
#pragma once

#include <string>
#include <vector>

#include "kernel/base/result.hpp"

namespace undercroft {

/// The folder, whether it exists or not.
std::string control_folder();

/// A path for this program's own socket; makes the folder, and removes from it what ended programs left. On failure why
/// there can be none.
Result<std::string, std::string> make_control_path();

/// The sockets in the folder that somebody listens at.
std::vector<std::string> running_programs();

}  // namespace undercroft
