// A frontend (QEMU) on its socket: from the first message to the last, and the device it sees.
#pragma once

#include "hostsim/servers/vhost_user/ring.hpp"

namespace undercroft::vhost_user {

inline constexpr u16 queues_max = 16;

class Session {
public:
    /// `device` outlives the session; its `identity.queues` is the number of queues, at most `queues_max`.
    Session(Descriptor socket, const DeviceContext& device);

    /// Serves the frontend until it leaves, breaks the protocol, or `cancel` asks; then no request runs any more.
    Task<void> serve(CancelToken cancel);

private:
    Task<bool> handle(Received& message);
    Task<bool> handle_ring(Received& message, bool& is_ring_message);
    bool handle_descriptor(Received& message);
    Task<bool> set_memory(Received& message);
    bool handle_inflight(Received& message);
    bool reply_number(const Received& message, u64 value);
    bool reply_config(const Received& message);
    bool start_if_ready(usize index);
    Task<void> stop_all();
    Task<void> watch_size(CancelToken cancel);

    Channel channel_;
    const DeviceContext& device_;
    u64 features_ = 0;
    u64 protocol_features_ = 0;
    std::unique_ptr<MemoryTable> memory_;
    std::unique_ptr<InflightMemory> inflight_;
    std::optional<Channel> backend_channel_;
    Ring rings_[queues_max];
};

}  // namespace undercroft::vhost_user
