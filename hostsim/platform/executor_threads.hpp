// Executors with a thread each, over io_uring: what a host program runs on. The first belongs to the thread that makes
// them; the others have threads of their own.
#pragma once

#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include "hostsim/platform/ring_platform.hpp"
#include "kernel/async/task.hpp"

namespace undercroft {

class ExecutorThreads {
public:
    /// `count` executors (at least one), the last `count - 1` of them running already. On failure as
    /// `RingPlatform::create`.
    static Result<std::unique_ptr<ExecutorThreads>, std::string> create(usize count, const RingOptions& options = {});
    ExecutorThreads(const ExecutorThreads&) = delete;
    ExecutorThreads& operator=(const ExecutorThreads&) = delete;
    /// Ends the threads. Nothing may run on the executors any more.
    ~ExecutorThreads();

    usize count() const { return processors_.size(); }
    Executor& executor(usize index) { return processors_[index]->executor; }
    RingPlatform& ring(usize index) { return *processors_[index]->platform; }
    /// All executors, in order.
    std::vector<Executor*> executors();

    /// Runs `task` to its end on the first executor, on the calling thread.
    template <typename T>
    T run(Task<T> task) {
        return run_blocking(executor(0), std::move(task));
    }

private:
    struct Processor {
        explicit Processor(std::unique_ptr<RingPlatform> ring) : platform(std::move(ring)), executor(*platform) {}
        std::unique_ptr<RingPlatform> platform;
        Executor executor;
        std::atomic<bool> ending = false;
        std::thread thread;
    };
    ExecutorThreads() = default;
    std::vector<std::unique_ptr<Processor>> processors_;
};

}  // namespace undercroft
