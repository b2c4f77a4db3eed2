// The table of verbs.
#include "hostsim/program/verbs.hpp"

namespace undercroft {

std::span<const Verb* const> all_verbs() {
    static constexpr const Verb* verbs[] = {
#define UNDERCROFT_NAME_VERB(name) &verb_##name,
        UNDERCROFT_VERBS(UNDERCROFT_NAME_VERB)
#undef UNDERCROFT_NAME_VERB
    };
    return verbs;
}

}  // namespace undercroft
