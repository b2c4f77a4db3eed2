// The handle's checks. No function here is a coroutine: what passes is forwarded as the implementation's own task, so a
// handle costs a few compares and two virtual calls, and no frame.
#include "storage/disk.hpp"

#include <bit>
#include <cstring>
#include <new>

#include "storage/segments.hpp"

namespace undercroft {

namespace {

template <typename T>
Task<DiskResult<T>> refuse(DiskError error) {
    return Task<DiskResult<T>>::ready(DiskResult<T>(fail(error)));
}

bool facts_are_sound(const DiskFacts& facts) {
    return facts.sector_size >= 512 && std::has_single_bit(facts.sector_size) &&
           facts.physical_sector_size >= facts.sector_size && std::has_single_bit(facts.physical_sector_size) &&
           facts.optimal_unmap_sectors >= 1 && (!facts.knows_holes || facts.unmap == UnmapBehavior::zeroes);
}

/// Where `expected`, which goes on, first differs from `bytes`.
std::optional<usize> first_difference(std::span<const std::byte> bytes, SegmentCursor& expected) {
    usize done = 0;
    while (done < bytes.size()) {
        std::span<const std::byte> piece = expected.contiguous();
        piece = piece.first(std::min(piece.size(), bytes.size() - done));
        if (std::memcmp(bytes.data() + done, piece.data(), piece.size()) != 0) {
            auto [here, there] = std::mismatch(piece.begin(), piece.end(), bytes.data() + done);
            if (here != piece.end()) {  // else a guest has changed its memory since
                return done + static_cast<usize>(here - piece.begin());
            }
        }
        done += piece.size();
        expected.advance(piece.size());
    }
    return std::nullopt;
}

}  // namespace

u64 total_bytes(SegmentList segments) {
    u64 total = 0;
    for (const MemorySegment& segment : segments) {
        total += segment.size;
    }
    return total;
}

Task<DiskResult<Comparison>> DiskInterface::compare(u64 sector, SegmentList with, CancelToken cancel) {
    u32 sector_size = facts().sector_size;
    u64 total = total_bytes(with);
    u64 piece_max = std::min(total, std::max<u64>(compare_piece_bytes, sector_size));
    std::unique_ptr<std::byte[]> memory(new (std::nothrow) std::byte[piece_max]);
    if (memory == nullptr) {
        co_return fail(DiskError::io);
    }
    SegmentCursor expected(with);
    for (u64 done = 0; done < total;) {
        MemorySegment piece{.data = memory.get(), .size = static_cast<usize>(std::min(piece_max, total - done))};
        CO_TRY(co_await read(sector + done / sector_size, {&piece, 1}, cancel));
        if (std::optional<usize> difference = first_difference({piece.data, piece.size}, expected)) {
            co_return Comparison{.equal = false, .first_difference_bytes = done + *difference};
        }
        done += piece.size;
    }
    co_return Comparison{};
}

DiskResult<Disk> Disk::create(std::shared_ptr<DiskInterface> implementation) {
    if (implementation == nullptr) {
        return fail(DiskError::invalid_input);
    }
    DiskFacts facts = implementation->facts();
    if (!facts_are_sound(facts) || implementation->sector_count() > (u64{1} << 63) / facts.sector_size - 1) {
        return fail(DiskError::invalid_input);
    }
    return Disk(std::move(implementation), std::make_shared<const DiskFacts>(facts));
}

std::optional<DiskError> Disk::check_range(u64 sector, u64 count) const {
    u64 size = sector_count();
    if (sector > size || count > size - sector) [[unlikely]] {
        return DiskError::illegal_block;
    }
    return std::nullopt;
}

std::optional<DiskError> Disk::check_buffer(u64 sector, SegmentList segments) const {
    u64 bytes = total_bytes(segments);
    if (!is_aligned(bytes, facts_->sector_size)) [[unlikely]] {
        return DiskError::invalid_input;
    }
    return check_range(sector, bytes >> std::countr_zero(facts_->sector_size));
}

Task<DiskResult<void>> Disk::read(u64 sector, SegmentList into, CancelToken cancel) const {
    if (auto error = check_buffer(sector, into)) [[unlikely]] {
        return refuse<void>(*error);
    }
    if (into.empty()) [[unlikely]] {
        return Task<DiskResult<void>>::ready({});
    }
    return implementation_->read(sector, into, cancel);
}

Task<DiskResult<void>> Disk::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) const {
    if (facts_->read_only) [[unlikely]] {
        return refuse<void>(DiskError::read_only);
    }
    if (auto error = check_buffer(sector, from)) [[unlikely]] {
        return refuse<void>(*error);
    }
    if (from.empty()) [[unlikely]] {
        return Task<DiskResult<void>>::ready({});
    }
    return implementation_->write(sector, from, fua, cancel);
}

Task<DiskResult<void>> Disk::flush(CancelToken cancel) const { return implementation_->flush(cancel); }

Task<DiskResult<void>> Disk::unmap(SectorRange range, CancelToken cancel) const {
    if (facts_->read_only) [[unlikely]] {
        return refuse<void>(DiskError::read_only);
    }
    if (auto error = check_range(range.start, range.count)) [[unlikely]] {
        return refuse<void>(*error);
    }
    if (range.count == 0) {
        return Task<DiskResult<void>>::ready({});
    }
    return implementation_->unmap(range, cancel);
}

Task<DiskResult<void>> Disk::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                          CancelToken cancel) const {
    if (facts_->read_only) [[unlikely]] {
        return refuse<void>(DiskError::read_only);
    }
    if (auto error = check_range(range.start, range.count)) [[unlikely]] {
        return refuse<void>(*error);
    }
    if (range.count == 0) {
        return Task<DiskResult<void>>::ready({});
    }
    return implementation_->write_zeroes(range, allow_unmap, fua, cancel);
}

Task<DiskResult<BlockStatus>> Disk::block_status(SectorRange range, CancelToken cancel) const {
    if (auto error = check_range(range.start, range.count)) [[unlikely]] {
        return refuse<BlockStatus>(*error);
    }
    if (range.count == 0) {
        return Task<DiskResult<BlockStatus>>::ready(BlockStatus{.sectors = 0, .state = BlockState::unknown});
    }
    return implementation_->block_status(range, cancel);
}

Task<DiskResult<void>> Disk::eject() const { return implementation_->eject(); }

Task<DiskResult<u64>> Disk::wait_for_resize(u64 known_sectors, CancelToken cancel) const {
    return implementation_->wait_for_resize(known_sectors, cancel);
}

Task<DiskResult<Comparison>> Disk::compare(u64 sector, SegmentList with, CancelToken cancel) const {
    if (auto error = check_buffer(sector, with)) [[unlikely]] {
        return refuse<Comparison>(*error);
    }
    if (with.empty()) [[unlikely]] {
        return Task<DiskResult<Comparison>>::ready(Comparison{});
    }
    return implementation_->compare(sector, with, cancel);
}

}  // namespace undercroft
