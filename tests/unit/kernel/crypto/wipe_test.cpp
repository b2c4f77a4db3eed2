// Wiping and constant-time comparison.
#include "kernel/crypto/wipe.hpp"

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>

namespace undercroft {

TEST_CASE("secure_wipe clears exactly the span", "[crypto]") {
    std::array<std::byte, 40> bytes{};
    bytes.fill(std::byte{0xff});
    secure_wipe(std::span(bytes).subspan(3, 30));
    REQUIRE(std::all_of(bytes.begin() + 3, bytes.begin() + 33, [](std::byte byte) { return byte == std::byte{0}; }));
    REQUIRE(bytes[2] == std::byte{0xff});
    REQUIRE(bytes[33] == std::byte{0xff});
    secure_wipe({});
}

TEST_CASE("equal_in_constant_time sees a difference in any bit", "[crypto]") {
    std::array<std::byte, 32> left{};
    left.fill(std::byte{0x5a});
    std::array<std::byte, 32> right = left;
    REQUIRE(equal_in_constant_time(left, right));
    for (usize bit = 0; bit < 8 * right.size(); ++bit) {
        right[bit / 8] ^= static_cast<std::byte>(1U << (bit % 8));
        REQUIRE_FALSE(equal_in_constant_time(left, right));
        right[bit / 8] = left[bit / 8];
    }
    REQUIRE_FALSE(equal_in_constant_time(left, std::span(right).first(31)));
    REQUIRE(equal_in_constant_time({}, {}));
}

}  // namespace undercroft
