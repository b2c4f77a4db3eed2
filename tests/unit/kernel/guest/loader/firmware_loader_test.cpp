// Firmware is placed so that it ends at 1 MiB, the processor begins as after reset, and what is no firmware is refused in
// words.
#include "kernel/guest/loader/firmware_loader.hpp"

#include <catch2/catch.hpp>

#include <string>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

/// `size_bytes` that count, with a far jump at the reset vector.
std::vector<std::byte> firmware_of(usize size_bytes) {
    std::vector<std::byte> bytes(size_bytes);
    for (usize i = 0; i < size_bytes; ++i) {
        bytes[i] = static_cast<std::byte>(i * 7 + i / 256);
    }
    constexpr u8 jump[] = {0xEA, 0x5B, 0xE0, 0x00, 0xF0};
    std::memcpy(bytes.data() + size_bytes - 16, jump, sizeof(jump));
    return bytes;
}

std::string refusal_of(const GuestMemory& memory, std::span<const std::byte> bytes) {
    MemoryImage image(bytes);
    auto result = load_firmware(memory, image);
    REQUIRE_FALSE(result.has_value());
    return result.error().text;
}

TEST_CASE("firmware ends at 1 MiB, and the processor begins at its reset vector in real mode") {
    for (usize size_bytes : {64 * kib, 128 * kib, 256 * kib}) {
        TestMemory memory(2 * mib);
        std::vector<std::byte> bytes = firmware_of(size_bytes);
        MemoryImage image(bytes);
        auto start = load_firmware(memory.guest(), image);
        REQUIRE(start);
        CHECK(std::memcmp(memory.at(mib - size_bytes), bytes.data(), size_bytes) == 0);
        CHECK(memory.get<u8>(mib) == 0);
        CHECK(memory.get<u8>(mib - size_bytes - 1) == 0);
        CHECK(start->cs.base + start->rip == 0xFFFF'FFF0);
        CHECK(start->cs.selector == 0xF000);
        CHECK(start->cs.limit == 0xFFFF);
        CHECK((start->cr0 & 0x8000'0001) == 0);
        CHECK(start->efer == 0);
        CHECK(start->rflags == 2);
        CHECK(start->ss.base == 0);
        CHECK(start->idtr.limit == 0xFFFF);
    }
}

TEST_CASE("what is no firmware is refused, and memory stays as it was") {
    TestMemory memory(2 * mib);
    for (usize size_bytes : {usize{0}, usize{15}, 32 * kib, 96 * kib, 512 * kib}) {
        std::string text = refusal_of(memory.guest(), std::vector<std::byte>(size_bytes));
        CHECK(text.find(std::to_string(size_bytes) + " bytes") != std::string::npos);
    }
    for (std::byte filler : {std::byte{0}, std::byte{0xFF}}) {
        std::string text = refusal_of(memory.guest(), std::vector<std::byte>(128 * kib, filler));
        CHECK(text.find("reset vector") != std::string::npos);
    }
    CHECK(memory.get<u64>(mib - 16) == 0);
    TestMemory little(512 * kib);
    CHECK(refusal_of(little.guest(), firmware_of(64 * kib)).find("no RAM below 1 MiB") != std::string::npos);
}

TEST_CASE("firmware that cannot be read is refused") {
    struct Broken : ImageSource {
        u64 size_bytes() override { return 64 * kib; }
        Result<void> read(u64, std::span<std::byte> into) override {
            if (into.size() > readable) {
                return fail(Error::device_error);
            }
            std::ranges::fill(into, std::byte{0x90});
            into[0] = std::byte{0xEA};
            return {};
        }
        usize readable = 0;
    };
    TestMemory memory(2 * mib);
    Broken image;
    CHECK(load_firmware(memory.guest(), image).error().code == Error::device_error);
    image.readable = 16;  // the reset vector, but not all of it
    CHECK(load_firmware(memory.guest(), image).error().code == Error::device_error);
}

}  // namespace
}  // namespace undercroft::test
