// The copy and fill routines against a byte-by-byte model, at every small size, alignment and overlap, with both methods.
#include "boot/runtime/memory.hpp"

#include <catch2/catch.hpp>

#include <algorithm>
#include <vector>

using namespace undercroft;

namespace {

constexpr usize margin = 64;

std::vector<u8> numbered_bytes(usize size) {
    std::vector<u8> bytes(size);
    for (usize index = 0; index < size; ++index) {
        bytes[index] = static_cast<u8>(index * 7 + 1);
    }
    return bytes;
}

const std::vector<usize> sizes = {0,  1,  2,  7,  8,   9,   15,  16,  17,  31,  32,
                                  33, 63, 64, 65, 127, 128, 129, 255, 256, 300, 4096};

}  // namespace

TEST_CASE("copy_forward copies apart and onto lower addresses") {
    auto method = GENERATE(CopyMethod::words, CopyMethod::repeat_string);
    for (usize size : sizes) {
        for (usize distance : {usize{0}, usize{1}, usize{5}, usize{8}, usize{31}, usize{33}, size + 3}) {
            auto bytes = numbered_bytes(2 * margin + 2 * size + distance);
            auto expected = bytes;
            std::copy_n(bytes.data() + margin + distance, size, expected.data() + margin);
            copy_forward(bytes.data() + margin, bytes.data() + margin + distance, size, method);
            REQUIRE(bytes == expected);
        }
    }
}

TEST_CASE("copy_backward copies onto higher addresses") {
    for (usize size : sizes) {
        for (usize distance : {usize{0}, usize{1}, usize{5}, usize{8}, usize{31}, usize{33}, size + 3}) {
            auto bytes = numbered_bytes(2 * margin + 2 * size + distance);
            auto expected = bytes;
            std::copy_n(bytes.data() + margin, size, expected.data() + margin + distance);
            copy_backward(bytes.data() + margin + distance, bytes.data() + margin, size);
            REQUIRE(bytes == expected);
        }
    }
}

TEST_CASE("fill sets its range and nothing beside it") {
    auto method = GENERATE(CopyMethod::words, CopyMethod::repeat_string);
    for (usize size : sizes) {
        for (usize offset : {0, 1, 3, 7}) {
            auto bytes = numbered_bytes(2 * margin + size);
            auto expected = bytes;
            std::fill_n(expected.data() + margin + offset, size, u8{0xa5});
            fill(bytes.data() + margin + offset, 0xa5, size, method);
            REQUIRE(bytes == expected);
        }
    }
}
