// A virtqueue, the device's side, over guest memory: split and packed rings, indirect descriptors, event index (virtio
// 1.2, sections 2.7 and 2.8). Leaves out transports and what requests mean. Everything in the rings is the driver's
// word: it is read once, checked, and a ring that makes no sense is an error that stops the queue, nothing worse.
#pragma once

#include <algorithm>

#include "kernel/base/memory_segment.hpp"
#include "kernel/guest/memory.hpp"
#include "kernel/spec/virtio.hpp"

namespace undercroft::virtio {

/// Where a queue lies, in guest addresses, and what was negotiated for it.
struct QueueSetup {
    u16 size = 0;         ///< entries; a power of two for a split ring
    u64 descriptors = 0;  ///< descriptor table, or packed ring
    u64 driver_area = 0;  ///< available ring, or driver event suppression
    u64 device_area = 0;  ///< used ring, or device event suppression
    bool packed = false;
    bool event_index = false;
    bool indirect = false;
    u16 next_available = 0;  ///< where to begin; packed: bit 15 is the wrap counter
    u16 next_used = 0;       ///< the same of the used side
};

/// One request of the driver: what the device reads, then what it writes.
struct Chain {  // NOLINT(cppcoreguidelines-pro-type-member-init): see segments
    static constexpr usize segments_max = 130;
    Chain() = default;  // NOLINT(cppcoreguidelines-pro-type-member-init): see segments
    /// Only as many segments as there are: this is on the path of every request.
    Chain(const Chain& other)  // NOLINT(cppcoreguidelines-pro-type-member-init): see segments
        : id(other.id), descriptors(other.descriptors), place(other.place), readable_count(other.readable_count),
          count(other.count) {
        std::copy_n(other.segments, count, segments);
    }
    Chain& operator=(const Chain&) = delete;

    u16 id = 0;           ///< the driver's name for it: head index, or buffer id
    u16 descriptors = 0;  ///< places it takes in a packed ring, ...
    u16 place = 0;        ///< ... from this one on
    usize readable_count = 0;
    usize count = 0;
    MemorySegment segments[segments_max];  // NOLINT(cppcoreguidelines-pro-type-member-init): filled as far as counted

    SegmentList readable() const { return {segments, readable_count}; }
    SegmentList writable() const { return {segments + readable_count, count - readable_count}; }
};

class Queue {
public:
    /// `malformed`: a size that is none. `out_of_range`: rings that do not lie in guest memory, or not aligned.
    /// `memory` outlives the queue.
    static Result<Queue> create(const GuestMemory& memory, const QueueSetup& setup);

    /// Takes the next request into `chain`; false where there is none. `malformed` or `out_of_range` where the driver
    /// broke the ring: nothing more comes from it.
    Result<bool> take(Chain& chain);
    /// Whether there is something to take.
    bool has_available() const;
    /// Takes the request with head `id` of a split ring again, which was taken before and never completed.
    Result<void> take_again(u16 id, Chain& chain) const;
    /// The same for a packed ring, where the driver may have overwritten the chain since: from a copy of its descriptors.
    Result<void> take_again(std::span<const PackedDescriptor> saved, Chain& chain) const;
    /// A descriptor of a packed ring as it is now, at `steps` places behind `place`.
    PackedDescriptor descriptor_behind(u16 place, u16 steps) const;
    /// Gives a request back, with the number of bytes that were written to it.
    void complete(const Chain& chain, u32 written);
    /// Whether the driver wants to hear of what was completed since it was last asked.
    bool should_notify();
    /// Asks the driver to say when it adds requests (`wanted`), or not to bother. After asking, look again: what came
    /// before the question is not announced.
    void want_notifications(bool wanted);

    /// As `QueueSetup::next_available` and `next_used`: where another device would go on.
    u16 next_available() const { return packed_ ? next_available_ | wrap_bit(available_wrap_) : next_available_; }
    u16 next_used() const { return packed_ ? next_used_ | wrap_bit(used_wrap_) : next_used_; }
    u16 size() const { return size_; }
    bool is_packed() const { return packed_; }
    /// The index in the used ring of a split queue, as the driver sees it.
    u16 published_used() const;

private:
    explicit Queue(const GuestMemory& memory) : memory_(&memory) {}
    Result<void> add_packed(const PackedDescriptor& descriptor, Chain& chain) const;
    static u16 wrap_bit(bool wrap) { return wrap ? event_wrap : u16{0}; }
    bool is_available(u16 flags) const;
    Result<bool> take_split(Chain& chain);
    Result<bool> take_packed(Chain& chain);
    Result<void> walk_split(u16 head, Chain& chain) const;
    Result<void> add_indirect_split(u64 address, u32 length, Chain& chain) const;
    Result<void> add_indirect_packed(u64 address, u32 length, Chain& chain) const;
    Result<void> add(u64 address, u32 length, bool is_writable, Chain& chain) const;
    static u16 load(const std::byte* at);
    static void store(std::byte* at, u16 value);

    const GuestMemory* memory_;
    std::byte* descriptors_ = nullptr;
    std::byte* driver_ = nullptr;
    std::byte* device_ = nullptr;
    u16 size_ = 0;
    u16 next_available_ = 0;
    u16 seen_available_ = 0;  // of a split ring: the driver's index, when it was last looked at
    u16 next_used_ = 0;
    u16 notified_used_ = 0;  // next_used_ when should_notify was last asked
    bool available_wrap_ = true;
    bool used_wrap_ = true;
    bool packed_ = false;
    bool event_index_ = false;
    bool indirect_ = false;
    u16 completed_places_ = 0;  // packed: used places since should_notify was last asked
};

}  // namespace undercroft::virtio
