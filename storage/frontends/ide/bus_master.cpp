// Registers and the walk.
#include "storage/frontends/ide/bus_master.hpp"

#include <algorithm>
#include <new>

#include "kernel/base/assert.hpp"

namespace undercroft::ide {

namespace {
constexpr u64 region_bytes_max = 64 * kib;
}

bool RegionWalker::allocate() {
    segments_.reset(new (std::nothrow) MemorySegment[segments_max]);
    return segments_ != nullptr;
}

void RegionWalker::start(u32 table_address) {
    table_ = table_address & ~u32{3};
    count_ = used_ = 0;
    held_bytes_ = read_bytes_ = 0;
    at_end_ = false;
    split_ = {nullptr, 0};
}

void RegionWalker::append(std::span<std::byte> region) {
    held_bytes_ += region.size();
    if (count_ > 0) {
        MemorySegment& last = segments_[count_ - 1];
        if (last.data + last.size == region.data()) {
            last.size += region.size();
            return;
        }
    }
    segments_[count_++] = {region.data(), region.size()};
}

/// Moves what was not given out to the front.
void RegionWalker::drop_used() {
    usize kept = 0;
    if (split_.size > 0) {
        segments_[kept++] = split_;
        split_ = {nullptr, 0};
    }
    for (usize index = used_; index < count_; ++index) {
        segments_[kept++] = segments_[index];
    }
    count_ = kept;
    used_ = 0;
}

Result<SegmentList> RegionWalker::next(const GuestMemory& memory, u64 bytes_wanted, u32 unit) {
    drop_used();
    while (held_bytes_ < bytes_wanted && !at_end_ && count_ < segments_max) {
        if (read_bytes_ == ata::region_table_bytes_max) {
            at_end_ = true;
            break;
        }
        auto entry = TRY(memory.read_value<ata::RegionDescriptor>(u64{table_} + read_bytes_));
        read_bytes_ += sizeof(entry);
        u64 bytes = entry.bytes & ~u32{1};
        bytes = bytes == 0 ? region_bytes_max : bytes;
        at_end_ = (entry.flags & ata::RegionDescriptor::end_of_table) != 0;
        append(TRY(memory.resolve(entry.address & ~u32{1}, bytes)));
    }
    u64 given = align_down(std::min(bytes_wanted, held_bytes_), unit);
    held_bytes_ -= given;
    u64 left = given;
    while (left > 0) {
        MemorySegment& segment = segments_[used_++];
        if (segment.size > left) {
            split_ = {segment.data + left, static_cast<usize>(segment.size - left)};
            segment.size = static_cast<usize>(left);
        }
        left -= segment.size;
    }
    return SegmentList(segments_.get(), used_);
}

BusMasterEdge BusMaster::write_command(u8 value) {
    bool was_started = (command_ & ata::bus_master_command_bit::start) != 0;
    bool is_started = (value & ata::bus_master_command_bit::start) != 0;
    command_ = value & (ata::bus_master_command_bit::start | ata::bus_master_command_bit::to_memory);
    if (is_started && !was_started) {
        status_ |= ata::bus_master_status_bit::active;
        started_ = true;
        return BusMasterEdge::start;
    }
    if (!is_started && was_started) {
        status_ &= static_cast<u8>(~ata::bus_master_status_bit::active);
        return BusMasterEdge::stop;
    }
    return BusMasterEdge::none;
}

void BusMaster::write_status(u8 value) {
    constexpr u8 cleared_by_one = ata::bus_master_status_bit::error | ata::bus_master_status_bit::interrupt;
    status_ &= static_cast<u8>(~(value & cleared_by_one));
    status_ = static_cast<u8>((status_ & ~ata::bus_master_status_bit::drive_capable) |
                              (value & ata::bus_master_status_bit::drive_capable));
}

void BusMaster::write_table(u32 value, u32 mask) { table_ = ((table_ & ~mask) | (value & mask)) & ~u32{3}; }

void BusMaster::reset() {
    command_ = status_ = 0;
    table_ = 0;
    started_ = false;
}

void BusMaster::finish(bool is_used_up) {
    if (is_used_up) {
        status_ &= static_cast<u8>(~ata::bus_master_status_bit::active);
    }
}

void BusMaster::fail_transfer() {
    status_ &= static_cast<u8>(~ata::bus_master_status_bit::active);
    status_ |= ata::bus_master_status_bit::error;
}

}  // namespace undercroft::ide
