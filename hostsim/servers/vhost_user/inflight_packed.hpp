// In-flight tracking of packed rings: copies of the descriptors that were taken and not completed, for the driver's own
// are overwritten by completions of others (vhost-user.rst, "Inflight I/O tracking", packed virtqueue). The fields are
// as it has them; what a predecessor's crash left is put right without trusting more of it than has to be.
#pragma once

#include <vector>

#include "storage/frontends/virtio/queue.hpp"

namespace undercroft::vhost_user {

class InflightPacked {
public:
    static u64 region_bytes(u16 queue_size);

    InflightPacked() = default;
    /// `memory`: at least `region_bytes`, aligned to 8.
    InflightPacked(std::byte* memory, u16 queue_size) : memory_(memory), queue_size_(queue_size) {}
    bool is_tracked() const { return memory_ != nullptr; }

    /// A chain that was taken and not completed.
    struct Recovered {
        u16 slot;
        std::vector<virtio::PackedDescriptor> descriptors;
    };
    struct State {
        u16 next_available;  ///< as `QueueSetup` has them
        u16 next_used;
        std::vector<Recovered> chains;  ///< oldest first
    };
    /// Settles what happened to the last completion before a crash, and says where to go on and what to carry out again.
    /// `ring` is only looked at: `descriptors` at any place. `fresh` is the position of a queue that was never served.
    State recover(const virtio::Queue& ring, u16 fresh_position);

    /// Notes a chain that was taken; the slot names it from then on. Slots never run out: there are as many as places.
    u16 taken(const virtio::Queue& ring, const virtio::Chain& chain);
    /// Before and after the ring says so.
    void completing(u16 slot);
    void completed(u16 slot);

private:
    u16 take_free();
    void rebuild_free_list(const std::vector<bool>& used);
    /// The slots of the chain that begins at `slot`, in order; empty where they contradict themselves.
    std::vector<u16> slots_of(u16 slot) const;
    u16 advanced(u16 position, u16 places) const;

    std::byte* memory_ = nullptr;
    u16 queue_size_ = 0;
    u64 counter_ = 0;
};

}  // namespace undercroft::vhost_user
