// Numbers that look random and repeat from a seed: for delays and injected faults. No cryptography, no distribution
// beyond uniform. Safe from any virtual processor; on several, who gets which number is as they come.
#pragma once

#include <atomic>

#include "kernel/base/types.hpp"

namespace undercroft {

class SeededSequence {
public:
    explicit SeededSequence(u64 seed) : state_(seed) {}
    void reseed(u64 seed) { state_.store(seed, std::memory_order_relaxed); }
    u64 next() {
        // SplitMix64: a counter, and a mix of its value.
        constexpr u64 step = 0x9e3779b97f4a7c15;
        u64 value = state_.fetch_add(step, std::memory_order_relaxed) + step;
        value = (value ^ value >> 30) * 0xbf58476d1ce4e5b9;
        value = (value ^ value >> 27) * 0x94d049bb133111eb;
        return value ^ value >> 31;
    }
    /// Uniform from `first` to `last`, both included.
    u64 between(u64 first, u64 last) {
        u64 width = last - first + 1;
        return width == 0 ? next() : first + next() % width;
    }

private:
    std::atomic<u64> state_;
};

}  // namespace undercroft
