// The lock between virtual processors: for a few instructions' worth of shared state, never across a wait. Whoever
// takes it in an interrupt handler too must have interrupts off; nothing here does that.
#pragma once

#include <atomic>

namespace undercroft {

class Spinlock {
public:
    Spinlock() = default;
    Spinlock(const Spinlock&) = delete;
    Spinlock& operator=(const Spinlock&) = delete;

    void lock() {
        while (!try_lock()) {
            while (locked_.load(std::memory_order_relaxed)) {
                __builtin_ia32_pause();
            }
        }
    }
    /// Takes the lock if it is free; returns whether it did.
    bool try_lock() { return !locked_.exchange(true, std::memory_order_acquire); }
    void unlock() { locked_.store(false, std::memory_order_release); }

private:
    std::atomic<bool> locked_{false};
};

/// Holds `lock` for as long as it lives.
class [[nodiscard]] SpinlockGuard {
public:
    explicit SpinlockGuard(Spinlock& lock) : lock_(lock) { lock_.lock(); }
    SpinlockGuard(const SpinlockGuard&) = delete;
    SpinlockGuard& operator=(const SpinlockGuard&) = delete;
    ~SpinlockGuard() { lock_.unlock(); }

private:
    Spinlock& lock_;
};

}  // namespace undercroft
