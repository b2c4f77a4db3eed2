// Server.
#include "hostsim/servers/nbd/server.hpp"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "hostsim/servers/socket_stream.hpp"
#include "kernel/base/log.hpp"

namespace undercroft::nbd {

namespace {

/// After an accept that failed for want of something (descriptors, memory): time for it to come back.
constexpr u64 accept_retry_ns = 100 * nanoseconds_per_millisecond;

}  // namespace

Server::Server(std::vector<Export> exports, std::vector<Executor*> executors, Limits limits)
    : exports_(std::move(exports)), limits_(limits) {
    ASSERT(!exports_.empty() && !executors.empty());
    for (Executor* executor : executors) {
        workers_.push_back(std::make_unique<Worker>(*executor));
    }
}

Task<void> Server::serve_here(Server& server, int descriptor, CancelToken cancel) {
    SocketStream stream(descriptor);
    Connection connection(stream, server.exports_, server.limits_);
    co_await connection.serve(cancel);
    --server.connections_;
}

// A connection belongs to its worker's executor from its first task on: nothing of it ever runs elsewhere.
Task<void> Server::serve(int descriptor, Worker& worker) {
    Executor& home = Executor::current();
    co_await resume_on(worker.executor);
    worker.connections.spawn(serve_here(*this, descriptor, worker.connections.token()));
    co_await resume_on(home);
}

Task<void> Server::accept(Listener& listener, CancelToken cancel) {
    while (!cancel.is_cancelled()) {
        i32 accepted = co_await listener.accept(cancel);
        if (accepted < 0) {
            if (accepted != -ECANCELED && accepted != -ECONNABORTED && accepted != -EINTR) {
                log_warning("nbd: no connection could be accepted: %s", strerrordesc_np(-accepted));
                (void)co_await sleep_for(accept_retry_ns, cancel);
            }
            continue;
        }
        if (connections_ >= connections_max) {
            log_warning("nbd: more than %zu connections; one is refused", connections_max);
            close(accepted);
            continue;
        }
        ++connections_;
        co_await serve(accepted, *workers_[next_worker_++ % workers_.size()]);
    }
}

Task<void> Server::stop() {
    Executor& home = Executor::current();
    for (auto& worker : workers_) {
        co_await resume_on(worker->executor);
        worker->connections.stop();
        (void)co_await worker->connections.join();  // each ends: its waits are cancelled
        co_await resume_on(home);
    }
}

}  // namespace undercroft::nbd
