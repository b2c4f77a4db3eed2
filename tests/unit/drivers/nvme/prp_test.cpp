// PRP rules. Base 2.0, section 4.1.1.
#include "drivers/nvme/prp.hpp"

#include <catch2/catch.hpp>

#include "drivers/nvme/options.hpp"

namespace undercroft::nvme::host {
namespace {

struct Built {
    Le<u64> list[4];
    PrpBuilder builder{std::span(list), 0xaaaa'0000};
};

TEST_CASE("fields that carry nothing hold an address that cannot be mapped") {
    Built none;
    REQUIRE(u64{none.builder.finish().prp1} == unmappable_address);
    REQUIRE(u64{none.builder.finish().prp2} == unmappable_address);
    Built one;
    REQUIRE(one.builder.add(0x1000, 4096));
    REQUIRE(u64{one.builder.finish().prp1} == 0x1000);
    REQUIRE(u64{one.builder.finish().prp2} == unmappable_address);
}

TEST_CASE("two pages need no list, three do") {
    Built two;
    REQUIRE(two.builder.add(0x1ffc, 8));
    REQUIRE(u64{two.builder.finish().prp1} == 0x1ffc);
    REQUIRE(u64{two.builder.finish().prp2} == 0x2000);
    Built three;
    REQUIRE(three.builder.add(0x1000, 3 * 4096));
    REQUIRE(u64{three.builder.finish().prp2} == 0xaaaa'0000);
    REQUIRE(u64{three.list[0]} == 0x2000);
    REQUIRE(u64{three.list[1]} == 0x3000);
}

TEST_CASE("pieces that follow each other directly count as one") {
    Built built;
    REQUIRE(built.builder.add(0x1200, 0x200));
    REQUIRE(built.builder.add(0x1400, 0xc00));
    REQUIRE(built.builder.add(0x5000, 0x100));
    REQUIRE(built.builder.add(0x5100, 0x100));
    REQUIRE(u64{built.builder.finish().prp1} == 0x1200);
    REQUIRE(u64{built.builder.finish().prp2} == 0x5000);
}

TEST_CASE("what breaks the rules is refused") {
    Built unaligned;
    REQUIRE_FALSE(unaligned.builder.add(0x1002, 4096));
    Built inside;
    REQUIRE(inside.builder.add(0x1000, 512));
    REQUIRE_FALSE(inside.builder.add(0x3000, 512));  // the first ended inside a page
    Built offset;
    REQUIRE(offset.builder.add(0x1000, 4096));
    REQUIRE_FALSE(offset.builder.add(0x3004, 512));  // the second does not start on one
    Built long_list;
    REQUIRE(long_list.builder.add(0x1000, 5 * 4096));
    REQUIRE_FALSE(long_list.builder.add(0x9000, 4096));
    Built wrapping;
    REQUIRE_FALSE(wrapping.builder.add(~u64{0xfff}, 8192));
    REQUIRE_FALSE(wrapping.builder.add(0x1000, 0));
}

}  // namespace
}  // namespace undercroft::nvme::host
