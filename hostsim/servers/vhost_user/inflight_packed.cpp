// InflightPacked.
#include "hostsim/servers/vhost_user/inflight_packed.hpp"

#include <algorithm>
#include <atomic>

namespace undercroft::vhost_user {

namespace {

struct Entry {
    u8 inflight = 0;
    u8 padding = 0;
    u16 next = 0;   ///< of the chain, or of the free ones
    u16 last = 0;   ///< in the first of a chain: its last
    u16 count = 0;  ///< in the first of a chain
    u64 counter = 0;
    virtio::PackedDescriptor descriptor;
};

struct Region {
    u64 features;
    u16 version;
    u16 entries;
    u16 free_head;
    u16 old_free_head;
    u16 used_index;
    u16 old_used_index;
    u8 used_wrap;
    u8 old_used_wrap;
    u8 padding[10];
};
static_assert(sizeof(Region) == 32 && offsetof(Region, old_used_wrap) == 21);
// The standard's order of a descriptor's fields is another: id, flags, length, address. Nobody but us reads them.
static_assert(sizeof(Entry) == 32 && offsetof(Entry, counter) == 8);

constexpr u64 region_alignment = 64;

// SAFETY: the memory is mapped, aligned and large enough: see `InflightMemory`; slots are checked before they are used.
Region& region_at(std::byte* memory) { return *reinterpret_cast<Region*>(memory); }
Entry& entry_at(std::byte* memory, u16 slot) { return reinterpret_cast<Entry*>(memory + sizeof(Region))[slot]; }

/// A crash may come between any two stores: what the compiler must not reorder.
void barrier() { std::atomic_signal_fence(std::memory_order_seq_cst); }

u16 position(u16 index, bool wrap) { return wrap ? index | virtio::event_wrap : index; }

}  // namespace

u64 InflightPacked::region_bytes(u16 queue_size) {
    return align_up(sizeof(Region) + u64{queue_size} * sizeof(Entry), region_alignment);
}

u16 InflightPacked::advanced(u16 from, u16 places) const {
    u32 index = (from & ~u32{virtio::event_wrap}) + std::min(places, queue_size_);
    bool wrap = (from & virtio::event_wrap) != 0;
    return index >= queue_size_ ? position(static_cast<u16>(index - queue_size_), !wrap)
                                : position(static_cast<u16>(index), wrap);
}

std::vector<u16> InflightPacked::slots_of(u16 slot) const {
    std::vector<u16> slots;
    u16 count = entry_at(memory_, slot).count;
    for (u16 step = 0; step < count && count <= queue_size_; ++step) {
        if (slot >= queue_size_) {
            return {};
        }
        slots.push_back(slot);
        slot = entry_at(memory_, slot).next;
    }
    return slots;
}

InflightPacked::State InflightPacked::recover(const virtio::Queue& ring, u16 fresh_position) {
    Region& region = region_at(memory_);
    if (region.version == 0) {
        region = {};
        region.entries = queue_size_;
        region.used_index = region.old_used_index = fresh_position & ~virtio::event_wrap;
        region.used_wrap = region.old_used_wrap = (fresh_position & virtio::event_wrap) != 0 ? 1 : 0;
        rebuild_free_list(std::vector<bool>(queue_size_));
        barrier();
        region.version = 1;
        return {.next_available = fresh_position, .next_used = fresh_position, .chains = {}};
    }
    u16 used = position(region.old_used_index % queue_size_, region.old_used_wrap != 0);
    u16 completing = region.free_head;
    bool in_progress = region.used_index != region.old_used_index || region.used_wrap != region.old_used_wrap;
    if (in_progress && completing < queue_size_) {
        bool wrap = (used & virtio::event_wrap) != 0;
        u16 flags = ring.descriptor_behind(used & ~virtio::event_wrap, 0).flags;
        bool is_available =
            ((flags & virtio::descriptor_available) != 0) == wrap && ((flags & virtio::descriptor_used) != 0) != wrap;
        if (!is_available) {  // the driver has been told
            entry_at(memory_, completing).inflight = 0;
            used = advanced(used, entry_at(memory_, completing).count);
        }
    }
    State state{.next_available = used, .next_used = used, .chains = {}};
    std::vector<bool> taken(queue_size_);
    std::vector<std::pair<u64, u16>> heads;
    for (u16 slot = 0; slot < queue_size_; ++slot) {
        if (entry_at(memory_, slot).inflight != 0) {
            heads.emplace_back(entry_at(memory_, slot).counter, slot);
        }
    }
    std::ranges::sort(heads);
    for (auto [counter, head] : heads) {
        std::vector<u16> slots = slots_of(head);
        bool is_sound = !slots.empty() && std::ranges::none_of(slots, [&](u16 slot) { return taken[slot]; });
        if (!is_sound) {
            entry_at(memory_, head).inflight = 0;
            continue;
        }
        Recovered chain{.slot = head, .descriptors = {}};
        for (u16 slot : slots) {
            taken[slot] = true;
            chain.descriptors.push_back(entry_at(memory_, slot).descriptor);
        }
        state.next_available = advanced(state.next_available, static_cast<u16>(slots.size()));
        state.chains.push_back(std::move(chain));
        counter_ = std::max(counter_, counter + 1);
    }
    rebuild_free_list(taken);
    region.used_index = region.old_used_index = used & ~virtio::event_wrap;
    region.used_wrap = region.old_used_wrap = (used & virtio::event_wrap) != 0 ? 1 : 0;
    return state;
}

void InflightPacked::rebuild_free_list(const std::vector<bool>& used) {
    u16 next = queue_size_;
    for (u16 slot = queue_size_; slot-- > 0;) {
        if (!used[slot]) {
            entry_at(memory_, slot).next = std::exchange(next, slot);
            entry_at(memory_, slot).inflight = 0;
        }
    }
    Region& region = region_at(memory_);
    region.free_head = region.old_free_head = next;
}

u16 InflightPacked::take_free() {
    Region& region = region_at(memory_);
    u16 slot = region.free_head;
    if (slot < queue_size_) {
        region.free_head = entry_at(memory_, slot).next;
    }
    return slot;
}

u16 InflightPacked::taken(const virtio::Queue& ring, const virtio::Chain& chain) {
    u16 head = queue_size_;
    u16 last = queue_size_;
    for (u16 step = 0; step < chain.descriptors; ++step) {
        u16 slot = take_free();
        if (slot >= queue_size_) {
            return queue_size_;  // the frontend wrote into the region: this one is not tracked
        }
        entry_at(memory_, slot).descriptor = ring.descriptor_behind(chain.place, step);
        if (step == 0) {
            head = slot;
        } else {
            entry_at(memory_, last).next = slot;
        }
        last = slot;
    }
    Entry& entry = entry_at(memory_, head);
    entry.last = last;
    entry.count = chain.descriptors;
    entry.counter = counter_++;
    barrier();
    entry.inflight = 1;
    barrier();
    Region& region = region_at(memory_);
    region.old_free_head = region.free_head;
    return head;
}

void InflightPacked::completing(u16 slot) {
    if (slot >= queue_size_) {
        return;
    }
    Region& region = region_at(memory_);
    Entry& entry = entry_at(memory_, slot);
    if (entry.last < queue_size_) {
        entry_at(memory_, entry.last).next = region.free_head;
    }
    region.free_head = slot;
    u16 next = advanced(position(region.used_index % queue_size_, region.used_wrap != 0), entry.count);
    barrier();
    region.used_wrap = (next & virtio::event_wrap) != 0 ? 1 : 0;
    region.used_index = next & ~virtio::event_wrap;
    barrier();
}

void InflightPacked::completed(u16 slot) {
    if (slot >= queue_size_) {
        return;
    }
    Region& region = region_at(memory_);
    barrier();
    entry_at(memory_, slot).inflight = 0;
    barrier();
    region.old_free_head = region.free_head;
    region.old_used_index = region.used_index;
    region.old_used_wrap = region.used_wrap;
}

}  // namespace undercroft::vhost_user
