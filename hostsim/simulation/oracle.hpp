// What every sector may hold. Told when each operation on a disk begins and ends and how, it says whether what was read
// can be right, while operations run and after the power was lost.
//
// The rules, per sector; storage/disk.hpp is where they come from:
// - A write that succeeded replaces what was written before it began. Writes that overlap in time have no order until
//   somebody reads.
// - A write that failed may have happened or not. It replaces nothing for certain.
// - What a read found stays, until something is written that had not ended when the read began: no going back.
// - After a power loss a sector holds the newest that is durable (written with FUA, or before a flush that succeeded),
//   or anything that is not older than that. What is found then is what the sector holds.
// - Zeros are written by `write_zeroes`, and by `unmap` where the disk says so. Where unmapping is `unspecified` a sector
//   reads as zeros, as it was, or as bytes that nobody wrote; but always alike.
// - A sector that went with a smaller size holds what a sector holds that was never written.
#pragma once

#include <string>
#include <vector>

#include "hostsim/simulation/contents.hpp"

namespace undercroft::simulation {

/// What a sector holds that nobody wrote.
enum class Unwritten : u8 { zeros, unspecified };

class SectorOracle {
public:
    /// All of `sectors` are unwritten.
    SectorOracle(u64 sectors, Unwritten unwritten);

    u64 sector_count() const { return sectors_.size(); }
    /// A moment: what begins or ends now.
    u64 now() { return ++clock_; }

    /// Names one operation that changes sectors, from `begin_write` to `end_write`.
    using WriteId = u64;
    /// An operation begins that makes each sector of the range hold `contents`.
    WriteId begin_write(u64 sector, u64 count, Contents contents);
    /// As `begin_write`, for an unmap whose outcome is unspecified.
    WriteId begin_unspecified(u64 sector, u64 count);
    /// It has ended. `durable`: it succeeded, and with FUA that the disk respects.
    void end_write(WriteId id, u64 sector, u64 count, bool succeeded, bool durable);
    /// A flush that began at `began` has succeeded.
    void flushed(u64 began) { flushed_ = began > flushed_ ? began : flushed_; }

    /// A read begins, until `end_read` with what this gives.
    u64 begin_read();
    void end_read(u64 began);
    /// Whether `contents` can be what a read that began at `began` and ends now has found in `sector`. If so, what it
    /// rules out is remembered.
    bool check_read(u64 sector, Contents contents, u64 began);
    /// Whether `contents` can be what is found in `sector` after a power loss.
    bool may_settle(u64 sector, Contents contents) const;
    /// `contents` was found in `sector` after a power loss: from now on that is what it holds.
    void settle(u64 sector, Contents contents);
    /// Whether `sector` was never written, and is not being written now.
    bool is_unwritten(u64 sector) const;

    /// The disk lost all it had: RAM.
    void forget_all();
    /// As `forget_all`; from now on sectors that nobody wrote are `unwritten`.
    void forget_all(Unwritten unwritten) {
        unwritten_ = unwritten;
        forget_all();
    }
    /// Sectors from `first` up to `end` went away, at once and durably, with a smaller size.
    void dropped(u64 first, u64 end);

    /// What `sector` may hold, for people.
    std::string describe(u64 sector) const;

private:
    static constexpr u64 still_running = ~u64{0};
    struct Write {
        WriteId id = 0;
        Contents contents = zeros;
        u64 began = 0;
        u64 ended = still_running;
        bool unspecified = false;
        bool learned = false;  ///< unspecified, and `contents` is what was found
        bool succeeded = false;
        bool durable = false;
        u64 overwritten = still_running;  ///< when a read had found something newer
    };
    struct Sector {
        std::vector<Write> history;  // by `began`
    };

    WriteId begin(u64 sector, u64 count, Contents contents, bool unspecified);
    Write unwritten();
    static bool matches(const Write& write, Contents contents);
    bool is_durable(const Write& write) const;
    bool is_replaced(const Sector& sector, const Write& write, u64 before) const;
    void prune(Sector& sector);

    std::vector<u64> reads_;  // that run, by when they began
    std::vector<Sector> sectors_;
    Unwritten unwritten_;
    u64 clock_ = 0;
    u64 flushed_ = 0;
    WriteId last_id_ = 0;
};

/// `contents`, for people.
std::string to_string(Contents contents);

}  // namespace undercroft::simulation
