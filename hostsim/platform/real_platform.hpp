// An executor's environment on Linux: the kernel's monotonic clock, and an eventfd that other threads wake it with.
#pragma once

#include "kernel/async/executor.hpp"

namespace undercroft {

class RealPlatform final : public ExecutorPlatform {
public:
    RealPlatform();
    RealPlatform(const RealPlatform&) = delete;
    RealPlatform& operator=(const RealPlatform&) = delete;
    ~RealPlatform() override;

    /// CLOCK_MONOTONIC.
    u64 now_ns() override;
    /// Sleeps until `deadline_ns` or `wake`.
    void idle(u64 deadline_ns) override;
    /// From any thread. A wake that comes while nobody sleeps ends the next `idle` at once.
    void wake() override;

private:
    int event_;
};

}  // namespace undercroft
