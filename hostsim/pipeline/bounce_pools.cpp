// A pool for each executor.
#include "hostsim/pipeline/bounce_pools.hpp"

#include <sys/mman.h>

#include "kernel/base/assert.hpp"

namespace undercroft {

/// Memory of its own for one pool.
class ExecutorBouncePools::Place {
public:
    Place(Executor& executor, usize bytes) : executor_(executor), memory_(map(bytes)), pool_(memory_) {}
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { (void)munmap(memory_.data(), memory_.size()); }

    bool is_of(const Executor& executor) const { return &executor_ == &executor; }
    BouncePool& pool() { return pool_; }

private:
    static std::span<std::byte> map(usize bytes) {
        void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (memory == MAP_FAILED) {
            PANIC("no address space for %zu bytes of bounce memory", bytes);
        }
        return {static_cast<std::byte*>(memory), bytes};
    }

    Executor& executor_;
    std::span<std::byte> memory_;
    BouncePool pool_;
};

ExecutorBouncePools::ExecutorBouncePools(std::span<Executor* const> executors, usize pool_bytes) {
    for (Executor* executor : executors) {
        places_.push_back(std::make_unique<Place>(*executor, pool_bytes));
    }
}

ExecutorBouncePools::~ExecutorBouncePools() = default;

BouncePool& ExecutorBouncePools::pool() {
    const Executor& asking = Executor::current();
    for (const std::unique_ptr<Place>& place : places_) {
        if (place->is_of(asking)) {
            return place->pool();
        }
    }
    PANIC("a disk is used on an executor that it was not opened for");
}

}  // namespace undercroft
