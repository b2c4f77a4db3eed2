// Guest addresses: everything inside a range resolves, everything else does not, whatever the arithmetic does.
#include "kernel/guest/memory.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <vector>

namespace undercroft {
namespace {

// RAM below a hole, and above it: as on a PC.
struct TwoRanges {
    std::vector<std::byte> low = std::vector<std::byte>(4 * page_size);
    std::vector<std::byte> high = std::vector<std::byte>(2 * page_size);
    GuestMemory memory;
    TwoRanges() {
        GuestMemoryRange ranges[] = {{.guest_address = 0, .size_bytes = low.size(), .data = low.data()},
                                     {.guest_address = 0x1'0000'0000, .size_bytes = high.size(), .data = high.data()}};
        memory = GuestMemory::create(ranges).value();
    }
};

}  // namespace

TEST_CASE("guest memory resolves what lies in one range") {
    TwoRanges guest;
    CHECK(guest.memory.total_bytes() == 6 * page_size);
    CHECK(guest.memory.resolve(0, 4 * page_size)->data() == guest.low.data());
    CHECK(guest.memory.resolve(5, 1)->data() == guest.low.data() + 5);
    CHECK(guest.memory.resolve(0x1'0000'0000, 2 * page_size)->data() == guest.high.data());
    CHECK(guest.memory.resolve(0x1'0000'1fff, 1)->size() == 1);
    CHECK(guest.memory.resolve(0x3fff, 0)->empty());
}

TEST_CASE("guest memory refuses what does not") {
    TwoRanges guest;
    struct {
        u64 address;
        u64 size;
    } bad[] = {{0x4000, 0},
               {0x4000, 1},
               {0x3fff, 2},
               {0, 0x4001},
               {0xffff'ffff, 1},
               {0xffff'f000, 0x2000},
               {0x1'0000'2000, 1},
               {~u64{0}, 1},
               {~u64{0}, 0},
               {0, ~u64{0}},
               {1, ~u64{0}},
               {0x1'0000'0000, ~u64{0}},
               {0x1'0000'1000, ~u64{0} - 0xfff}};
    for (const auto& piece : bad) {
        CAPTURE(piece.address, piece.size);
        CHECK(guest.memory.resolve(piece.address, piece.size).error() == Error::out_of_range);
    }
    std::byte buffer[16];
    CHECK(guest.memory.read(0x3ff8, buffer).error() == Error::out_of_range);
    CHECK(guest.memory.write(0x3ff8, buffer).error() == Error::out_of_range);
    CHECK(guest.low.back() == std::byte{0});
}

TEST_CASE("guest memory without ranges has no address") {
    GuestMemory memory;
    CHECK(memory.total_bytes() == 0);
    CHECK_FALSE(memory.resolve(0, 0).has_value());
}

TEST_CASE("guest memory copies values in and out") {
    TwoRanges guest;
    CHECK(guest.memory.write_value<u64>(0x1'0000'0ffd, 0x1122334455667788).has_value());
    CHECK(guest.memory.read_value<u64>(0x1'0000'0ffd).value() == 0x1122334455667788);
    u64 raw;
    std::memcpy(&raw, guest.high.data() + 0xffd, sizeof(raw));
    CHECK(raw == 0x1122334455667788);
    CHECK_FALSE(guest.memory.read_value<u64>(0x1'0000'1ff9).has_value());
}

TEST_CASE("guest memory is built from sorted, aligned, disjoint ranges only") {
    std::vector<std::byte> bytes(4 * page_size);
    auto is_accepted = [&](std::vector<GuestMemoryRange> ranges) { return GuestMemory::create(ranges).has_value(); };
    std::byte* data = bytes.data();
    CHECK(is_accepted({}));
    CHECK(is_accepted({{0, page_size, data}, {page_size, page_size, data}}));
    CHECK_FALSE(is_accepted({{0, 2 * page_size, data}, {page_size, page_size, data}}));
    CHECK_FALSE(is_accepted({{page_size, page_size, data}, {0, page_size, data}}));
    CHECK_FALSE(is_accepted({{0, 0, data}}));
    CHECK_FALSE(is_accepted({{0, 100, data}}));
    CHECK_FALSE(is_accepted({{100, page_size, data}}));
    CHECK_FALSE(is_accepted({{0, page_size, nullptr}}));
    CHECK_FALSE(is_accepted({{~u64{0} - 0xfff, page_size, data}}));
    CHECK_FALSE(is_accepted(std::vector<GuestMemoryRange>(guest_memory_ranges_max + 1, {0, page_size, data})));
}

}  // namespace undercroft
