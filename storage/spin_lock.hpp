// A spin lock for the few places of the disk stack that several virtual processors may enter: sizes that change, the
// RAM disk's table. Nothing is awaited while one is held, and interrupt handlers take none.
#pragma once

#include <atomic>

namespace undercroft {

class SpinLock {
public:
    void lock() {
        while (held_.exchange(true, std::memory_order_acquire)) {
            while (held_.load(std::memory_order_relaxed)) {
                __builtin_ia32_pause();
            }
        }
    }
    void unlock() { held_.store(false, std::memory_order_release); }

private:
    std::atomic<bool> held_{false};
};

/// Holds a lock for as long as it lives.
class [[nodiscard]] SpinLockScope {
public:
    explicit SpinLockScope(SpinLock& lock) : lock_(lock) { lock_.lock(); }
    SpinLockScope(const SpinLockScope&) = delete;
    SpinLockScope& operator=(const SpinLockScope&) = delete;
    ~SpinLockScope() { lock_.unlock(); }

private:
    SpinLock& lock_;
};

}  // namespace undercroft
