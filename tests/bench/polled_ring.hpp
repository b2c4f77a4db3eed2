// A driver's side of one virtqueue for benchmarks: the request queue of a virtio block device or SCSI host with a fixed
// number of 4 KiB reads or writes under way, polled, which never asks to be called. Leaves out how the queue is made
// known to the device, and everything that a driver does for robustness: a device that breaks the protocol ends the
// benchmark.
#pragma once

#include <array>
#include <atomic>
#include <cstring>
#include <initializer_list>

#include "kernel/spec/virtio.hpp"
#include "kernel/spec/virtio_scsi.hpp"
#include "tests/bench/give_up.hpp"

namespace undercroft {

enum class VirtioProtocol : u8 { block, scsi };

class PolledRing {
public:
    static constexpr u32 io_bytes = 4096;
    static constexpr u16 ring_size = 256;
    static constexpr u32 depth_max = ring_size / 3;
    static constexpr u64 memory_bytes = 0x200000;
    // Where it lies in the guest's memory.
    static constexpr u64 descriptors_at = 0x1000;
    static constexpr u64 available_at = 0x3000;
    static constexpr u64 used_at = 0x4000;

    /// Clears `memory`, the first `memory_bytes` of a guest. `disk_bytes`: what is read and written of the disk.
    PolledRing(std::byte* memory, VirtioProtocol protocol, u64 disk_bytes)
        : memory_(memory), protocol_(protocol), blocks_(disk_bytes / io_bytes) {
        std::memset(memory_, 0, memory_bytes);
        put(available_at, Le<u16>(virtio::available_no_interrupt));
        for (u32 slot = 0; slot < depth_max && protocol_ == VirtioProtocol::scsi; ++slot) {
            put(header_of(slot), virtio::ScsiCommand{.lun = {.bytes = {1, 0, 0x40, 0}}, .tag = slot});
        }
    }

    /// Keeps `depth` requests under way (at most `depth_max`) until `requests` are done. `notify()` tells the device
    /// where it wants that; `wait()` is called as long as nothing has ended.
    void run(u64 requests, u32 depth, bool writes, auto&& notify, auto&& wait) {
        if (protocol_ == VirtioProtocol::scsi && block_bytes_ == 0) {
            find_block_size(notify, wait);
        }
        direct(depth, writes);
        u64 begun = 0;
        u64 ended = 0;
        for (; begun < depth && begun < requests; ++begun) {
            add(static_cast<u32>(begun));
        }
        publish(notify);
        for (u64 idle = 0; ended < requests;) {
            u16 used = load(used_at + virtio::ring_index_offset);
            if (used == seen_) {
                look_again(idle, wait);
                continue;
            }
            idle = 0;
            for (; seen_ != used; ++seen_, ++ended) {
                u32 slot = finish(seen_);
                if (begun < requests) {
                    add(slot);
                    ++begun;
                }
            }
            publish(notify);
        }
    }

private:
    static constexpr u64 headers_at = 0x10000;  // a header and an answer a slot
    static constexpr u64 slot_bytes = 256;
    static constexpr u64 answer_offset = 128;
    static constexpr u64 data_at = 0x40000;
    static constexpr u64 idle_max = 1'000'000'000;
    static constexpr u32 command_bytes = sizeof(virtio::ScsiCommand) + virtio::scsi_cdb_bytes_default;
    static constexpr u32 response_bytes = sizeof(virtio::ScsiCommandResponse) + virtio::scsi_sense_bytes_default;
    static_assert(command_bytes <= answer_offset && answer_offset + response_bytes <= slot_bytes);
    static_assert(data_at + u64{depth_max} * io_bytes <= memory_bytes);

    std::byte* at(u64 address) const { return memory_ + address; }
    static u64 header_of(u32 slot) { return headers_at + slot * slot_bytes; }
    static u64 cdb_of(u32 slot) { return header_of(slot) + sizeof(virtio::ScsiCommand); }
    u16 load(u64 address) const {
        return std::atomic_ref(*reinterpret_cast<u16*>(at(address))).load(std::memory_order_acquire);
    }
    template <typename T>
    void put(u64 address, const T& value) const {
        std::memcpy(at(address), &value, sizeof(value));
    }
    static void look_again(u64& idle, auto&& wait) {
        wait();
        if (++idle == idle_max) {
            give_up("the device has stopped answering");
        }
    }

