// StripedDisk: the arithmetic of chunks, and the walk over them.
#include "storage/layers/striped_disk.hpp"

#include <bit>

#include "kernel/async/task_group.hpp"
#include "storage/fan_out.hpp"
#include "storage/segments.hpp"

namespace undercroft {

namespace {

/// Chunks of one operation that are under way together: a bound on the frames that one request can take.
constexpr usize chunks_in_flight_max = 64;

UnmapBehavior weaker(UnmapBehavior left, UnmapBehavior right) {
    return left == right ? left : UnmapBehavior::unspecified;
}

DiskFacts combined_facts(std::span<const Disk> members, u64 chunk_sectors) {
    DiskFacts facts = members[0].facts();
    facts.id = std::nullopt;
    for (const Disk& member : members.subspan(1)) {
        const DiskFacts& other = member.facts();
        facts.physical_sector_size = std::max(facts.physical_sector_size, other.physical_sector_size);
        facts.fua_respected = facts.fua_respected && other.fua_respected;
        facts.unmap = weaker(facts.unmap, other.unmap);
        facts.optimal_unmap_sectors = std::max(facts.optimal_unmap_sectors, other.optimal_unmap_sectors);
        facts.knows_holes = facts.knows_holes && other.knows_holes;
    }
    if (chunk_sectors % facts.optimal_unmap_sectors != 0) {
        u64 across = u64{facts.optimal_unmap_sectors} * members.size();
        facts.optimal_unmap_sectors = static_cast<u32>(std::min<u64>(across, ~u32{0}));
    }
    return facts;
}

/// Why member `index` does not go with the first; empty where it does.
std::string misfit(std::span<const Disk> members, usize index) {
    const Disk& first = members[0];
    const Disk& member = members[index];
    std::string who = "member " + in_digits(index + 1) + " ";
    if (member.sector_size() != first.sector_size()) {
        return who + "has sectors of " + in_digits(member.sector_size()) + " bytes, and the first of " +
               in_digits(first.sector_size());
    }
    if (member.sector_count() != first.sector_count()) {
        return who + "has " + in_digits(member.sector_count()) + " sectors, and the first " +
               in_digits(first.sector_count());
    }
    if (member.facts().read_only != first.facts().read_only) {
        return who + (member.facts().read_only ? "is read-only, and the first is not"
                                               : "can be written, and the first is read-only");
    }
    return {};
}

}  // namespace

// Where a sector lies.
struct StripedDisk::Place {
    usize member;
    u64 sector;  // on the member
    u64 left;    // sectors to the end of the chunk, this one included
};

// What all chunks of one read or write share, and where the present one starts.
struct StripedDisk::Transfer {
    Direction direction;
    ForceUnitAccess fua;
    CancelToken cancel;
    u64 sector;
    u64 count;
    SegmentCursor memory;
};

Composition<std::shared_ptr<StripedDisk>> StripedDisk::create(std::vector<Disk> members, u64 chunk_bytes) {
    if (members.size() < members_min || members.size() > members_max) {
        return refused("a striped disk has " + in_digits(members_min) + " to " + in_digits(members_max) +
                       " members, not " + in_digits(members.size()));
    }
    for (usize index = 1; index < members.size(); ++index) {
        if (std::string reason = misfit(members, index); !reason.empty()) {
            return refused(std::move(reason));
        }
    }
    u64 unit = members[0].facts().physical_sector_size;
    for (const Disk& member : members) {
        unit = std::max<u64>(unit, member.facts().physical_sector_size);
    }
    if (chunk_bytes == 0 || chunk_bytes % unit != 0) {
        return refused("the chunk size of " + in_digits(chunk_bytes) +
                       " bytes is no multiple of the members' physical sectors of " + in_digits(unit));
    }
    u64 chunk_sectors = chunk_bytes / members[0].sector_size();
    if (members[0].sector_count() < chunk_sectors) {
        return refused("the members, of " + in_digits(members[0].sector_count()) +
                       " sectors, are smaller than one chunk of " + in_digits(chunk_sectors));
    }
    return std::shared_ptr<StripedDisk>(new StripedDisk(std::move(members), chunk_sectors));
}

StripedDisk::StripedDisk(std::vector<Disk> members, u64 chunk_sectors)
    : members_(std::move(members)), chunk_sectors_(chunk_sectors),
      sector_shift_(static_cast<u32>(std::countr_zero(members_[0].sector_size()))),
      facts_(combined_facts(members_, chunk_sectors)) {}

u64 StripedDisk::sector_count() const {
    u64 smallest = members_[0].sector_count();
    for (const Disk& member : std::span(members_).subspan(1)) {
        smallest = std::min(smallest, member.sector_count());
    }
    return smallest / chunk_sectors_ * chunk_sectors_ * members_.size();
}

StripedDisk::Place StripedDisk::place_of(u64 sector) const {
    u64 chunk = sector / chunk_sectors_;
    u64 within = sector % chunk_sectors_;
    return {.member = static_cast<usize>(chunk % members_.size()),
            .sector = chunk / members_.size() * chunk_sectors_ + within,
            .left = chunk_sectors_ - within};
}

u64 StripedDisk::sector_of(usize member, u64 member_sector) const {
    return (member_sector / chunk_sectors_ * members_.size() + member) * chunk_sectors_ +
           member_sector % chunk_sectors_;
}

// The chunks that a range has on one member lie side by side there.
SectorRange StripedDisk::member_range(usize member, SectorRange range) const {
    u64 members = members_.size();
    u64 last = range.start + range.count - 1;
    u64 first_chunk = range.start / chunk_sectors_;
    u64 last_chunk = last / chunk_sectors_;
    u64 first_here = first_chunk + (member + members - first_chunk % members) % members;
    if (first_here > last_chunk) {
        return {.start = 0, .count = 0};
    }
    u64 last_here = last_chunk - (last_chunk % members + members - member) % members;
    u64 start = first_here / members * chunk_sectors_ + (first_here == first_chunk ? range.start % chunk_sectors_ : 0);
    u64 end =
        last_here / members * chunk_sectors_ + (last_here == last_chunk ? last % chunk_sectors_ + 1 : chunk_sectors_);
    return {.start = start, .count = end - start};
}

Task<DiskResult<void>> StripedDisk::read(u64 sector, SegmentList into, CancelToken cancel) {
    u64 count = total_bytes(into) >> sector_shift_;
    Place place = place_of(sector);
    if (count <= place.left) [[likely]] {
        return members_[place.member].read(place.sector, into, cancel);
    }
    return transfer_chunks({.direction = Direction::read,
                            .fua = ForceUnitAccess::no,
                            .cancel = cancel,
                            .sector = sector,
                            .count = count,
                            .memory = SegmentCursor(into)});
}

Task<DiskResult<void>> StripedDisk::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    u64 count = total_bytes(from) >> sector_shift_;
    Place place = place_of(sector);
    if (count <= place.left) [[likely]] {
        return members_[place.member].write(place.sector, from, fua, cancel);
    }
    return transfer_chunks({.direction = Direction::write,
                            .fua = fua,
                            .cancel = cancel,
                            .sector = sector,
                            .count = count,
                            .memory = SegmentCursor(from)});
}

