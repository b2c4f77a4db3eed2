// The clean stop of a program that runs until it is told: SIGINT and SIGTERM as something to await. A second one ends
// the program at once.
#pragma once

#include "kernel/async/cancel.hpp"
#include "kernel/async/task.hpp"
#include "kernel/base/result.hpp"

namespace undercroft {

class StopSignal {
public:
    /// From here on, in this thread and those it makes, SIGINT and SIGTERM wait to be read. Make it before any thread.
    StopSignal();
    StopSignal(const StopSignal&) = delete;
    StopSignal& operator=(const StopSignal&) = delete;
    ~StopSignal();

    /// Ends when a signal has come, with its number, or with `cancelled`. Afterwards the signals act as usual again, on
    /// the thread that waited. On a ring's executor.
    Task<Result<int>> wait(CancelToken cancel = {});

private:
    int file_;
};

}  // namespace undercroft
