// The commands of a block device that make many blocks alike, or forget them: WRITE SAME, UNMAP, FORMAT UNIT (SBC-3 clause
// 5). SANITIZE is in sanitize.cpp.
#include <algorithm>

#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/extent.hpp"
#include "storage/scsi/pattern.hpp"

namespace undercroft::scsi {

namespace {

/// SBC-3 table 116, followed by descriptors.
struct UnmapHeader {
    Be<u16> data_bytes = 0;        // of what follows this field
    Be<u16> descriptor_bytes = 0;  // of the descriptors
    u8 reserved[4] = {};
};
static_assert(sizeof(UnmapHeader) == 8 && offsetof(UnmapHeader, reserved) == 4);

/// SBC-3 table 117.
struct UnmapDescriptor {
    Be<u64> lba = 0;
    Be<u32> blocks = 0;
    u8 reserved[4] = {};
};
static_assert(sizeof(UnmapDescriptor) == 16 && offsetof(UnmapDescriptor, reserved) == 12);

}  // namespace

Task<Completion> BlockUnit::write_same(Cdb cdb, const Request& request) {
    SectorRange range = extent_of(cdb);
    bool may_unmap = (cdb[1] & cdb_unmap) != 0;
    bool has_data = cdb.opcode() == Opcode::write_same_10 || (cdb[1] & cdb_no_data_out) == 0;
    if (may_unmap && disk().facts().unmap == UnmapBehavior::ignored) {
        co_return refuse_field(request, 1);
    }
    if (range.count == 0) {
        co_return refuse_field(request, cdb.opcode() == Opcode::write_same_10 ? 7 : 10);  // WSNZ of page B0h
    }
    if (std::optional<Completion> refused = refuse(request, range, true)) {
        co_return *refused;
    }
    auto block_bytes = static_cast<usize>(bytes_of(1));
    if (has_data && total_bytes(request.data_out) < block_bytes) {
        co_return overrun(request);
    }
    auto block = has_data ? first_block(request.data_out, block_bytes) : nullptr;
    if (has_data && block == nullptr) {
        co_return failed(request, DiskError::io);
    }
    u64 transferred = has_data ? block_bytes : 0;
    bool durable = must_be_durable(false);
    DiskResult<void> result;
    if (block == nullptr ||
        std::all_of(block.get(), block.get() + block_bytes, [](std::byte byte) { return byte == std::byte{0}; })) {
        result = co_await disk_of(request).write_zeroes(range, may_unmap, ForceUnitAccess::no, request.cancel);
    } else {
        u64 piece_blocks = std::max<u64>(piece_bytes >> block_shift_, 1);
        auto bytes = static_cast<usize>(bytes_of(std::min(piece_blocks, range.count)));
        auto memory = repeated({block.get(), block_bytes}, bytes);
        result = memory == nullptr ? DiskResult<void>(fail(DiskError::io)) : DiskResult<void>{};
        for (u64 done = 0; result && done < range.count; done += piece_blocks) {
            u64 blocks = std::min(piece_blocks, range.count - done);
            MemorySegment piece{.data = memory.get(), .size = static_cast<usize>(bytes_of(blocks))};
            result =
                co_await disk_of(request).write(range.start + done, {&piece, 1}, ForceUnitAccess::no, request.cancel);
        }
    }
    if (result && durable) {
        result = co_await disk_of(request).flush(request.cancel);
    }
    co_return result ? succeed(request, transferred) : failed(request, result.error());
}

Task<Completion> BlockUnit::unmap(Cdb cdb, const Request& request) {
    u32 list_bytes = cdb.be16(7);
    if (is_write_protected()) {
        co_return failed(request, DiskError::read_only);
    }
    if (list_bytes == 0) {
        co_return succeed(request);
    }
    if (total_bytes(request.data_out) < list_bytes) {
        co_return overrun(request);
    }
    UnmapHeader header;
    SegmentCursor cursor(request.data_out);
    if (list_bytes >= sizeof(header)) {
        cursor.copy_out(std::as_writable_bytes(std::span(&header, 1)));
    }
    if (list_bytes < sizeof(header) || header.descriptor_bytes > list_bytes - sizeof(header)) {
        co_return check(request, SenseKey::illegal_request, AdditionalSense::parameter_list_length_error);
    }
    // What is left of a descriptor that does not fit is ignored (SBC-3 5.30.2).
    usize count = header.descriptor_bytes / sizeof(UnmapDescriptor);
    if (count > unmap_descriptors_max) {
        co_return refuse_parameter(request, offsetof(UnmapHeader, descriptor_bytes));
    }
    for (usize index = 0; index < count; ++index) {
        UnmapDescriptor descriptor;
        cursor.copy_out(std::as_writable_bytes(std::span(&descriptor, 1)));
        SectorRange range{.start = descriptor.lba, .count = descriptor.blocks};
        if (DiskResult<void> result = co_await disk_of(request).unmap(range, request.cancel); !result) {
            co_return failed(request, result.error());
        }
    }
    if (must_be_durable(false)) {
        if (DiskResult<void> result = co_await disk_of(request).flush(request.cancel); !result) {
            co_return failed(request, result.error());
        }
    }
    co_return succeed(request, list_bytes);
}

Task<Completion> BlockUnit::format(const Cdb& cdb, const Request& request) {
    constexpr u8 has_parameters = 0x10;  // FMTDATA, byte 1 of the CDB
    constexpr u8 is_long_list = 0x20;    // LONGLIST
    constexpr u8 immediate = 0x02;       // IMMED, byte 1 of the parameter list header
    if (is_write_protected()) {
        return Task<Completion>::ready(failed(request, DiskError::read_only));
    }
    usize used = 0;
    if ((cdb[1] & has_parameters) != 0) {
        // SBC-3 tables 38 and 39: no protection, no pattern, no list of defects. IMMED too ends when it is done.
        u8 header[8] = {};
        used = (cdb[1] & is_long_list) != 0 ? 8 : 4;
        if (total_bytes(request.data_out) < used) {
            return Task<Completion>::ready(overrun(request));
        }
        SegmentCursor(request.data_out).copy_out(std::as_writable_bytes(std::span(header, used)));
        // FOV alone may be set beside IMMED: with it, options say "default" (SBC-3 5.3.2.2).
        constexpr u8 options_valid = 0x80;
        for (usize at = 0; at < used; ++at) {
            u8 allowed = at == 1 ? immediate | options_valid : 0;
            if ((header[at] & ~allowed) != 0) {
                return Task<Completion>::ready(refuse_parameter(request, static_cast<u16>(at)));
            }
        }
    }
    // What blocks hold after a format is ours to choose (SBC-3 5.3.1): nothing, where the disk can forget.
    return after(disk_of(request).unmap({.start = 0, .count = disk().sector_count()}, request.cancel), request, used);
}

}  // namespace undercroft::scsi
