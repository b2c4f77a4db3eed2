// PRPs and SGLs: every shape that is allowed, and every one that is not.
#include <catch2/catch.hpp>

#include "storage/frontends/nvme/data_pointer.hpp"
#include "tests/support/nvme_guest.hpp"

using namespace undercroft;
using namespace undercroft::test;
using namespace undercroft::nvme;

namespace {

struct Resolver {
    GuestArena arena{4 * mib};
    MemorySegment storage[segments_max];
    SegmentList list;
    SubmissionEntry entry;

    Status resolve(u64 bytes) {
        SegmentBuilder segments(storage);
        Status status = resolve_data(arena.memory(), entry, bytes, segments);
        list = segments.list();
        return status;
    }
    void use(SglType type, u64 address, u32 length) {
        entry.flags = static_cast<u8>(DataPointerKind::sgl_contiguous_metadata) << 6;
        SglDescriptor descriptor = make(type, address, length);
        std::memcpy(&entry.data_pointer, &descriptor, sizeof descriptor);
    }
    static SglDescriptor make(SglType type, u64 address, u32 length) {
        SglDescriptor descriptor;
        descriptor.address = address;
        descriptor.length_bytes = length;
        descriptor.identifier = static_cast<u8>(static_cast<u32>(type) << 4);
        return descriptor;
    }
};

}  // namespace

