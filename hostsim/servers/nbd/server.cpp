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

Server::Server(std::vector<Export> exports, const std::vector<Executor*>& executors, Limits limits)
    : exports_(std::move(exports)), limits_(limits), past_(exports_.size()) {
    ASSERT(!exports_.empty() && !executors.empty());
    for (Executor* executor : executors) {
        workers_.push_back(std::make_unique<Worker>(*executor));
    }
}

void Server::remember(const std::shared_ptr<ConnectionRecord>& record) {
    SpinlockGuard guard(records_lock_);
    record->number = ++last_number_;
    records_.push_back(record);
}

void Server::forget(const std::shared_ptr<ConnectionRecord>& record) {
    const Export* target = record->target.load(std::memory_order_acquire);
    SpinlockGuard guard(records_lock_);
    std::erase(records_, record);
    if (target != nullptr) {
        record->activity.add_to(past_[static_cast<usize>(target - exports_.data())]);
    }
}

Server::Records Server::records() const {
    SpinlockGuard guard(records_lock_);
    return records_;
}

void Server::describe_export(usize index, inspect::Node& node) const {
    inspect::IoTotals totals;
    Records records;
    {
        SpinlockGuard guard(records_lock_);
        totals = past_[index];
        records = records_;
    }
    u64 connections = 0;
    u64 in_flight = 0;
    for (const auto& record : records) {
        if (record->target.load(std::memory_order_acquire) == &exports_[index]) {
            record->activity.add_to(totals);
            in_flight += record->activity.in_flight();
            ++connections;
        }
    }
    node.number("connections", connections);
    node.number("in_flight", in_flight);
    totals.describe(node);
}

void Server::describe_connections(inspect::Node& node, u64 now_ns) const {
    for (const auto& record : records()) {
        node.child(std::to_string(record->number), [&](inspect::Node& connection) {
            const Export* target = record->target.load(std::memory_order_acquire);
            connection.text("export", target == nullptr ? std::string_view("not chosen yet") : target->name);
            connection.number("thread", record->thread);
            connection.number("age_ns", now_ns > record->since_ns ? now_ns - record->since_ns : 0);
            inspect::IoTotals totals;
            record->activity.add_to(totals);
            totals.describe(connection);
            connection.child("in_flight",
                             [&](inspect::Node& requests) { record->activity.describe_in_flight(requests, now_ns); });
        });
    }
}

Task<void> Server::serve_here(Server& server, int descriptor, usize worker) {
    CancelToken cancel = server.workers_[worker]->connections.token();
    SocketStream stream(descriptor);
    Connection connection(stream, server.exports_, server.limits_);
    std::shared_ptr<ConnectionRecord> record = connection.record();
    record->thread = worker;
    record->since_ns = Executor::current().now_ns();
    server.remember(record);
    co_await connection.serve(cancel);
    server.forget(record);
    --server.connections_;
}

// A connection belongs to its worker's executor from its first task on: nothing of it ever runs elsewhere.
Task<void> Server::serve(int descriptor, usize worker) {
    Executor& home = Executor::current();
    co_await resume_on(workers_[worker]->executor);
    workers_[worker]->connections.spawn(serve_here(*this, descriptor, worker));
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
        co_await serve(accepted, next_worker_++ % workers_.size());
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
