// A count that anybody may read while its owner adds to it.
#pragma once

#include <atomic>

#include "kernel/base/types.hpp"

namespace undercroft {

/// A count with one writer at a time (its owner executor, or whoever holds the lock beside it); anybody may read.
class Counter {
public:
    void add(u64 amount = 1) {
        value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
    }
    u64 get() const { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<u64> value_{0};
};

}  // namespace undercroft
