// Wire fields: byte order, alignment, and the arithmetic of alignment.
#include <catch2/catch.hpp>
#include <cstring>

#include "kernel/base/endian.hpp"

namespace undercroft {
namespace {

TEST_CASE("a little-endian field stores its low byte first, a big-endian field its high byte") {
    struct Wire {
        u8 pad = 0;
        Le<u32> little;
        Be<u32> big;
        Be<u64> wide;
    };
    static_assert(sizeof(Wire) == 17 && alignof(Wire) == 1);
    Wire wire{.pad = 0, .little = 0x11223344u, .big = 0x11223344u, .wide = u64{0x0102030405060708}};
    const unsigned char expected[] = {0x00, 0x44, 0x33, 0x22, 0x11, 0x11, 0x22, 0x33, 0x44, 1, 2, 3, 4, 5, 6, 7, 8};
    REQUIRE(std::memcmp(&wire, expected, sizeof(expected)) == 0);
    REQUIRE(u32{wire.little} == 0x11223344u);
    REQUIRE(u32{wire.big} == 0x11223344u);
    REQUIRE(u64{wire.wide} == 0x0102030405060708u);
}

TEST_CASE("fields change in place") {
    Be<u16> field = u16{0x0f00};
    field |= 0x00f0;
    REQUIRE(field.value() == 0x0ff0);
    field &= 0x00ff;
    REQUIRE(field.value() == 0x00f0);
    Be<u8> byte = u8{7};
    REQUIRE(byte.value() == 7);
}

TEST_CASE("alignment rounds up, down and not at all") {
    REQUIRE(align_up(0, 4096) == 0);
    REQUIRE(align_up(1, 4096) == 4096);
    REQUIRE(align_up(4096, 4096) == 4096);
    REQUIRE(align_down(8191, 4096) == 4096);
    REQUIRE(is_aligned(8192, 4096));
    REQUIRE_FALSE(is_aligned(8193, 4096));
}

}  // namespace
}  // namespace undercroft
