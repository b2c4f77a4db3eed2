// Every XTS engine that the CPU has: IEEE's vectors, and the same bytes as mbedTLS whatever the shape of the I/O.
#include "kernel/crypto/xts.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "kernel/crypto/xts_schedule.hpp"
#include "tests/unit/kernel/crypto/xts_test_support.hpp"
#include "tests/unit/kernel/crypto/xts_vectors.hpp"

namespace undercroft {
namespace {

std::vector<std::byte> from_hex(const std::string& hex) {
    std::vector<std::byte> bytes;
    for (usize i = 0; i < hex.size(); i += 2)
        bytes.push_back(static_cast<std::byte>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return bytes;
}

XtsKey vector_key() {
    XtsKey key{};
    std::ranges::copy(from_hex(xts_vector_key_hex), key.begin());
    return key;
}

/// Runs both directions of `cipher` over `plain`, in place and out of place, against `reference`.
void check_against(const XtsCipher& reference, const XtsCipher& cipher, u64 first_unit, u32 unit_bytes,
                   std::span<const std::byte> plain, usize in_misalignment, usize out_misalignment) {
    INFO("engine " << to_string(cipher.engine()) << ", first unit " << first_unit << ", unit " << unit_bytes
                   << " B, I/O " << plain.size() << " B, misaligned by " << in_misalignment << " and "
                   << out_misalignment);
    std::vector<std::byte> expected(plain.size());
    reference.encrypt(first_unit, unit_bytes, plain, expected);

    GuardedBuffer in(plain.size(), in_misalignment);
    GuardedBuffer out(plain.size(), out_misalignment);
    std::ranges::copy(plain, in.bytes().begin());
    cipher.encrypt(first_unit, unit_bytes, in.bytes(), out.bytes());
    REQUIRE(equal_bytes(out.bytes(), expected));
    REQUIRE(equal_bytes(in.bytes(), plain));

    cipher.encrypt(first_unit, unit_bytes, in.bytes(), in.bytes());
    REQUIRE(equal_bytes(in.bytes(), expected));

    cipher.decrypt(first_unit, unit_bytes, in.bytes(), out.bytes());
    REQUIRE(equal_bytes(out.bytes(), plain));
    cipher.decrypt(first_unit, unit_bytes, in.bytes(), in.bytes());
    REQUIRE(equal_bytes(in.bytes(), plain));
    REQUIRE(in.guards_intact());
    REQUIRE(out.guards_intact());
}

}  // namespace

TEST_CASE("XTS: IEEE 1619 vectors 10 to 14", "[crypto][xts]") {
    std::vector<std::byte> plain(512);
    for (usize i = 0; i < plain.size(); ++i)
        plain[i] = static_cast<std::byte>(i);
    for (const XtsEngine engine : supported_xts_engines()) {
        const XtsCipher cipher = make_xts_cipher(vector_key(), engine);
        for (const XtsVector& vector : xts_vectors) {
            INFO("engine " << to_string(engine) << ", vector " << vector.number);
            const std::vector<std::byte> expected = from_hex(vector.ciphertext_hex);
            std::vector<std::byte> result(512);
            cipher.encrypt(vector.unit, 512, plain, result);
            REQUIRE(result == expected);
            cipher.decrypt(vector.unit, 512, result, result);
            REQUIRE(result == plain);
        }
    }
}

TEST_CASE("XTS: every engine gives mbedTLS's bytes for random I/O", "[crypto][xts]") {
    std::mt19937_64 random(20240607);
    const auto below = [&](u64 limit) { return random() % limit; };
    const XtsKey key = make_xts_key();
    const XtsCipher reference = make_xts_cipher(key, XtsEngine::mbedtls);
    constexpr u32 unit_sizes[] = {512, 1024, 2048, 4096};
    // Where the number's bytes carry, and where it wraps: 2^64 - 1 is followed by 0.
    constexpr u64 interesting_units[] = {0, 0xfe, (1ULL << 32) - 3, 1ULL << 32, (1ULL << 63) - 2, ~0ULL - 4, ~0ULL};
    for (const XtsEngine engine : supported_xts_engines()) {
        const XtsCipher cipher = make_xts_cipher(key, engine);
        for (int round = 0; round < 60; ++round) {
            const u32 unit_bytes = unit_sizes[below(std::size(unit_sizes))];
            const usize units = 1 + below(round % 4 == 0 ? 40 : 9);
            const u64 first_unit = round % 2 == 0 ? interesting_units[below(std::size(interesting_units))] : random();
            check_against(reference, cipher, first_unit, unit_bytes, make_bytes(random, units * unit_bytes), below(64),
                          below(64));
        }
    }
}

TEST_CASE("XTS: every multiple of 16 bytes is a unit size", "[crypto][xts]") {
    std::mt19937_64 random(7);
    const XtsKey key = make_xts_key(2);
    const XtsCipher reference = make_xts_cipher(key, XtsEngine::mbedtls);
    for (const XtsEngine engine : supported_xts_engines()) {
        const XtsCipher cipher = make_xts_cipher(key, engine);
        for (u32 unit_bytes = XtsCipher::unit_bytes_min; unit_bytes <= XtsCipher::unit_bytes_max; unit_bytes += 16) {
            check_against(reference, cipher, unit_bytes, unit_bytes, make_bytes(random, usize{3} * unit_bytes), 0, 16);
        }
    }
}

TEST_CASE("XTS: unit numbers go on modulo 2^64", "[crypto][xts]") {
    const std::vector<std::byte> plain(1024, std::byte{0x33});
    for (const XtsEngine engine : supported_xts_engines()) {
        INFO("engine " << to_string(engine));
        const XtsCipher cipher = make_xts_cipher(make_xts_key(), engine);
        std::vector<std::byte> both(1024);
        std::vector<std::byte> second(512);
        cipher.encrypt(~0ULL, 512, plain, both);
        cipher.encrypt(0, 512, std::span(plain).first(512), second);
        REQUIRE(equal_bytes(std::span(both).last(512), second));
    }
}

TEST_CASE("XTS: no data is no work", "[crypto][xts]") {
    for (const XtsEngine engine : supported_xts_engines()) {
        const XtsCipher cipher = make_xts_cipher(make_xts_key(), engine);
        cipher.encrypt(0, 512, {}, {});
        cipher.decrypt(0, 512, {}, {});
    }
}

TEST_CASE("XTS: a key with equal halves is refused", "[crypto][xts]") {
    XtsKey key = make_xts_key();
    std::copy_n(key.begin(), 32, key.begin() + 32);
    for (const XtsEngine engine : supported_xts_engines()) {
        const auto cipher = XtsCipher::create(key, engine);
        REQUIRE_FALSE(cipher.has_value());
        REQUIRE(cipher.error() == Error::invalid_argument);
    }
    key[63] ^= std::byte{0x80};
    REQUIRE(XtsCipher::create(key).has_value());
}

TEST_CASE("XTS: an engine that the CPU lacks is refused, the default is the fastest that it has", "[crypto][xts]") {
    REQUIRE(is_supported(XtsEngine::mbedtls));
    for (usize i = 0; i < xts_engine_count; ++i) {
        const auto engine = static_cast<XtsEngine>(i);
        INFO("engine " << to_string(engine));
        const auto cipher = XtsCipher::create(make_xts_key(), engine);
        REQUIRE(cipher.has_value() == is_supported(engine));
        if (!cipher)
            REQUIRE(cipher.error() == Error::unsupported);
    }
    const auto cipher = XtsCipher::create(make_xts_key());
    REQUIRE(cipher.has_value());
    REQUIRE(cipher->engine() == supported_xts_engines().back());
}

// QEMU 7.2's TCG announces VAES, and encrypts every other block of it wrongly.
TEST_CASE("XTS: an engine that gives wrong bytes does not pass its known-answer test", "[crypto][xts]") {
    constexpr XtsFunction wrong_encrypt = [](const XtsSchedule& schedule, u64 first_unit, u32 unit_bytes,
                                             const std::byte* in, std::byte* out, usize units) {
        xts_mbedtls.encrypt(schedule, first_unit, unit_bytes, in, out, units);
        out[units * unit_bytes - 1] ^= std::byte{1};
    };
    constexpr XtsFunction wrong_decrypt = [](const XtsSchedule& schedule, u64 first_unit, u32 unit_bytes,
                                             const std::byte* in, std::byte* out, usize units) {
        xts_mbedtls.decrypt(schedule, first_unit, unit_bytes, in, out, units);
        out[16] ^= std::byte{0x80};
    };
    REQUIRE(gives_known_answer(XtsEngine::mbedtls, xts_mbedtls));
    REQUIRE_FALSE(gives_known_answer(XtsEngine::mbedtls, {wrong_encrypt, xts_mbedtls.decrypt}));
    REQUIRE_FALSE(gives_known_answer(XtsEngine::mbedtls, {xts_mbedtls.encrypt, wrong_decrypt}));
}

TEST_CASE("XTS: a moved cipher keeps its key", "[crypto][xts]") {
    std::vector<std::byte> before(512);
    std::vector<std::byte> after(512);
    const std::vector<std::byte> plain(512, std::byte{1});
    for (const XtsEngine engine : supported_xts_engines()) {
        XtsCipher first = make_xts_cipher(make_xts_key(3), engine);
        first.encrypt(9, 512, plain, before);
        XtsCipher second = make_xts_cipher(make_xts_key(4), engine);
        second = std::move(first);
        second.encrypt(9, 512, plain, after);
        REQUIRE(before == after);
    }
}

TEST_CASE("XTS: one cipher serves several threads", "[crypto][xts]") {
    std::mt19937_64 random(11);
    const std::vector<std::byte> plain = make_bytes(random, 64 * kib);
    for (const XtsEngine engine : supported_xts_engines()) {
        const XtsCipher cipher = make_xts_cipher(make_xts_key(), engine);
        std::vector<std::byte> expected(plain.size());
        cipher.encrypt(0, 512, plain, expected);
        bool equal[3] = {};
        std::vector<std::thread> threads;
        for (bool& mine : equal) {
            threads.emplace_back([&] {
                std::vector<std::byte> out(plain.size());
                mine = true;
                for (int i = 0; i < 20; ++i) {
                    cipher.encrypt(0, 512, plain, out);
                    mine = mine && out == expected;
                    cipher.decrypt(0, 512, out, out);
                    mine = mine && out == plain;
                }
            });
        }
        for (std::thread& thread : threads)
            thread.join();
        REQUIRE(std::ranges::all_of(equal, [](bool value) { return value; }));
    }
}

TEST_CASE("XTS: nothing of the key is left when a schedule ends", "[crypto][xts]") {
    for (const XtsEngine engine : supported_xts_engines()) {
        INFO("engine " << to_string(engine));
        alignas(XtsSchedule) std::byte storage[sizeof(XtsSchedule)];
        std::ranges::fill(storage, std::byte{0xee});
        auto* schedule = new (storage) XtsSchedule(make_xts_key(), engine);
        schedule->~XtsSchedule();
        REQUIRE(std::ranges::all_of(storage, [](std::byte byte) { return byte == std::byte{0}; }));
    }
}

}  // namespace undercroft
