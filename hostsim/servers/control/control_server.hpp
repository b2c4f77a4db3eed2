// Who asks about the running program, and changes its settings: lines of kernel/inspect/request.hpp over a socket. Each
// client is a task of its own on one executor, with bounded memory and bounded waits: one that does not read, or does
// not ask, costs its place and nobody's time.
#pragma once

#include "hostsim/servers/listener.hpp"
#include "kernel/async/task_group.hpp"
#include "kernel/inspect/request.hpp"

namespace undercroft {

/// What there is to look at.
class InspectedProgram {
public:
    virtual ~InspectedProgram() = default;
    /// Before a walk: gathers what only other threads can tell.
    virtual Task<void> prepare() = 0;
    virtual void describe(inspect::Node& root) = 0;
};

struct ControlLimits {
    usize clients = 16;
    usize answer_bytes = 4 * mib;
    u64 send_ns = 10 * nanoseconds_per_second;   ///< for a client to take what it asked for
    u64 idle_ns = 600 * nanoseconds_per_second;  ///< between two of its requests
};

class ControlServer {
public:
    /// `program` outlives the server.
    explicit ControlServer(InspectedProgram& program, const ControlLimits& limits = {})
        : program_(program), limits_(limits) {}
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

    /// Serves clients at `listener` until `cancel` asks, and waits for those that are there. On a ring's executor.
    Task<void> accept(Listener& listener, CancelToken cancel);

private:
    Task<void> serve(int descriptor);
    Task<bool> answer(int descriptor, std::string line);

    InspectedProgram& program_;
    ControlLimits limits_;
    TaskGroup clients_;
};

}  // namespace undercroft
