// Random numbers of a simulation: all that happens by chance is drawn from one of these, so that one seed gives one
// run. Not for anything secret.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft {

class SeededRandom {
public:
    explicit SeededRandom(u64 seed) : state_(seed) {}

    /// SplitMix64.
    u64 next() {
        u64 value = state_ += 0x9e37'79b9'7f4a'7c15;
        value = (value ^ value >> 30) * 0xbf58'476d'1ce4'e5b9;
        value = (value ^ value >> 27) * 0x94d0'49bb'1331'11eb;
        return value ^ value >> 31;
    }
    /// 0 to `bound` - 1; `bound` is not 0.
    u64 below(u64 bound) { return next() % bound; }
    /// True `permille` times in a thousand.
    bool chance(u32 permille) { return permille != 0 && below(1000) < permille; }
    /// A generator of its own, for a part whose draws must not disturb the rest.
    SeededRandom fork() { return SeededRandom(next()); }

private:
    u64 state_;
};

}  // namespace undercroft
