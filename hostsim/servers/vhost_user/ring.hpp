// One virtqueue of a session: what the frontend told about it, and, while it runs, its requests.
#pragma once

#include <optional>
#include <vector>

#include "hostsim/platform/spin_credit.hpp"
#include "hostsim/servers/vhost_user/device_record.hpp"
#include "hostsim/servers/vhost_user/inflight.hpp"
#include "hostsim/servers/vhost_user/memory_table.hpp"
#include "kernel/async/task_group.hpp"
#include "storage/frontends/virtio/device.hpp"

namespace undercroft::vhost_user {

/// What a ring tells the session that it is part of.
class RingOwner {
public:
    virtual ~RingOwner() = default;
    /// Memory that the frontend shares has become smaller: the session cannot go on.
    virtual void memory_lost() = 0;
};

/// What a ring starts with; all of it outlives the ring's work.
struct RingSetup {
    virtio::Device& device;
    u16 index;
    const MemoryTable& memory;
    u64 features;
    const InflightMemory* inflight;  ///< or null
    DeviceRecord* record;            ///< or null
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
    bool start(const RingSetup& setup, RingOwner& owner);
    /// Takes no more requests, waits for those that were taken, and remembers where it was.
    Task<void> stop();

private:
    struct Notifier : Work {
        explicit Notifier(Ring& ring) : Work(&Notifier::run), ring(ring) {}
        static void run(Work& self);
        Ring& ring;
        bool posted = false;
    };
    /// Requests that a predecessor left, in the order in which it took them.
    struct Recovered {
        std::vector<u16> heads;  ///< of a split ring
        std::vector<InflightPacked::Recovered> chains;
    };
    Result<Recovered> prepare(const RingSetup& setup, virtio::QueueSetup queue);
    Result<void> go_on(const Recovered& recovered);
    Task<void> serve();
    Task<void> request(u16 slot);
    Task<Result<u32>> process(const virtio::Chain& chain);
    Task<Result<u32>> process_counted(const virtio::Chain& chain);
    Task<bool> wait_for_kick();
    Task<void> look_out();
    bool take_all();
    bool memory_is_intact();
    u16 note_taken();
    void complete(const virtio::Chain& chain, u16 slot, u32 written);
    void take_back_parked();

    virtio::Device* device_ = nullptr;
    DeviceRecord* record_ = nullptr;
    u64 now_ns_ = 0;  // when a request last ended, or the last round began
    u16 index_ = 0;
    RingOwner* owner_ = nullptr;
    const MemoryTable* memory_ = nullptr;
    const InflightMemory* inflight_memory_ = nullptr;
    std::optional<virtio::Queue> queue_;
    InflightQueue inflight_;
    InflightPacked inflight_packed_;
    std::optional<TaskGroup> server_;
    std::optional<TaskGroup> requests_;
    Notifier notifier_{*this};
    virtio::Chain next_;
    SpinCredit look_out_credit_;
    u32 parked_chains_ = 0;  // cancelled while the ring stops: they go back into the ring, ...
    u32 parked_places_ = 0;  // ... of a packed one so many places
    bool stalled_ = false;   // as many requests under way as the ring has places
    bool broken_ = false;
};

}  // namespace undercroft::vhost_user
