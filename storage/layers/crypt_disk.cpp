// The passes over the data: between the caller's segments, which may split sectors anywhere, and bounce memory, which
// never does.
#include "storage/layers/crypt_disk.hpp"

#include <algorithm>
#include <bit>
#include <new>

#include "storage/segments.hpp"

namespace undercroft {

namespace {

constexpr std::byte zero_page[page_size] = {};

static_assert(page_size % XtsCipher::unit_bytes_max == 0, "a bounce page holds whole sectors");

bool is_zero(const std::byte* bytes, usize size) {
    u64 first = 0;
    std::memcpy(&first, bytes, sizeof(first));
    return first == 0 && std::memcmp(bytes, zero_page, size) == 0;
}

}  // namespace

DiskResult<std::shared_ptr<CryptDisk>>
CryptDisk::create(Disk below, std::span<const std::byte, XtsCipher::key_bytes> key, BounceSource& bounce) {
    if (below.sector_size() > XtsCipher::unit_bytes_max) {
        return fail(DiskError::invalid_input);
    }
    Result<XtsCipher> cipher = XtsCipher::create(key);
    if (!cipher) {
        return fail(cipher.error() == Error::invalid_argument ? DiskError::invalid_input : DiskError::io);
    }
    return std::shared_ptr<CryptDisk>(new CryptDisk(std::move(below), std::move(*cipher), bounce));
}

CryptDisk::CryptDisk(Disk below, XtsCipher cipher, BounceSource& bounce)
    : below_(std::move(below)), cipher_(std::move(cipher)), bounce_(bounce), sector_size_(below_.sector_size()),
      sector_shift_(static_cast<u32>(std::countr_zero(sector_size_))), knows_holes_(below_.facts().knows_holes) {}

DiskFacts CryptDisk::facts() const {
    DiskFacts facts = below_.facts();
    if (facts.unmap == UnmapBehavior::zeroes && !knows_holes_) {
        facts.unmap = UnmapBehavior::unspecified;
    }
    return facts;
}

bool CryptDisk::is_hole(const std::byte* ciphertext) const { return knows_holes_ && is_zero(ciphertext, sector_size_); }

void CryptDisk::decrypt_run(u64 sector, std::span<const std::byte> from, std::byte* into) const {
    if (!knows_holes_) {
        cipher_.decrypt(sector, sector_size_, from, {into, from.size()});
        return;
    }
    usize done = 0;
    while (done < from.size()) {
        usize end = done;
        bool hole = is_hole(from.data() + end);
        do {
            end += sector_size_;
        } while (end < from.size() && is_hole(from.data() + end) == hole);
        if (hole) {
            std::memset(into + done, 0, end - done);
        } else {
            cipher_.decrypt(sector + (done >> sector_shift_), sector_size_, from.subspan(done, end - done),
                            {into + done, end - done});
        }
        done = end;
    }
}

[[gnu::noinline]] void CryptDisk::decrypt_split_sector(u64 sector, const std::byte* from, SegmentCursor& into) const {
    alignas(64) std::byte staging[XtsCipher::unit_bytes_max];
    decrypt_run(sector, {from, sector_size_}, staging);
    into.copy_in({staging, sector_size_});
}

[[gnu::noinline]] void CryptDisk::encrypt_split_sector(u64 sector, SegmentCursor& from, std::byte* into) const {
    alignas(64) std::byte staging[XtsCipher::unit_bytes_max];
    from.copy_out({staging, sector_size_});
    cipher_.encrypt(sector, sector_size_, {staging, sector_size_}, {into, sector_size_});
}

void CryptDisk::decrypt_piece(u64 sector, SegmentList from, SegmentCursor& into) const {
    for (MemorySegment segment : from) {
        while (segment.size > 0) {
            usize run = align_down(std::min(segment.size, into.contiguous().size()), sector_size_);
            if (run > 0) {
                decrypt_run(sector, {segment.data, run}, into.contiguous().data());
                into.advance(run);
            } else {
                run = sector_size_;
                decrypt_split_sector(sector, segment.data, into);
            }
            segment = {.data = segment.data + run, .size = segment.size - run};
            sector += run >> sector_shift_;
        }
    }
}

void CryptDisk::encrypt_piece(u64 sector, SegmentCursor& from, SegmentList into) const {
    for (MemorySegment segment : into) {
        while (segment.size > 0) {
            usize run = align_down(std::min(segment.size, from.contiguous().size()), sector_size_);
            if (run > 0) {
                cipher_.encrypt(sector, sector_size_, from.contiguous().first(run), {segment.data, run});
                from.advance(run);
            } else {
                run = sector_size_;
                encrypt_split_sector(sector, from, segment.data);
            }
            segment = {.data = segment.data + run, .size = segment.size - run};
            sector += run >> sector_shift_;
        }
    }
}

Task<DiskResult<void>> CryptDisk::read(u64 sector, SegmentList into, CancelToken cancel) {
    SegmentCursor cursor(into);
    u64 remaining = total_bytes(into);
    while (remaining > 0) {
        if (knows_holes_) {
            SectorRange range{.start = sector, .count = remaining >> sector_shift_};
            BlockStatus status = CO_TRY(co_await below_.block_status(range, cancel));
            if (status.state == BlockState::zero) {
                u64 sectors = std::min(status.sectors, range.count);
                if (sectors == 0) {
                    co_return fail(DiskError::io);  // it must say something of the first sector
                }
                cursor.fill_zero(sectors << sector_shift_);
                sector += sectors;
                remaining -= sectors << sector_shift_;
                continue;
            }
            // Holes further on need no look: they are found below.
        }
        BounceLease lease;
        BouncePool& pool = bounce_.pool();
        if (!pool.try_acquire(lease, remaining) && !co_await pool.acquire(lease, remaining, cancel)) {
            co_return fail(DiskError::cancelled);
        }
        CO_TRY(co_await below_.read(sector, lease.segments(), cancel));
        decrypt_piece(sector, lease.segments(), cursor);
        sector += lease.size_bytes() >> sector_shift_;
        remaining -= lease.size_bytes();
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> CryptDisk::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    SegmentCursor cursor(from);
    u64 remaining = total_bytes(from);
    while (remaining > 0) {
        BounceLease lease;
        BouncePool& pool = bounce_.pool();
        if (!pool.try_acquire(lease, remaining) && !co_await pool.acquire(lease, remaining, cancel)) {
            co_return fail(DiskError::cancelled);
        }
        encrypt_piece(sector, cursor, lease.segments());
        CO_TRY(co_await below_.write(sector, lease.segments(), fua, cancel));
        sector += lease.size_bytes() >> sector_shift_;
        remaining -= lease.size_bytes();
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> CryptDisk::write_encrypted_zeroes(SectorRange range, ForceUnitAccess fua, CancelToken cancel) {
    u64 sector = range.start;
    u64 remaining = range.count << sector_shift_;
    while (remaining > 0) {
        if (cancel.is_cancelled()) {
            co_return fail(DiskError::cancelled);
        }
        BounceLease lease;
        u64 wanted = std::min<u64>(remaining, BouncePool::piece_pages * page_size);
        BouncePool& pool = bounce_.pool();
        if (!pool.try_acquire(lease, wanted) && !co_await pool.acquire(lease, wanted, cancel)) {
            co_return fail(DiskError::cancelled);
        }
        u64 unit = sector;
        for (const MemorySegment& segment : lease.segments()) {
            for (usize done = 0; done < segment.size;) {
                usize size = std::min(segment.size - done, page_size);
                cipher_.encrypt(unit, sector_size_, {zero_page, size}, {segment.data + done, size});
                unit += size >> sector_shift_;
                done += size;
            }
        }
        CO_TRY(co_await below_.write(sector, lease.segments(), fua, cancel));
        sector = unit;
        remaining -= lease.size_bytes();
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> CryptDisk::unmap_durably(SectorRange range, CancelToken cancel) {
    CO_TRY(co_await below_.unmap(range, cancel));
    co_return co_await below_.flush(cancel);
}

Task<DiskResult<void>> CryptDisk::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                               CancelToken cancel) {
    if (!allow_unmap || !knows_holes_) {
        return write_encrypted_zeroes(range, fua, cancel);
    }
    return fua == ForceUnitAccess::yes ? unmap_durably(range, cancel) : below_.unmap(range, cancel);
}

Task<DiskResult<BlockStatus>> CryptDisk::data_or_unknown(SectorRange range, CancelToken cancel) {
    BlockStatus status = CO_TRY(co_await below_.block_status(range, cancel));
    if (status.state == BlockState::zero) {
        status.state = BlockState::data;  // zeros below are not zeros here
    }
    co_return status;
}

Task<DiskResult<BlockStatus>> CryptDisk::block_status(SectorRange range, CancelToken cancel) {
    return knows_holes_ ? below_.block_status(range, cancel) : data_or_unknown(range, cancel);
}

Task<DiskResult<void>> CryptDisk::flush(CancelToken cancel) { return below_.flush(cancel); }

Task<DiskResult<void>> CryptDisk::unmap(SectorRange range, CancelToken cancel) { return below_.unmap(range, cancel); }

Task<DiskResult<void>> CryptDisk::eject() { return below_.eject(); }

Task<DiskResult<u64>> CryptDisk::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    return below_.wait_for_resize(known_sectors, cancel);
}

}  // namespace undercroft