TEST_CASE("PRP: one page, two pages, and neighbours become one segment", "[nvme]") {
    Resolver resolver;
    resolver.entry.data_pointer.prp1 = 0x10'0200;
    CHECK(resolver.resolve(512) == Status::success);
    REQUIRE(resolver.list.size() == 1);
    CHECK(resolver.list[0].data == resolver.arena.at(0x10'0200));
    resolver.entry.data_pointer.prp2 = 0x10'1000;
    CHECK(resolver.resolve(4096) == Status::success);
    REQUIRE(resolver.list.size() == 1);
    CHECK(resolver.list[0].size == 4096);
    resolver.entry.data_pointer.prp2 = 0x20'0000;
    CHECK(resolver.resolve(4096) == Status::success);
    REQUIRE(resolver.list.size() == 2);
    CHECK(resolver.list[0].size == 0xe00);
    CHECK(resolver.list[1].size == 0x200);
}

TEST_CASE("PRP: offsets that are not allowed, and memory that is not there", "[nvme]") {
    Resolver resolver;
    resolver.entry.data_pointer.prp1 = 0x10'0001;
    CHECK(resolver.resolve(512) == Status::prp_offset_invalid);
    resolver.entry.data_pointer.prp1 = 0x10'0000;
    resolver.entry.data_pointer.prp2 = 0x10'1004;
    CHECK(resolver.resolve(8192) == Status::prp_offset_invalid);
    CHECK(resolver.resolve(16384) == Status::prp_offset_invalid);  // a list must be qword-aligned
    resolver.entry.data_pointer.prp1 = 64 * mib;
    CHECK(resolver.resolve(512) == Status::data_transfer_error);
    resolver.entry.data_pointer.prp1 = ~u64{0xfff};
    CHECK(resolver.resolve(4096) == Status::data_transfer_error);
    resolver.entry.data_pointer.prp1 = 0x10'0000;
    resolver.entry.data_pointer.prp2 = 64 * mib;
    CHECK(resolver.resolve(8192) == Status::data_transfer_error);
    CHECK(resolver.resolve(16384) == Status::data_transfer_error);
}

TEST_CASE("PRP: a list that begins anywhere in a page and goes on in the next", "[nvme]") {
    Resolver resolver;
    u64 slots_in_first = GENERATE(u64{1}, u64{2}, u64{3}, u64{255}, u64{256}, u64{512});
    u64 bytes = 1 * mib;
    u64 offset = 0x204;
    u64 list = resolver.arena.allocate(page_size) + page_size - slots_in_first * 8;
    u64 next_list = resolver.arena.allocate(page_size);
    resolver.entry.data_pointer.prp1 = 0x100'000 + offset;
    resolver.entry.data_pointer.prp2 = list;
    u64 pages = 256;  // behind the first
    for (u64 index = 0, slot = list; index < pages; ++index, slot += 8) {
        if (slot + 8 == align_up(slot + 1, page_size) && index + 1 < pages) {
            resolver.arena.write(slot, next_list);
            slot = next_list;
        }
        resolver.arena.write(slot, u64{0x200'000 + (index * 7919 % 256) * page_size});
    }
    REQUIRE(resolver.resolve(bytes) == Status::success);
    CHECK(total_bytes(resolver.list) == bytes);
    CHECK(resolver.list.back().size == offset);
    CHECK(segments_needed(resolver.entry, bytes) == 257);
    // One of the entries with an offset: refused.
    resolver.arena.write(slots_in_first == 1 ? next_list : list, u64{0x300'010});
    CHECK(resolver.resolve(bytes) == Status::prp_offset_invalid);
}

TEST_CASE("PRP: a list that points to itself ends", "[nvme]") {
    Resolver resolver;
    u64 list = resolver.arena.allocate(page_size);
    for (u64 slot = 0; slot < page_size; slot += 8) {
        resolver.arena.write(list + slot, list);
    }
    resolver.entry.data_pointer.prp1 = list;
    resolver.entry.data_pointer.prp2 = list + page_size - 8;
    CHECK(resolver.resolve(1 * mib) == Status::success);
}

TEST_CASE("SGL: one block, a segment, a chain", "[nvme]") {
    Resolver resolver;
    resolver.use(SglType::data_block, 0x10'0003, 4096);
    REQUIRE(resolver.resolve(4096) == Status::success);
    CHECK(resolver.list[0].data == resolver.arena.at(0x10'0003));

    u64 first = resolver.arena.allocate(page_size);
    u64 second = resolver.arena.allocate(page_size);
    resolver.arena.write(first, Resolver::make(SglType::data_block, 0x11'0000, 1000));
    resolver.arena.write(first + 16, Resolver::make(SglType::data_block, 0x12'0000, 0));
    resolver.arena.write(first + 32, Resolver::make(SglType::last_segment, second, 32));
    resolver.arena.write(second, Resolver::make(SglType::data_block, 0x13'0000, 1048));
    resolver.arena.write(second + 16, Resolver::make(SglType::data_block, 0x14'0000, 5000));
    resolver.use(SglType::segment, first, 48);
    REQUIRE(resolver.resolve(4096) == Status::success);
    REQUIRE(resolver.list.size() == 3);
    CHECK(resolver.list[2].size == 2048);  // the rest of the descriptor is not used
    CHECK(total_bytes(resolver.list) == 4096);
    CHECK(resolver.resolve(8192) == Status::data_sgl_length_invalid);
}

TEST_CASE("SGL: malformed ones are refused and never walked without end", "[nvme]") {
    Resolver resolver;
    u64 list = resolver.arena.allocate(64 * kib);
    resolver.use(SglType::data_block, 0x10'0000, 100);
    CHECK(resolver.resolve(512) == Status::data_sgl_length_invalid);
    resolver.use(SglType::keyed_data_block, 0x10'0000, 512);
    CHECK(resolver.resolve(512) == Status::sgl_descriptor_type_invalid);
    resolver.use(SglType::bit_bucket, 0, 512);
    CHECK(resolver.resolve(512) == Status::sgl_descriptor_type_invalid);
    resolver.use(SglType::last_segment, list, 24);
    CHECK(resolver.resolve(512) == Status::invalid_sgl_segment_descriptor);
    resolver.use(SglType::last_segment, list, 0);
    CHECK(resolver.resolve(512) == Status::invalid_sgl_segment_descriptor);
    resolver.use(SglType::last_segment, 1 * gib, 32);
    CHECK(resolver.resolve(512) == Status::data_transfer_error);
    resolver.use(SglType::last_segment, list, 0xffff'fff0);
    CHECK(resolver.resolve(512) == Status::data_transfer_error);
    // A segment that is its own successor.
    resolver.arena.write(list, Resolver::make(SglType::segment, list, 16));
    resolver.use(SglType::segment, list, 16);
    CHECK(resolver.resolve(512) == Status::invalid_number_of_sgl_descriptors);
    // A pointer in a last segment, or in the middle of one.
    resolver.use(SglType::last_segment, list, 16);
    CHECK(resolver.resolve(512) == Status::invalid_sgl_segment_descriptor);
    resolver.arena.write(list + 16, Resolver::make(SglType::data_block, 0x10'0000, 512));
    resolver.use(SglType::segment, list, 32);
    CHECK(resolver.resolve(512) == Status::invalid_sgl_segment_descriptor);
    // More pieces than a transfer may have.
    for (u64 index = 0; index < 600; ++index) {
        resolver.arena.write(list + index * 16, Resolver::make(SglType::data_block, 0x20'0000 + index * 16, 4));
    }
    resolver.use(SglType::last_segment, list, 600 * 16);
    CHECK(resolver.resolve(600 * 4) == Status::invalid_number_of_sgl_descriptors);
    resolver.entry.flags = static_cast<u8>(DataPointerKind::reserved) << 6;
    CHECK(resolver.resolve(512) == Status::invalid_field);
}