    struct Part {
        u64 address;
        u32 bytes;
        bool writable;
    };
    void describe(u32 slot, std::initializer_list<Part> parts) const {
        u16 place = static_cast<u16>(slot * 3);
        usize left = parts.size();
        for (const Part& part : parts) {
            u16 more = --left > 0 ? virtio::descriptor_next : 0;
            u16 flags = static_cast<u16>(more | (part.writable ? virtio::descriptor_write : 0));
            put(descriptors_at + place * 16U, virtio::SplitDescriptor{.address = part.address,
                                                                      .length = part.bytes,
                                                                      .flags = flags,
                                                                      .next = static_cast<u16>(place + 1)});
            ++place;
        }
    }
    /// Says in every slot's descriptors what its requests are.
    void direct(u32 depth, bool writes) {
        for (u32 slot = 0; slot < depth; ++slot) {
            u64 header = header_of(slot);
            Part data{.address = data_at + u64{slot} * io_bytes, .bytes = io_bytes, .writable = !writes};
            if (protocol_ == VirtioProtocol::block) {
                auto type = writes ? virtio::BlockRequestType::out : virtio::BlockRequestType::in;
                put(header, Le<u32>(static_cast<u32>(type)));
                Part status{.address = header + answer_offset, .bytes = 1, .writable = true};
                describe(slot, {{header, sizeof(virtio::BlockRequestHeader), false}, data, status});
                continue;
            }
            put(cdb_of(slot), static_cast<u8>(writes ? 0x8a : 0x88));  // WRITE (16), READ (16)
            put(cdb_of(slot) + 10, Be<u32>(io_bytes / block_bytes_));
            Part command{.address = header, .bytes = command_bytes, .writable = false};
            Part response{.address = header + answer_offset, .bytes = response_bytes, .writable = true};
            if (writes) {
                describe(slot, {command, data, response});
            } else {
                describe(slot, {command, response, data});
            }
        }
    }
    void add(u32 slot) {
        state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
        u64 block = (state_ >> 33) % blocks_;
        if (protocol_ == VirtioProtocol::block) {
            put(header_of(slot) + offsetof(virtio::BlockRequestHeader, sector),
                Le<u64>(block * (io_bytes / virtio::block_sector_bytes)));
        } else {
            put(cdb_of(slot) + 2, Be<u64>(block * (io_bytes / block_bytes_)));
        }
        make_available(slot);
    }
    void make_available(u32 slot) {
        put(available_at + virtio::ring_entries_offset + (added_ % ring_size) * 2U,
            Le<u16>(static_cast<u16>(slot * 3)));
        ++added_;
    }
    void publish(auto&& notify) {
        if (added_ == published_) {
            return;
        }
        published_ = added_;
        std::atomic_ref(*reinterpret_cast<u16*>(at(available_at + virtio::ring_index_offset)))
            .store(added_, std::memory_order_release);
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if ((load(used_at + virtio::ring_flags_offset) & virtio::used_no_notify) == 0) {
            notify();
        }
    }
    /// The slot of the request that ended at `place` in the used ring.
    u32 finish(u16 place) const {
        virtio::UsedElement element;
        std::memcpy(&element, at(used_at + virtio::ring_entries_offset + (place % ring_size) * sizeof(element)),
                    sizeof(element));
        u32 slot = element.id / 3;
        if (slot >= depth_max || !went_well(slot)) {
            give_up("a request failed");
        }
        return slot;
    }
    bool went_well(u32 slot) const {
        const std::byte* answer = at(header_of(slot) + answer_offset);
        if (protocol_ == VirtioProtocol::block) {
            return answer[0] == std::byte{0};
        }
        virtio::ScsiCommandResponse response;
        std::memcpy(&response, answer, sizeof(response));
        return response.status == 0 && response.response == virtio::ScsiResponse::ok;
    }
    /// READ CAPACITY (10), again until the unit has told all that is new.
    void find_block_size(auto&& notify, auto&& wait) {
        constexpr int tries_max = 8;
        for (int tries = 0; tries < tries_max; ++tries) {
            put(cdb_of(0), std::array<std::byte, 16>{std::byte{0x25}});
            describe(0, {{header_of(0), command_bytes, false},
                         {header_of(0) + answer_offset, response_bytes, true},
                         {data_at, 8, true}});
            make_available(0);
            publish(notify);
            for (u64 idle = 0; load(used_at + virtio::ring_index_offset) == seen_;) {
                look_again(idle, wait);
            }
            ++seen_;
            if (went_well(0)) {
                Be<u32> size;
                std::memcpy(&size, at(data_at + 4), sizeof(size));
                block_bytes_ = size;
                put(cdb_of(0), std::array<std::byte, 16>{});
                return;
            }
        }
        give_up("the unit does not tell its size");
    }

    std::byte* memory_;
    VirtioProtocol protocol_;
    u64 blocks_;
    u32 block_bytes_ = 0;
    u16 added_ = 0;
    u16 published_ = 0;
    u16 seen_ = 0;
    u64 state_ = 1;
};

}  // namespace undercroft