Task<DiskResult<void>> StripedDisk::transfer_chunks(Transfer transfer) {
    u64 end = transfer.sector + transfer.count;
    DiskResult<void> result;
    while (transfer.sector < end && result) {
        FanOut chunks;
        while (transfer.sector < end && chunks.running() < chunks_in_flight_max && !chunks.has_failed()) {
            transfer.count = std::min(end - transfer.sector, place_of(transfer.sector).left);
            chunks.add(transfer_chunk(transfer));
            transfer.memory.skip(transfer.count << sector_shift_);
            transfer.sector += transfer.count;
        }
        result = co_await chunks.finish();
    }
    co_return result;
}

Task<DiskResult<void>> StripedDisk::transfer_chunk(Transfer transfer) {
    SegmentSlice slice;
    if (!slice.assign(transfer.memory, transfer.count << sector_shift_)) {
        co_return fail(DiskError::io);
    }
    Place place = place_of(transfer.sector);
    const Disk& member = members_[place.member];
    if (transfer.direction == Direction::read) {
        co_return co_await member.read(place.sector, slice.list(), transfer.cancel);
    }
    co_return co_await member.write(place.sector, slice.list(), transfer.fua, transfer.cancel);
}

Task<DiskResult<void>> StripedDisk::flush(CancelToken cancel) {
    FanOut all;
    for (const Disk& member : members_) {
        all.add(member.flush(cancel));
    }
    co_return co_await all.finish();
}

