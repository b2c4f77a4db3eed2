// ExecutorThreads.
#include "hostsim/platform/executor_threads.hpp"

#include "kernel/base/assert.hpp"

namespace undercroft {

Result<std::unique_ptr<ExecutorThreads>, std::string> ExecutorThreads::create(usize count, const RingOptions& options) {
    ASSERT(count > 0);
    std::unique_ptr<ExecutorThreads> threads(new ExecutorThreads);
    for (usize index = 0; index < count; ++index) {
        threads->processors_.push_back(std::make_unique<Processor>(TRY(RingPlatform::create(options))));
    }
    for (usize index = 1; index < count; ++index) {
        Processor& processor = *threads->processors_[index];
        processor.thread = std::thread([&processor] {
            CurrentExecutorScope scope(processor.executor);
            processor.executor.run_until([&processor] { return processor.ending.load(std::memory_order_acquire); });
        });
    }
    return threads;
}

ExecutorThreads::~ExecutorThreads() {
    for (auto& processor : processors_) {
        if (processor->thread.joinable()) {
            processor->ending.store(true, std::memory_order_release);
            processor->platform->wake();
            processor->thread.join();
        }
    }
}

std::vector<Executor*> ExecutorThreads::executors() {
    std::vector<Executor*> list;
    list.reserve(processors_.size());
    for (auto& processor : processors_) {
        list.push_back(&processor->executor);
    }
    return list;
}

}  // namespace undercroft
