// A virtio driver's side of a queue, in memory of its own: split and packed rings.
#pragma once

#include <cstring>
#include <optional>
#include <vector>

#include "storage/frontends/virtio/queue.hpp"

namespace undercroft::virtio {

class FakeDriver {
public:
    static constexpr u64 descriptors_at = 0x1000;
    static constexpr u64 driver_at = 0x3000;
    static constexpr u64 device_at = 0x4000;
    static constexpr u64 table_at = 0x5000;
    static constexpr u64 data_at = 0x8000;
    static constexpr u64 memory_bytes = 0x40000;

    explicit FakeDriver(u16 size, bool packed, bool event_index = false)
        : bytes_(memory_bytes + page_size), size_(size), packed_(packed) {
        auto address = reinterpret_cast<std::uintptr_t>(bytes_.data());
        base_ = bytes_.data() + (align_up(address, page_size) - address);
        set_up(event_index);
    }
    /// In `memory`, which is `memory_bytes` large and stays.
    FakeDriver(std::byte* memory, u16 size, bool packed, bool event_index = false)
        : base_(memory), size_(size), packed_(packed) {
        set_up(event_index);
    }
    /// Another queue in the memory of `other`, its rings `origin` bytes further on. They are cleared.
    FakeDriver(FakeDriver& other, u64 origin, u16 size, bool packed, bool event_index = false)
        : base_(other.base_), origin_(origin), size_(size), packed_(packed) {
        std::memset(at(origin + descriptors_at), 0, data_at - descriptors_at);
        set_up(event_index);
    }

    struct Buffer {
        u64 address;
        u32 length;
        bool writable;
    };

    Queue make_queue() { return *Queue::create(memory_, setup_); }
    std::byte* at(u64 address) { return base_ + address; }
    template <typename T>
    void put(u64 address, const T& value) {
        std::memcpy(at(address), &value, sizeof(value));
    }
    template <typename T>
    T get(u64 address) {
        T value;
        std::memcpy(&value, at(address), sizeof(value));
        return value;
    }

    /// Makes `buffers` available as one chain, direct or through an indirect table. The chain's id.
    u16 add(const std::vector<Buffer>& buffers, bool indirect = false) {
        std::vector<Buffer> places = buffers;
        if (indirect) {
            for (usize index = 0; index < buffers.size(); ++index) {
                write_descriptor(origin_ + table_at, index, buffers[index], index + 1 < buffers.size(),
                                 static_cast<u16>(index + 1), 0);
            }
            places = {{origin_ + table_at, static_cast<u32>(buffers.size() * 16), false}};
        }
        u16 extra = indirect ? descriptor_indirect : u16{0};
        ++added_;
        return packed_ ? add_packed(places, extra) : add_split(places, extra);
    }
    /// The next completed chain: id and length; nothing where there is none.
    std::optional<std::pair<u16, u32>> completed() {
        if (!packed_) {
            if (get<Le<u16>>(origin_ + device_at + 2) == seen_used_) {
                return std::nullopt;
            }
            auto element = get<UsedElement>(origin_ + device_at + 4 + (seen_used_++ % size_) * 8U);
            return std::pair(static_cast<u16>(element.id.value()), element.length.value());
        }
        auto descriptor = get<PackedDescriptor>(origin_ + descriptors_at + seen_used_ * 16U);
        bool available = (descriptor.flags & descriptor_available) != 0;
        bool used = (descriptor.flags & descriptor_used) != 0;
        if (available != used || used != used_wrap_) {
            return std::nullopt;
        }
        advance(seen_used_, used_wrap_, places_[descriptor.id]);
        return std::pair(descriptor.id.value(), descriptor.length.value());
    }

    GuestMemory memory_;
    QueueSetup setup_;

