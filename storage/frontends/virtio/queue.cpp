// Queue: both rings.
#include "storage/frontends/virtio/queue.hpp"

#include <atomic>
#include <cstring>

namespace undercroft::virtio {

namespace {

constexpr u64 split_driver_bytes(u64 size) { return ring_entries_offset + size * sizeof(u16) + sizeof(u16); }
constexpr u64 split_device_bytes(u64 size) { return ring_entries_offset + size * sizeof(UsedElement) + sizeof(u16); }
constexpr u64 packed_event_bytes = 4;

template <typename T>
T copy_of(const std::byte* at) {
    T value;
    std::memcpy(&value, at, sizeof(value));
    return value;
}

/// Whether an index that moved from `before` to `now` has passed `event` (section 2.7.10).
bool has_passed(u16 event, u16 now, u16 before) {
    return static_cast<u16>(now - event - 1) < static_cast<u16>(now - before);
}

Result<std::byte*> area(const GuestMemory& memory, u64 address, u64 bytes, u64 alignment) {
    if (!is_aligned(address, alignment)) {
        return fail(Error::out_of_range);
    }
    return TRY(memory.resolve(address, bytes)).data();
}

}  // namespace

// SAFETY: rings are aligned (checked in `create`), and shared with the driver: index and flags are atomic accesses, all
// else is ordered by them.
u16 Queue::load(const std::byte* at) {
    return std::atomic_ref(*reinterpret_cast<u16*>(const_cast<std::byte*>(at))).load(std::memory_order_acquire);
}
void Queue::store(std::byte* at, u16 value) {
    std::atomic_ref(*reinterpret_cast<u16*>(at)).store(value, std::memory_order_release);
}

Result<Queue> Queue::create(const GuestMemory& memory, const QueueSetup& setup) {
    bool power_of_two = (setup.size & (setup.size - 1)) == 0;
    if (setup.size == 0 || setup.size > queue_size_max || (!setup.packed && !power_of_two)) {
        return fail(Error::malformed);
    }
    Queue queue(memory);
    u64 driver_bytes = setup.packed ? packed_event_bytes : split_driver_bytes(setup.size);
    u64 device_bytes = setup.packed ? packed_event_bytes : split_device_bytes(setup.size);
    queue.descriptors_ = TRY(area(memory, setup.descriptors, u64{setup.size} * sizeof(SplitDescriptor), 16));
    queue.driver_ = TRY(area(memory, setup.driver_area, driver_bytes, setup.packed ? 4 : 2));
    queue.device_ = TRY(area(memory, setup.device_area, device_bytes, 4));
    queue.size_ = setup.size;
    queue.packed_ = setup.packed;
    queue.event_index_ = setup.event_index;
    queue.indirect_ = setup.indirect;
    queue.next_available_ = setup.next_available;
    queue.next_used_ = setup.next_used;
    if (setup.packed) {
        queue.available_wrap_ = (setup.next_available & event_wrap) != 0;
        queue.used_wrap_ = (setup.next_used & event_wrap) != 0;
        queue.next_available_ = setup.next_available & ~event_wrap;
        queue.next_used_ = setup.next_used & ~event_wrap;
        if (queue.next_available_ >= setup.size || queue.next_used_ >= setup.size) {
            return fail(Error::malformed);
        }
    }
    queue.seen_available_ = queue.next_available_;
    queue.notified_used_ = queue.next_used_;
    return queue;
}

u16 Queue::published_used() const { return load(device_ + ring_index_offset); }

Result<bool> Queue::take(Chain& chain) {
    chain.readable_count = 0;
    chain.count = 0;
    return packed_ ? take_packed(chain) : take_split(chain);
}

bool Queue::has_available() const {
    return packed_ ? is_available(load(descriptors_ + usize{next_available_} * sizeof(PackedDescriptor) +
                                       offsetof(PackedDescriptor, flags)))
                   : seen_available_ != next_available_ || load(driver_ + ring_index_offset) != next_available_;
}

/// Whether `flags` at `next_available_` are those of a new chain.
bool Queue::is_available(u16 flags) const {
    return ((flags & descriptor_available) != 0) == available_wrap_ &&
           ((flags & descriptor_used) != 0) != available_wrap_;
}

Result<void> Queue::add(u64 address, u32 length, bool is_writable, Chain& chain) const {
    if (chain.count == Chain::segments_max || (!is_writable && chain.readable_count != chain.count)) {
        return fail(Error::malformed);  // more than the device takes, or readable behind writable
    }
    std::span<std::byte> memory = TRY(memory_->resolve(address, length));
    if (!memory.empty()) {
        chain.segments[chain.count++] = {.data = memory.data(), .size = memory.size()};
        chain.readable_count += is_writable ? 0 : 1;
    }
    return {};
}

// --- Split ring ------------------------------------------------------------------------------------------------------

Result<bool> Queue::take_split(Chain& chain) {
    if (seen_available_ == next_available_) {
        seen_available_ = load(driver_ + ring_index_offset);
        if (seen_available_ == next_available_) {
            return false;
        }
    }
    if (static_cast<u16>(seen_available_ - next_available_) > size_) {
        return fail(Error::malformed);
    }
    u64 place = next_available_ & (size_ - 1U);
    u16 head = copy_of<Le<u16>>(driver_ + ring_entries_offset + place * sizeof(u16));
    TRY(walk_split(head, chain));
    ++next_available_;
    return true;
}

Result<void> Queue::take_again(u16 id, Chain& chain) const {
    chain.readable_count = 0;
    chain.count = 0;
    return walk_split(id, chain);
}

Result<void> Queue::walk_split(u16 head, Chain& chain) const {
    chain.id = head;
    u16 at = head;
    for (u32 steps = 0; steps < size_; ++steps) {
        if (at >= size_) {
            return fail(Error::malformed);
        }
        auto descriptor = copy_of<SplitDescriptor>(descriptors_ + usize{at} * sizeof(SplitDescriptor));
        if ((descriptor.flags & descriptor_indirect) != 0) {
            bool alone = (descriptor.flags & descriptor_next) == 0;
            if (!indirect_ || !alone) {
                return fail(Error::malformed);
            }
            return add_indirect_split(descriptor.address, descriptor.length, chain);
        }
        TRY(add(descriptor.address, descriptor.length, (descriptor.flags & descriptor_write) != 0, chain));
        if ((descriptor.flags & descriptor_next) == 0) {
            return {};
        }
        at = descriptor.next;
    }
    return fail(Error::malformed);  // a circle
}

Result<void> Queue::add_indirect_split(u64 address, u32 length, Chain& chain) const {
    u32 entries = length / sizeof(SplitDescriptor);
    if (length % sizeof(SplitDescriptor) != 0 || entries == 0) {
        return fail(Error::malformed);
    }
    std::span<std::byte> table = TRY(memory_->resolve(address, length));
    u16 at = 0;
    for (u32 steps = 0; steps < entries; ++steps) {
        if (at >= entries) {
            return fail(Error::malformed);
        }
        auto descriptor = copy_of<SplitDescriptor>(table.data() + usize{at} * sizeof(SplitDescriptor));
        if ((descriptor.flags & descriptor_indirect) != 0) {
            return fail(Error::malformed);
        }
        TRY(add(descriptor.address, descriptor.length, (descriptor.flags & descriptor_write) != 0, chain));
        if ((descriptor.flags & descriptor_next) == 0) {
            return {};
        }
        at = descriptor.next;
    }
    return fail(Error::malformed);
}

// --- Packed ring -----------------------------------------------------------------------------------------------------

Result<bool> Queue::take_packed(Chain& chain) {
    u16 at = next_available_;
    bool wrap = available_wrap_;
    for (u16 places = 1; places <= size_; ++places) {
        std::byte* where = descriptors_ + usize{at} * sizeof(PackedDescriptor);
        u16 flags = load(where + offsetof(PackedDescriptor, flags));
        if (places == 1 && !is_available(flags)) {
            return false;
        }
        // The driver makes the first descriptor of a chain available last: the others need no look at these bits.
        auto descriptor = copy_of<PackedDescriptor>(where);
        if (++at == size_) {
            at = 0;
            wrap = !wrap;
        }
        descriptor.flags = flags;  // each is read once
        TRY(add_packed(descriptor, chain));
        if ((flags & descriptor_next) == 0) {
            chain.id = descriptor.id;
            chain.descriptors = places;
            chain.place = next_available_;
            next_available_ = at;
            available_wrap_ = wrap;
            return true;
        }
    }
    return fail(Error::malformed);
}

Result<void> Queue::add_packed(const PackedDescriptor& descriptor, Chain& chain) const {
    if ((descriptor.flags & descriptor_indirect) == 0) {
        return add(descriptor.address, descriptor.length, (descriptor.flags & descriptor_write) != 0, chain);
    }
    bool alone = (descriptor.flags & descriptor_next) == 0;
    return indirect_ && alone ? add_indirect_packed(descriptor.address, descriptor.length, chain)
                              : fail(Error::malformed);
}

Result<void> Queue::take_again(std::span<const PackedDescriptor> saved, Chain& chain) const {
    chain.readable_count = 0;
    chain.count = 0;
    chain.id = saved.back().id;
    chain.descriptors = static_cast<u16>(saved.size());
    for (const PackedDescriptor& descriptor : saved) {
        TRY(add_packed(descriptor, chain));
    }
    return {};
}

PackedDescriptor Queue::descriptor_behind(u16 place, u16 steps) const {
    usize at = (usize{place} + steps) % size_;
    return copy_of<PackedDescriptor>(descriptors_ + at * sizeof(PackedDescriptor));
}

Result<void> Queue::add_indirect_packed(u64 address, u32 length, Chain& chain) const {
    if (length % sizeof(PackedDescriptor) != 0 || length == 0) {
        return fail(Error::malformed);
    }
    std::span<std::byte> table = TRY(memory_->resolve(address, length));
    for (usize offset = 0; offset < length; offset += sizeof(PackedDescriptor)) {
        auto descriptor = copy_of<PackedDescriptor>(table.data() + offset);
        TRY(add(descriptor.address, descriptor.length, (descriptor.flags & descriptor_write) != 0, chain));
    }
    return {};
}

// --- Completion and notification -------------------------------------------------------------------------------------

void Queue::complete(const Chain& chain, u32 written) {
    if (!packed_) {
        u64 place = next_used_ & (size_ - 1U);
        UsedElement element{.id = chain.id, .length = written};
        std::memcpy(device_ + ring_entries_offset + place * sizeof(element), &element, sizeof(element));
        ++next_used_;
        store(device_ + ring_index_offset, next_used_);
        return;
    }
    std::byte* where = descriptors_ + usize{next_used_} * sizeof(PackedDescriptor);
    Le<u32> length = written;
    Le<u16> id = chain.id;
    std::memcpy(where + offsetof(PackedDescriptor, length), &length, sizeof(length));
    std::memcpy(where + offsetof(PackedDescriptor, id), &id, sizeof(id));
    u16 flags = used_wrap_ ? descriptor_available | descriptor_used : 0;
    store(where + offsetof(PackedDescriptor, flags), written > 0 ? flags | descriptor_write : flags);
    u32 next = u32{next_used_} + chain.descriptors;
    if (next >= size_) {
        next -= size_;
        used_wrap_ = !used_wrap_;
    }
    next_used_ = static_cast<u16>(next);
    completed_places_ = static_cast<u16>(completed_places_ + chain.descriptors);
}

bool Queue::should_notify() {
    std::atomic_thread_fence(std::memory_order_seq_cst);  // completions before the look at what the driver wants
    u16 before = notified_used_;
    notified_used_ = next_used_;
    if (!packed_) {
        if (event_index_) {
            u16 event = load(driver_ + ring_entries_offset + u64{size_} * sizeof(u16));
            return before != next_used_ && has_passed(event, next_used_, before);
        }
        return before != next_used_ && (load(driver_ + ring_flags_offset) & available_no_interrupt) == 0;
    }
    u16 places = completed_places_;
    completed_places_ = 0;
    u16 flags = load(driver_ + event_flags_offset);
    if (places == 0 || flags == event_disable) {
        return false;
    }
    if (flags != event_descriptor || !event_index_) {
        return true;
    }
    // Places are counted on one line that ends at next_used_; the event may lie in the lap before.
    u16 wanted = load(driver_ + event_offset_offset);
    i32 event = wanted & ~event_wrap;
    if (((wanted & event_wrap) != 0) != used_wrap_) {
        event -= size_;
    }
    i32 now = next_used_;
    return event < now && event >= now - i32{places};
}

void Queue::want_notifications(bool wanted) {
    if (packed_) {
        store(device_ + event_flags_offset, wanted ? event_enable : event_disable);
    } else if (event_index_) {
        u16 event = wanted ? next_available_ : static_cast<u16>(next_available_ - 1);
        store(device_ + ring_entries_offset + u64{size_} * sizeof(UsedElement), event);
    } else {
        store(device_ + ring_flags_offset, wanted ? 0 : used_no_notify);
    }
    std::atomic_thread_fence(std::memory_order_seq_cst);  // the wish before the next look at the ring
}

}  // namespace undercroft::virtio
