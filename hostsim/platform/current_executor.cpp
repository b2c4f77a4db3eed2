// The host's slot for the running executor: one a thread.
#include "kernel/async/executor.hpp"

namespace undercroft {

namespace {
thread_local Executor* executor_of_thread = nullptr;
}

Executor*& current_executor_slot() { return executor_of_thread; }

}  // namespace undercroft
