// An NBD server: listeners, and connections spread over executors. Everything on one connection happens on one
// executor.
#pragma once

#include "hostsim/servers/listener.hpp"
#include "hostsim/servers/nbd/connection.hpp"
#include "kernel/base/spinlock.hpp"

namespace undercroft::nbd {

class Server {
public:
    static constexpr usize connections_max = 256;

    /// Serves `exports` (at least one) on `executors` (at least one, running rings; the first is the one that calls).
    Server(std::vector<Export> exports, const std::vector<Executor*>& executors, Limits limits = {});
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    /// Accepts clients at `listener` until `cancel` asks. Several may run.
    Task<void> accept(Listener& listener, CancelToken cancel);
    /// Asks every connection to end, and waits for that. After the last `accept` has ended.
    Task<void> stop();

    usize connections() const { return connections_; }
    const std::vector<Export>& exports() const { return exports_; }

    /// What was done with export `index`: how many use it, what they and those before them did. From any thread.
    void describe_export(usize index, inspect::Node& node) const;
    /// A node for each connection. From any thread.
    void describe_connections(inspect::Node& node, u64 now_ns) const;

private:
    struct Worker {
        explicit Worker(Executor& executor) : executor(executor) {}
        Executor& executor;
        TaskGroup connections;
    };
    using Records = std::vector<std::shared_ptr<ConnectionRecord>>;
    Task<void> serve(int descriptor, usize worker);
    static Task<void> serve_here(Server& server, int descriptor, usize worker);
    void remember(const std::shared_ptr<ConnectionRecord>& record);
    void forget(const std::shared_ptr<ConnectionRecord>& record);
    Records records() const;

    std::vector<Export> exports_;
    std::vector<std::unique_ptr<Worker>> workers_;
    Limits limits_;
    std::atomic<usize> connections_ = 0;
    usize next_worker_ = 0;
    mutable Spinlock records_lock_;
    Records records_;                      // of the connections there are
    std::vector<inspect::IoTotals> past_;  // of each export, by connections that have ended
    u64 last_number_ = 0;
};

}  // namespace undercroft::nbd
