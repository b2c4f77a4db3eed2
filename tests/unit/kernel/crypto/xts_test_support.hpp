// What the tests of XTS share: keys, engines, buffers with guards.
#pragma once

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernel/crypto/xts.hpp"

namespace undercroft {

using XtsKey = std::array<std::byte, XtsCipher::key_bytes>;

/// A key without structure, the same in every run.
inline XtsKey make_xts_key(u64 seed = 1) {
    std::mt19937_64 random(seed);
    XtsKey key{};
    for (std::byte& byte : key)
        byte = static_cast<std::byte>(random());
    return key;
}

/// Every engine that this CPU can execute; mbedTLS, the reference, is always the first.
inline std::vector<XtsEngine> supported_xts_engines() {
    std::vector<XtsEngine> engines;
    for (usize i = 0; i < xts_engine_count; ++i) {
        if (is_supported(static_cast<XtsEngine>(i)))
            engines.push_back(static_cast<XtsEngine>(i));
    }
    return engines;
}

inline XtsCipher make_xts_cipher(const XtsKey& key, XtsEngine engine) {
    auto cipher = XtsCipher::create(key, engine);
    REQUIRE(cipher.has_value());
    REQUIRE(cipher->engine() == engine);
    return std::move(*cipher);
}

inline std::vector<std::byte> make_bytes(std::mt19937_64& random, usize size) {
    std::vector<std::byte> bytes(size);
    for (std::byte& byte : bytes)
        byte = static_cast<std::byte>(random());
    return bytes;
}

/// `size` bytes at a chosen distance from a 64-byte boundary, between guards that must not change.
class GuardedBuffer {
public:
    GuardedBuffer(usize size, usize misalignment)
        : storage_(size + misalignment + 3 * guard_bytes, guard), size_(size) {
        const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
        begin_ = align_up(address + guard_bytes, 64) - address + misalignment;
    }

    std::span<std::byte> bytes() { return std::span(storage_).subspan(begin_, size_); }

    bool guards_intact() const {
        const auto is_guard = [](std::byte byte) { return byte == guard; };
        return std::all_of(storage_.begin(), storage_.begin() + static_cast<std::ptrdiff_t>(begin_), is_guard) &&
               std::all_of(storage_.begin() + static_cast<std::ptrdiff_t>(begin_ + size_), storage_.end(), is_guard);
    }

private:
    static constexpr usize guard_bytes = 64;
    static constexpr std::byte guard{0xa5};

    std::vector<std::byte> storage_;
    usize size_;
    usize begin_;
};

inline bool equal_bytes(std::span<const std::byte> left, std::span<const std::byte> right) {
    return std::ranges::equal(left, right);
}

}  // namespace undercroft
