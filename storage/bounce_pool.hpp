// Bounce memory: a fixed budget of pages that devices can reach, lent to layers that must see the data between guest
// and device (crypt), with waiting when it is used up. The composition root hands the memory in; nothing is allocated
// afterwards.
//
// Why many waiting requests cannot deadlock:
// - A layer takes the memory for one piece of a request, does the piece, gives the memory back, and only then asks for
//   the next: nobody holds and waits. Pieces of a request do not depend on each other, so a pool smaller than a request
//   only makes it take more pieces.
// - What a holder does wait for is the disk below, which ends within a bound (the contract of `Disk`). A layer below
//   that bounces as well must draw on another pool: the composition gives each depth of nesting its own.
// - A piece asks for at least `piece_pages` or what is left, if less, and never for more than the pool has; requests
//   are served strictly first come, first served, so a large one is not starved by small ones.
#pragma once

#include <vector>

#include "kernel/async/event.hpp"
#include "storage/disk.hpp"

namespace undercroft {

class BouncePool;

/// Gives the pool of the virtual processor that asks: pools belong to one executor each, and have no locks.
class BounceSource {
public:
    virtual ~BounceSource() = default;
    virtual BouncePool& pool() = 0;
};

/// Memory on loan from a pool; given back when it is destroyed, on the same executor. Contents are undefined.
class BounceLease {  // NOLINT(cppcoreguidelines-pro-type-member-init): see segments_
public:
    /// A lease is at most so many pieces of contiguous memory: it lives in coroutine frames.
    static constexpr usize segments_max = 32;

    BounceLease() = default;  // NOLINT(cppcoreguidelines-pro-type-member-init): see segments_
    BounceLease(const BounceLease&) = delete;
    BounceLease& operator=(const BounceLease&) = delete;
    ~BounceLease() { release(); }

    /// Each starts on a page boundary; each but the last is whole pages.
    SegmentList segments() const { return {segments_, count_}; }
    usize size_bytes() const { return size_bytes_; }
    /// Gives the memory back now.
    void release();

private:
    friend class BouncePool;
    BouncePool* pool_ = nullptr;
    usize count_ = 0;
    usize size_bytes_ = 0;
    // Not initialised: only the first `count_` are ever looked at, and this is on the path of every request.
    MemorySegment segments_[segments_max];  // NOLINT(cppcoreguidelines-pro-type-member-init)
};

class BouncePool final : public BounceSource {
public:
    /// Pages that a piece waits for at least, where the request and the pool are large enough: 128 KiB.
    static constexpr usize piece_pages = 32;
    static_assert(piece_pages <= BounceLease::segments_max, "so many single pages must fit into a lease");

    /// `memory`: page-aligned, whole pages, at least one; outlives the pool.
    explicit BouncePool(std::span<std::byte> memory);
    BouncePool(const BouncePool&) = delete;
    BouncePool& operator=(const BouncePool&) = delete;
    ~BouncePool() override;

    /// For compositions with one executor.
    BouncePool& pool() override { return *this; }

    /// Lends up to `bytes_wanted` (not 0) without waiting; false where that is not possible, or somebody waits already.
    /// `lease` must be empty.
    bool try_acquire(BounceLease& lease, u64 bytes_wanted);
    /// As `try_acquire`, but waits its turn. `cancelled` where `cancel` asked first.
    Task<Result<void>> acquire(BounceLease& lease, u64 bytes_wanted, CancelToken cancel);

    usize pages() const { return pages_; }
    usize free_pages() const { return free_pages_; }
    /// How often somebody had to wait: for `inspect`, and for choosing the budget.
    u64 wait_count() const { return wait_count_; }

private:
    friend class BounceLease;
    struct Request;
    usize pages_needed(u64 bytes_wanted) const;
    void take(BounceLease& lease, u64 bytes_wanted);
    void give_back(const BounceLease& lease);
    void grant_first();
    void unlink(Request& request);

    std::byte* memory_;
    usize pages_;
    usize free_pages_;
    std::vector<u64> free_;      // one bit a page; lowest first, so that the pages in use stay few and cached
    usize first_free_word_ = 0;  // no word before it has a bit set
    Request* first_ = nullptr;
    Request* last_ = nullptr;
    u64 wait_count_ = 0;
};

inline void BounceLease::release() {
    if (pool_ != nullptr) {
        pool_->give_back(*this);
        pool_ = nullptr;
        count_ = 0;
        size_bytes_ = 0;
    }
}

}  // namespace undercroft
