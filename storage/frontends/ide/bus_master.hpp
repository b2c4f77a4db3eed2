// One channel's bus master: its registers, and the table of memory regions that a transfer walks. Each entry of the
// table is read once, when the transfer comes to it. Not locked: the channel's lock is held around registers, and only
// one transfer walks at a time.
// Sources: Intel 82371AB data sheet section 6.5; SFF-8038i. Left out: regions that wrap at 64 KiB, which are followed
// straight on.
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "kernel/guest/memory.hpp"
#include "kernel/spec/ata.hpp"
#include "storage/disk.hpp"

namespace undercroft::ide {

/// Turns a region descriptor table into segments of guest memory, piece by piece.
class RegionWalker {
public:
    /// Segments of a piece at most, whatever the regions' sizes: also those of one sector in regions of two bytes.
    static constexpr usize segments_max = 2048 + 64;

    RegionWalker() = default;
    /// False where there is no memory for it.
    bool allocate();

    /// Begins at the table's first entry.
    void start(u32 table_address);
    /// The next bytes of the table's regions: at most `bytes_wanted`, a multiple of `unit` (a
    /// power of two, at most 4096). Fewer than wanted at the table's end; empty where less than a unit is left there.
    /// `out_of_range` where table or region is not guest RAM.
    Result<SegmentList> next(const GuestMemory& memory, u64 bytes_wanted, u32 unit);
    /// Whether every byte of the table was given out.
    bool is_used_up() const { return at_end_ && count_ == used_ && split_.size == 0; }

private:
    void append(std::span<std::byte> region);
    void drop_used();

    std::unique_ptr<MemorySegment[]> segments_;
    usize count_ = 0;  // of segments that hold regions
    usize used_ = 0;   // of those, given out by the last `next`
    u64 held_bytes_ = 0;
    u32 table_ = 0;
    u64 read_bytes_ = 0;  // of the table
    bool at_end_ = false;
    MemorySegment split_ = {nullptr, 0};  // what follows, in the same region, what was given out last
};

/// What a write to the command register asks of the channel.
enum class BusMasterEdge : u8 { none, start, stop };

class BusMaster {
public:
    u8 command() const { return command_; }
    u8 status() const { return status_; }
    u32 table() const { return table_; }

    BusMasterEdge write_command(u8 value);
    void write_status(u8 value);
    void write_table(u32 value, u32 mask);
    void reset();

    bool is_active() const { return (status_ & ata::bus_master_status_bit::active) != 0; }
    void note_interrupt() { status_ |= ata::bus_master_status_bit::interrupt; }
    /// The transfer is over; `is_used_up` says whether the table is too: if not, the master stays active until the
    /// guest stops it.
    void finish(bool is_used_up);
    /// The transfer cannot go on.
    void fail_transfer();

    /// Whether the guest started the master since this was asked last: then a walk begins at `table`.
    bool take_start() { return std::exchange(started_, false); }

private:
    u8 command_ = 0;
    u8 status_ = 0;
    u32 table_ = 0;
    bool started_ = false;
};

}  // namespace undercroft::ide
