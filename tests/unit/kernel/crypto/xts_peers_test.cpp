// dm-crypt's `aes-xts-plain64` format, as two libraries that are not ours write it: OpenSSL and libgcrypt.
// dm-crypt's IV is the sector number, 64 bits, little-endian, zero-extended to 16 bytes.
#include <gcrypt.h>
#include <openssl/evp.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "kernel/crypto/xts.hpp"
#include "tests/unit/kernel/crypto/xts_test_support.hpp"

namespace undercroft {
namespace {

using Iv = std::array<unsigned char, XtsCipher::block_bytes>;

Iv make_plain64_iv(u64 unit) {
    Iv iv{};
    for (usize i = 0; i < 8; ++i)
        iv[i] = static_cast<unsigned char>(unit >> (8 * i));
    return iv;
}

std::vector<std::byte> encrypt_with_openssl(const XtsKey& key, u64 first_unit, u32 unit_bytes,
                                            std::span<const std::byte> plain) {
    std::vector<std::byte> result(plain.size());
    EVP_CIPHER_CTX* context = EVP_CIPHER_CTX_new();
    for (usize offset = 0; offset < plain.size(); offset += unit_bytes, ++first_unit) {
        const Iv iv = make_plain64_iv(first_unit);
        int written = 0;
        REQUIRE(EVP_EncryptInit_ex(context, EVP_aes_256_xts(), nullptr,
                                   reinterpret_cast<const unsigned char*>(key.data()), iv.data()) == 1);
        REQUIRE(EVP_EncryptUpdate(context, reinterpret_cast<unsigned char*>(result.data() + offset), &written,
                                  reinterpret_cast<const unsigned char*>(plain.data() + offset),
                                  static_cast<int>(unit_bytes)) == 1);
        REQUIRE(written == static_cast<int>(unit_bytes));
    }
    EVP_CIPHER_CTX_free(context);
    return result;
}

std::vector<std::byte> encrypt_with_libgcrypt(const XtsKey& key, u64 first_unit, u32 unit_bytes,
                                              std::span<const std::byte> plain) {
    gcry_check_version(nullptr);
    gcry_control(GCRYCTL_INITIALIZATION_FINISHED, 0);
    std::vector<std::byte> result(plain.size());
    gcry_cipher_hd_t handle = nullptr;
    REQUIRE(gcry_cipher_open(&handle, GCRY_CIPHER_AES256, GCRY_CIPHER_MODE_XTS, 0) == 0);
    REQUIRE(gcry_cipher_setkey(handle, key.data(), key.size()) == 0);
    for (usize offset = 0; offset < plain.size(); offset += unit_bytes, ++first_unit) {
        const Iv iv = make_plain64_iv(first_unit);
        REQUIRE(gcry_cipher_setiv(handle, iv.data(), iv.size()) == 0);
        REQUIRE(gcry_cipher_encrypt(handle, result.data() + offset, unit_bytes, plain.data() + offset, unit_bytes) ==
                0);
    }
    gcry_cipher_close(handle);
    return result;
}

}  // namespace

TEST_CASE("XTS: what OpenSSL and libgcrypt write in dm-crypt's plain64 format", "[crypto][xts]") {
    std::mt19937_64 random(1619);
    const XtsKey key = make_xts_key(5);
    constexpr u64 first_units[] = {0, 1, 0xffff'fffdULL, 0x0123'4567'89ab'cdefULL, ~0ULL - 2};
    for (const u32 unit_bytes : {512U, 1024U, 2048U, 4096U}) {
        for (const u64 first_unit : first_units) {
            const std::vector<std::byte> plain = make_bytes(random, usize{11} * unit_bytes);
            const auto expected = encrypt_with_openssl(key, first_unit, unit_bytes, plain);
            REQUIRE(encrypt_with_libgcrypt(key, first_unit, unit_bytes, plain) == expected);
            for (const XtsEngine engine : supported_xts_engines()) {
                INFO("engine " << to_string(engine) << ", unit " << unit_bytes << " B, first unit " << first_unit);
                const XtsCipher cipher = make_xts_cipher(key, engine);
                std::vector<std::byte> result(plain.size());
                cipher.encrypt(first_unit, unit_bytes, plain, result);
                REQUIRE(result == expected);
                cipher.decrypt(first_unit, unit_bytes, result, result);
                REQUIRE(result == plain);
            }
        }
    }
}

}  // namespace undercroft