Task<DiskResult<void>> StripedDisk::unmap(SectorRange range, CancelToken cancel) {
    Place place = place_of(range.start);
    if (range.count <= place.left) {
        return members_[place.member].unmap({.start = place.sector, .count = range.count}, cancel);
    }
    return unmap_all(range, cancel);
}

Task<DiskResult<void>> StripedDisk::unmap_all(SectorRange range, CancelToken cancel) {
    FanOut all;
    for (usize member = 0; member < members_.size(); ++member) {
        all.add(members_[member].unmap(member_range(member, range), cancel));
    }
    co_return co_await all.finish();
}

Task<DiskResult<void>> StripedDisk::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                                 CancelToken cancel) {
    Place place = place_of(range.start);
    if (range.count <= place.left) {
        return members_[place.member].write_zeroes({.start = place.sector, .count = range.count}, allow_unmap, fua,
                                                   cancel);
    }
    return write_zeroes_all(range, allow_unmap, fua, cancel);
}

Task<DiskResult<void>> StripedDisk::write_zeroes_all(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                                     CancelToken cancel) {
    FanOut all;
    for (usize member = 0; member < members_.size(); ++member) {
        all.add(members_[member].write_zeroes(member_range(member, range), allow_unmap, fua, cancel));
    }
    co_return co_await all.finish();
}

// Each member tells how far its first run goes; the answer reaches as far as no member says otherwise.
Task<DiskResult<BlockStatus>> StripedDisk::block_status(SectorRange range, CancelToken cancel) {
    usize first = place_of(range.start).member;
    BlockState state = BlockState::unknown;
    u64 end = range.start + range.count;
    for (usize turn = 0; turn < members_.size(); ++turn) {
        usize member = (first + turn) % members_.size();
        SectorRange here = member_range(member, {.start = range.start, .count = end - range.start});
        if (here.count == 0) {
            continue;
        }
        BlockStatus status = CO_TRY(co_await members_[member].block_status(here, cancel));
        if (turn == 0) {
            state = status.state;
        }
        u64 same = status.state == state ? status.sectors : 0;
        if (same < here.count) {
            end = std::min(end, sector_of(member, here.start + same));
        }
    }
    co_return BlockStatus{.sectors = end - range.start, .state = state};
}

Task<DiskResult<void>> StripedDisk::eject() {
    DiskResult<void> result;
    for (const Disk& member : members_) {
        DiskResult<void> ejected = co_await member.eject();
        if (result) {
            result = ejected;
        }
    }
    co_return result;
}

namespace {

struct SizeWatch {
    TaskGroup group;
    bool has_ended = false;
    std::optional<DiskError> error;
};

/// Waits on one member; the first that ends ends the others, and its error counts.
Task<void> watch_member(const Disk& member, u64 known_sectors, SizeWatch& watch) {
    DiskResult<u64> size = co_await member.wait_for_resize(known_sectors, watch.group.token());
    if (!watch.has_ended && !size) {
        watch.error = size.error();
    }
    watch.has_ended = true;
    watch.group.stop();
}

}  // namespace

Task<DiskResult<u64>> StripedDisk::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    for (;;) {
        std::vector<u64> sizes;  // not on the path of I/O
        sizes.reserve(members_.size());
        for (const Disk& member : members_) {
            sizes.push_back(member.sector_count());
        }
        if (u64 size = sector_count(); size != known_sectors) {
            co_return size;
        }
        SizeWatch watch;
        for (usize member = 0; member < members_.size(); ++member) {
            watch.group.spawn(watch_member(members_[member], sizes[member], watch));
        }
        bool was_cancelled = !co_await watch.group.join({.cancel = cancel});
        watch.has_ended = watch.has_ended || was_cancelled;
        watch.group.stop();
        (void)co_await watch.group.join();
        if (was_cancelled) {
            co_return fail(DiskError::cancelled);
        }
        if (watch.error) {
            co_return fail(*watch.error);
        }
    }
}

}  // namespace undercroft
