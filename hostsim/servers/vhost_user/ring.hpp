// One virtqueue of a session: what the frontend told about it, and, while it runs, its requests.
#pragma once

#include <optional>

#include "hostsim/servers/vhost_user/inflight.hpp"
#include "hostsim/servers/vhost_user/memory_table.hpp"
#include "kernel/async/task_group.hpp"
#include "storage/frontends/virtio/block.hpp"

namespace undercroft::vhost_user {

/// What rings of one device share.
struct DeviceContext {
    const Disk& disk;
    virtio::BlockIdentity identity;
};

class Ring {
public:
    Ring() = default;
    Ring(const Ring&) = delete;
    Ring& operator=(const Ring&) = delete;

    // As the frontend says, before the ring is started.
    u32 size = 0;
    u16 base_available = 0;
    u16 base_used = 0;
    std::optional<RingAddresses> addresses;
    Descriptor kick;
    Descriptor call;
    bool enabled = false;

    bool is_running() const { return queue_.has_value(); }
    /// Starts, where everything is known that has to be; requests that a predecessor took and did not complete go
    /// first. False where what is known makes no sense: then the ring stays stopped.
    bool start(const DeviceContext& device, const MemoryTable& memory, u64 features, InflightQueue inflight);
    /// Takes no more requests, waits for those that were taken, and remembers where it was.
    Task<void> stop();

private:
    struct Notifier : Work {
        explicit Notifier(Ring& ring) : Work(&Notifier::run), ring(ring) {}
        static void run(Work& self);
        Ring& ring;
        bool posted = false;
    };
    Task<void> serve();
    Task<void> request(u16 recovered_head, bool is_recovered);
    Task<bool> wait_for_kick();
    bool take_all();
    void complete(const virtio::Chain& chain, u32 written);

    const DeviceContext* device_ = nullptr;
    std::optional<virtio::Queue> queue_;
    InflightQueue inflight_;
    std::optional<TaskGroup> server_;
    std::optional<TaskGroup> requests_;
    Notifier notifier_{*this};
    virtio::Chain next_;
    bool broken_ = false;
};

}  // namespace undercroft::vhost_user
