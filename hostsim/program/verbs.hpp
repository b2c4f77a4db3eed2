// The verbs of the host program. A verb is one line in the list below and one file beside it, verb_NAME.cpp, which
// defines `const Verb verb_NAME`; what it links against is named in CMakeLists.txt.
#pragma once

#include <span>

#include "hostsim/program/command_line.hpp"

#define UNDERCROFT_VERBS(verb) verb(disk) verb(inspect) verb(serve) verb(sim)

namespace undercroft {

#define UNDERCROFT_DECLARE_VERB(name) extern const Verb verb_##name;
UNDERCROFT_VERBS(UNDERCROFT_DECLARE_VERB)
#undef UNDERCROFT_DECLARE_VERB

/// In the order of the list.
std::span<const Verb* const> all_verbs();

}  // namespace undercroft