    /// Whether the device wants to hear of what was added since this was last asked.
    bool should_notify() {
        u16 added = static_cast<u16>(added_ - asked_);
        asked_ = added_;
        u64 events = origin_ + device_at;
        if (packed_) {
            return added > 0 && get<Le<u16>>(events + event_flags_offset) != event_disable;
        }
        if (setup_.event_index) {
            u16 event = get<Le<u16>>(events + ring_entries_offset + u64{size_} * sizeof(UsedElement));
            return static_cast<u16>(next_available_ - event - 1) < added;
        }
        return added > 0 && (get<Le<u16>>(events) & used_no_notify) == 0;
    }

private:
    void set_up(bool event_index) {
        GuestMemoryRange range{.guest_address = 0, .size_bytes = memory_bytes, .data = base_};
        memory_ = *GuestMemory::create({&range, 1});
        setup_ = {.size = size_,
                  .descriptors = origin_ + descriptors_at,
                  .driver_area = origin_ + driver_at,
                  .device_area = origin_ + device_at,
                  .packed = packed_,
                  .event_index = event_index,
                  .indirect = true,
                  .next_available = packed_ ? event_wrap : u16{0},
                  .next_used = packed_ ? event_wrap : u16{0}};
    }
    void write_descriptor(u64 table, u64 index, const Buffer& buffer, bool more, u16 next, u16 extra) {
        u16 flags = static_cast<u16>((more ? descriptor_next : 0) | (buffer.writable ? descriptor_write : 0) | extra);
        if (packed_) {
            put(table + index * 16,
                PackedDescriptor{.address = buffer.address, .length = buffer.length, .id = 0, .flags = flags});
        } else {
            put(table + index * 16,
                SplitDescriptor{.address = buffer.address, .length = buffer.length, .flags = flags, .next = next});
        }
    }
    u16 add_split(const std::vector<Buffer>& places, u16 extra) {
        u16 head = next_free_;
        for (usize index = 0; index < places.size(); ++index) {
            u16 here = next_free_;
            next_free_ = static_cast<u16>((next_free_ + 1) % size_);
            write_descriptor(origin_ + descriptors_at, here, places[index], index + 1 < places.size(), next_free_,
                             extra);
        }
        put(origin_ + driver_at + 4 + (next_available_ % size_) * 2U, Le<u16>(head));
        put(origin_ + driver_at + 2, Le<u16>(++next_available_));
        return head;
    }
    u16 add_packed(const std::vector<Buffer>& places, u16 extra) {
        u16 id = next_id_++ % size_;
        places_[id] = static_cast<u16>(places.size());
        // The first becomes available last: a device may be looking.
        std::vector<std::pair<u64, PackedDescriptor>> descriptors;
        for (usize index = 0; index < places.size(); ++index) {
            bool more = index + 1 < places.size();
            u16 flags =
                static_cast<u16>((more ? descriptor_next : 0) | (places[index].writable ? descriptor_write : 0) |
                                 extra | (available_wrap_ ? descriptor_available : descriptor_used));
            descriptors.emplace_back(
                origin_ + descriptors_at + next_available_ * 16U,
                PackedDescriptor{
                    .address = places[index].address, .length = places[index].length, .id = id, .flags = flags});
            advance(next_available_, available_wrap_, 1);
        }
        for (usize index = descriptors.size(); index-- > 0;) {
            put(descriptors[index].first, descriptors[index].second);
        }
        return id;
    }
    void advance(u16& place, bool& wrap, u16 count) {
        u32 next = u32{place} + count;
        if (next >= size_) {
            next -= size_;
            wrap = !wrap;
        }
        place = static_cast<u16>(next);
    }

    std::vector<std::byte> bytes_;
    std::byte* base_;
    u64 origin_ = 0;
    u16 size_;
    bool packed_;
    u16 next_free_ = 0;
    u16 next_available_ = 0;
    u16 next_id_ = 0;
    u16 seen_used_ = 0;
    bool available_wrap_ = true;
    bool used_wrap_ = true;
    u16 added_ = 0;
    u16 asked_ = 0;
    u16 places_[256] = {};
};

}  // namespace undercroft::virtio
