// The page bitmap and the queue of those who wait.
#include "storage/bounce_pool.hpp"

#include <algorithm>
#include <bit>

namespace undercroft {

// Somebody who waits, in the frame of `acquire`. Only the first is ever granted, and takes its pages itself when it
// runs; until then nobody else may.
struct BouncePool::Request {
    usize pages_needed;
    Event granted;
    Request* previous = nullptr;
    Request* next = nullptr;
};

BouncePool::BouncePool(std::span<std::byte> memory)
    : memory_(memory.data()), pages_(memory.size() / page_size), free_pages_(pages_),
      free_((pages_ + 63) / 64, ~u64{0}) {
    ASSERT(pages_ > 0 && memory.size() % page_size == 0);
    ASSERT(is_aligned(reinterpret_cast<std::uintptr_t>(memory_), page_size));
    if (pages_ % 64 != 0) {
        free_.back() = (u64{1} << pages_ % 64) - 1;
    }
}

BouncePool::~BouncePool() { ASSERT(free_pages_ == pages_ && first_ == nullptr); }

usize BouncePool::pages_needed(u64 bytes_wanted) const {
    u64 whole = (bytes_wanted + page_size - 1) / page_size;
    return static_cast<usize>(std::min<u64>({whole, piece_pages, pages_}));
}

bool BouncePool::try_acquire(BounceLease& lease, u64 bytes_wanted) {
    if (first_ != nullptr || free_pages_ < pages_needed(bytes_wanted)) {
        return false;
    }
    take(lease, bytes_wanted);
    return true;
}

Task<Result<void>> BouncePool::acquire(BounceLease& lease, u64 bytes_wanted, CancelToken cancel) {
    if (try_acquire(lease, bytes_wanted)) {
        co_return Result<void>{};
    }
    ++wait_count_;
    Request request{.pages_needed = pages_needed(bytes_wanted), .granted = {}};
    request.previous = last_;
    (last_ != nullptr ? last_->next : first_) = &request;
    last_ = &request;
    Result<void> outcome = co_await request.granted.wait({.cancel = cancel});
    unlink(request);
    if (outcome) {
        take(lease, bytes_wanted);
    }
    grant_first();
    co_return outcome;
}

void BouncePool::take(BounceLease& lease, u64 bytes_wanted) {
    ASSERT(lease.pool_ == nullptr && bytes_wanted > 0);
    lease.pool_ = this;
    u64 missing = bytes_wanted;
    std::byte* end = nullptr;  // of the last segment
    usize word_index = first_free_word_;
    while (missing > 0 && word_index < free_.size()) {
        u64& word = free_[word_index];
        if (word == 0) {
            ++word_index;
            continue;
        }
        usize bit = static_cast<usize>(std::countr_zero(word));
        std::byte* page = memory_ + (word_index * 64 + bit) * page_size;
        usize size = static_cast<usize>(std::min<u64>(missing, page_size));
        if (page == end) {
            lease.segments_[lease.count_ - 1].size += size;
        } else if (lease.count_ < BounceLease::segments_max) {
            lease.segments_[lease.count_++] = {.data = page, .size = size};
        } else {
            break;
        }
        word &= word - 1;
        --free_pages_;
        end = page + page_size;
        missing -= size;
    }
    first_free_word_ = word_index;
    lease.size_bytes_ = static_cast<usize>(bytes_wanted - missing);
}

void BouncePool::give_back(const BounceLease& lease) {
    for (const MemorySegment& segment : lease.segments()) {
        usize first = static_cast<usize>(segment.data - memory_) / page_size;
        usize end = first + (segment.size + page_size - 1) / page_size;
        first_free_word_ = std::min(first_free_word_, first / 64);
        free_pages_ += end - first;
        for (usize page = first; page < end; ++page) {
            free_[page / 64] |= u64{1} << page % 64;
        }
    }
    grant_first();
}

void BouncePool::grant_first() {
    if (first_ != nullptr && !first_->granted.is_set() && free_pages_ >= first_->pages_needed) {
        first_->granted.set();
    }
}

void BouncePool::unlink(Request& request) {
    (request.previous != nullptr ? request.previous->next : first_) = request.next;
    (request.next != nullptr ? request.next->previous : last_) = request.previous;
}

}  // namespace undercroft
