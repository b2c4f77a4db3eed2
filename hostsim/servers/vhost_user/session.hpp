// A frontend (QEMU) on its socket: from the first message to the last, and the device it sees.
#pragma once

#include "hostsim/servers/vhost_user/ring.hpp"

namespace undercroft::vhost_user {

inline constexpr u16 queues_max = 16;

class Session final : private RingOwner, private virtio::ConfigurationListener {
public:
    /// `device` outlives the session, and has at most `queues_max` queues. `record`, which does as well, counts what is
    /// done; or null.
    Session(Descriptor socket, virtio::Device& device, DeviceRecord* record = nullptr);

    /// Serves the frontend until it leaves, breaks the protocol, or `cancel` asks; then no request runs any more.
    Task<void> serve(CancelToken cancel);

private:
    Task<bool> handle(Received& message);
    Task<bool> handle_ring(Received& message, bool& is_ring_message);
    bool handle_descriptor(Received& message);
    Task<bool> set_memory(Received& message);
    bool handle_inflight(Received& message);
    bool write_config(const Received& message);
    bool rings_are_running() const;
    bool reply_number(const Received& message, u64 value);
    bool reply_config(const Received& message);
    bool start_if_ready(usize index);
    Task<void> stop_all();
    void configuration_changed() override;
    void memory_lost() override;
    u64 offered_features() const;

    Channel channel_;
    virtio::Device& device_;
    DeviceRecord* record_;
    u64 features_ = 0;
    u64 protocol_features_ = 0;
    std::unique_ptr<MemoryTable> memory_;
    std::unique_ptr<InflightMemory> inflight_;
    std::optional<Channel> backend_channel_;
    Ring rings_[queues_max];
};

}  // namespace undercroft::vhost_user
