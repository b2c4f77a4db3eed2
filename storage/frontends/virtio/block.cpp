// The virtio block device.
#include "storage/frontends/virtio/block.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

#include "storage/frontends/virtio/chain_part.hpp"

namespace undercroft::virtio {

namespace {

constexpr u32 discard_sectors_max = 1U << 22;  // 2 GiB
constexpr u32 discard_ranges_max = 16;

using Outcome = DiskResult<u32>;  // data bytes written to the driver

/// The disk's sectors for the device's `start` and `count` of 512 bytes.
DiskResult<SectorRange> range_on(const Disk& disk, u64 start, u64 count) {
    u64 ratio = disk.sector_size() / block_sector_bytes;
    if (start % ratio != 0 || count % ratio != 0) {
        return fail(DiskError::invalid_input);
    }
    return SectorRange{.start = start / ratio, .count = count / ratio};
}

Task<Outcome> read(const Disk& disk, u64 sector, const Chain& chain, CancelToken cancel) {
    ChainPart data(chain.writable(), 0, 1);
    u64 bytes = total_bytes(data.segments());
    SectorRange range = CO_TRY(range_on(disk, sector, bytes / block_sector_bytes));
    CO_TRY(co_await disk.read(range.start, data.segments(), cancel));
    co_return static_cast<u32>(bytes);
}

Task<Outcome> write(const Disk& disk, u64 sector, const Chain& chain, CancelToken cancel) {
    ChainPart data(chain.readable(), sizeof(BlockRequestHeader), 0);
    SectorRange range = CO_TRY(range_on(disk, sector, total_bytes(data.segments()) / block_sector_bytes));
    CO_TRY(co_await disk.write(range.start, data.segments(), ForceUnitAccess::no, cancel));
    co_return 0U;
}

Task<Outcome> change_ranges(const Disk& disk, BlockRequestType type, const Chain& chain, CancelToken cancel) {
    u64 bytes = total_bytes(chain.readable()) - sizeof(BlockRequestHeader);
    usize count = bytes / sizeof(BlockRange);
    if (bytes % sizeof(BlockRange) != 0 || count == 0 || count > discard_ranges_max) {
        co_return fail(DiskError::invalid_input);
    }
    BlockRange ranges[discard_ranges_max];
    SegmentCursor cursor(chain.readable());
    cursor.skip(sizeof(BlockRequestHeader));
    cursor.copy_out(std::as_writable_bytes(std::span(ranges, count)));
    for (const BlockRange& entry : std::span(ranges, count)) {
        u32 allowed = type == BlockRequestType::write_zeroes ? block_range_unmap : 0;
        if (entry.sectors > discard_sectors_max || (entry.flags & ~allowed) != 0) {
            co_return fail(DiskError::invalid_input);
        }
        SectorRange range = CO_TRY(range_on(disk, entry.sector, entry.sectors));
        if (type == BlockRequestType::discard) {
            CO_TRY(co_await disk.unmap(range, cancel));
        } else {
            bool unmap = (entry.flags & block_range_unmap) != 0;
            CO_TRY(co_await disk.write_zeroes(range, unmap, ForceUnitAccess::no, cancel));
        }
    }
    co_return 0U;
}

Outcome give(std::span<const std::byte> answer, const Chain& chain) {
    ChainPart data(chain.writable(), 0, 1);
    if (total_bytes(data.segments()) < answer.size()) {
        return fail(DiskError::invalid_input);
    }
    SegmentCursor(data.segments()).copy_in(answer);
    return static_cast<u32>(answer.size());
}

Outcome give_id(const BlockIdentity& identity, const Chain& chain) {
    std::array<std::byte, block_id_bytes> text = {};  // not terminated where it is full
    auto serial = std::as_bytes(std::span(identity.serial));
    std::ranges::copy(serial.first(std::min(serial.size(), text.size())), text.begin());
    return give(text, chain);
}

}  // namespace

u64 block_features(const Disk& disk, const BlockIdentity& identity) {
    u64 features = feature_block_segments_max | feature_block_size | feature_block_flush | feature_block_topology |
                   feature_block_queues | feature_block_lifetime;
    if (identity.read_only || disk.facts().read_only) {
        return features | feature_block_read_only;
    }
    features |= feature_block_write_zeroes;
    return disk.facts().unmap == UnmapBehavior::ignored ? features : features | feature_block_discard;
}

BlockConfig block_config(const Disk& disk, const BlockIdentity& identity) {
    const DiskFacts& facts = disk.facts();
    u32 ratio = facts.sector_size / block_sector_bytes;
    BlockConfig config{};
    config.capacity = disk.sector_count() * ratio;
    config.segments_max = Chain::segments_max - 2;
    config.block_size = facts.sector_size;
    config.physical_block_exponent =
        static_cast<u8>(std::countr_zero(facts.physical_sector_size) - std::countr_zero(facts.sector_size));
    config.io_blocks_min = 1;
    config.writeback = 1;
    config.queues = identity.queues;
    config.discard_sectors_max = discard_sectors_max;
    config.discard_segments_max = discard_ranges_max;
    config.discard_sector_alignment = facts.optimal_unmap_sectors * ratio;
    config.write_zeroes_sectors_max = discard_sectors_max;
    config.write_zeroes_segments_max = discard_ranges_max;
    config.write_zeroes_may_unmap = 1;
    return config;
}

BlockStatusCode block_status_code(DiskError error) {
    return error == DiskError::unsupported_eject ? BlockStatusCode::unsupported : BlockStatusCode::io_error;
}

Task<Result<u32>> execute_block_request(const Disk& disk, const BlockIdentity& identity, const Chain& chain,
                                        CancelToken cancel) {
    if (chain.writable().empty()) {
        co_return fail(Error::malformed);
    }
    Outcome outcome = fail(DiskError::invalid_input);
    bool is_known = true;
    u64 readable = total_bytes(chain.readable());
    if (readable >= sizeof(BlockRequestHeader)) {
        BlockRequestHeader header;
        SegmentCursor(chain.readable()).copy_out(std::as_writable_bytes(std::span(&header, 1)));
        auto type = static_cast<BlockRequestType>(header.type.value());
        bool is_change = type == BlockRequestType::out || type == BlockRequestType::discard ||
                         type == BlockRequestType::write_zeroes;
        bool whole = (type != BlockRequestType::in || (total_bytes(chain.writable()) - 1) % block_sector_bytes == 0) &&
                     (type != BlockRequestType::out || (readable - sizeof(header)) % block_sector_bytes == 0);
        if (is_change && identity.read_only) {
            outcome = fail(DiskError::read_only);
        } else if (!whole) {
            outcome = fail(DiskError::invalid_input);
        } else if (type == BlockRequestType::in) {
            outcome = co_await read(disk, header.sector, chain, cancel);
        } else if (type == BlockRequestType::out) {
            outcome = co_await write(disk, header.sector, chain, cancel);
        } else if (is_change) {
            outcome = co_await change_ranges(disk, type, chain, cancel);
        } else if (type == BlockRequestType::flush) {
            DiskResult<void> flushed = co_await disk.flush(cancel);
            outcome = flushed ? Outcome(0U) : Outcome(fail(flushed.error()));
        } else if (type == BlockRequestType::get_id) {
            outcome = give_id(identity, chain);
        } else if (type == BlockRequestType::get_lifetime) {
            BlockLifetime unknown{};
            outcome = give(std::as_bytes(std::span(&unknown, 1)), chain);
        } else {
            is_known = false;
        }
    }
    BlockStatusCode code = !is_known ? BlockStatusCode::unsupported
                           : outcome ? BlockStatusCode::ok
                                     : block_status_code(outcome.error());
    const MemorySegment& last = chain.writable().back();
    last.data[last.size - 1] = static_cast<std::byte>(code);
    co_return outcome.value_or(0) + 1;
}

}  // namespace undercroft::virtio
