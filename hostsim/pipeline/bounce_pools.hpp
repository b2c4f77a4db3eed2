// Bounce memory on the host: a pool for each executor, so that none needs a lock. Pages come from the kernel when they
// are first touched.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "kernel/async/executor.hpp"
#include "storage/bounce_pool.hpp"

namespace undercroft {

class ExecutorBouncePools final : public BounceSource {
public:
    /// `pool_bytes`: of each, whole pages.
    ExecutorBouncePools(std::span<Executor* const> executors, usize pool_bytes);
    ~ExecutorBouncePools() override;

    /// The pool of the executor that asks, which must be one of those.
    BouncePool& pool() override;

private:
    class Place;
    std::vector<std::unique_ptr<Place>> places_;
};

}  // namespace undercroft
