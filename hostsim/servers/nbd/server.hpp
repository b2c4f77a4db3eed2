// An NBD server: listeners, and connections spread over executors. Everything on one connection happens on one
// executor.
#pragma once

#include "hostsim/servers/listener.hpp"
#include "hostsim/servers/nbd/connection.hpp"

namespace undercroft::nbd {

class Server {
public:
    static constexpr usize connections_max = 256;

    /// Serves `exports` (at least one) on `executors` (at least one, running rings; the first is the one that calls).
    Server(std::vector<Export> exports, std::vector<Executor*> executors, Limits limits = {});
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Accepts clients at `listener` until `cancel` asks. Several may run.
    Task<void> accept(Listener& listener, CancelToken cancel);
    /// Asks every connection to end, and waits for that. After the last `accept` has ended.
    Task<void> stop();

    usize connections() const { return connections_; }

private:
    struct Worker {
        explicit Worker(Executor& executor) : executor(executor) {}
        Executor& executor;
        TaskGroup connections;
    };
    Task<void> serve(int descriptor, Worker& worker);
    static Task<void> serve_here(Server& server, int descriptor, CancelToken cancel);

    std::vector<Export> exports_;
    std::vector<std::unique_ptr<Worker>> workers_;
    Limits limits_;
    std::atomic<usize> connections_ = 0;
    usize next_worker_ = 0;
};

}  // namespace undercroft::nbd
