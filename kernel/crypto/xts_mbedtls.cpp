// The reference engine: mbedTLS 2.28's AES-XTS, a data unit a call. Runs on every CPU; slow (one block at a time).
#include "kernel/base/assert.hpp"
#include "kernel/crypto/xts_schedule.hpp"

namespace undercroft {
namespace {

void crypt_units(const mbedtls_aes_xts_context& context, int mode, u64 first_unit, u32 unit_bytes, const std::byte* in,
                 std::byte* out, usize units) {
    // SAFETY: mbedTLS takes the context by non-const pointer and only reads it (2.28, aes.c), so sharing it is sound.
    auto* shared_context = const_cast<mbedtls_aes_xts_context*>(&context);
    for (usize unit = 0; unit < units; ++unit) {
        unsigned char tweak[XtsCipher::block_bytes] = {};
        for (usize i = 0; i < sizeof(u64); ++i)
            tweak[i] = static_cast<unsigned char>((first_unit + unit) >> (8 * i));
        const usize offset = unit * unit_bytes;
        const int status = mbedtls_aes_crypt_xts(shared_context, mode, unit_bytes, tweak,
                                                 reinterpret_cast<const unsigned char*>(in + offset),
                                                 reinterpret_cast<unsigned char*>(out + offset));
        ASSERT(status == 0);  // it fails on lengths only, which XtsCipher has checked
    }
}

void encrypt(const XtsSchedule& schedule, u64 first_unit, u32 unit_bytes, const std::byte* in, std::byte* out,
             usize units) {
    crypt_units(schedule.mbedtls_encrypt, MBEDTLS_AES_ENCRYPT, first_unit, unit_bytes, in, out, units);
}

void decrypt(const XtsSchedule& schedule, u64 first_unit, u32 unit_bytes, const std::byte* in, std::byte* out,
             usize units) {
    crypt_units(schedule.mbedtls_decrypt, MBEDTLS_AES_DECRYPT, first_unit, unit_bytes, in, out, units);
}

}  // namespace

const XtsEngineFunctions xts_mbedtls{encrypt, decrypt};

}  // namespace undercroft
