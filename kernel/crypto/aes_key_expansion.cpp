// AES-256 key expansion with AESKEYGENASSIST and AESIMC: no tables, so no timing that depends on the key.
// FIPS 197 section 5.2, and 5.3.5 for the inverse cipher; Intel SDM volume 2 for the two instructions.
#include <immintrin.h>

#include "kernel/crypto/xts_schedule.hpp"

#define AES_NI __attribute__((target("aes,sse2"), always_inline)) inline

namespace undercroft {
namespace {

AES_NI __m128i load_block(const std::byte* from) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(from)); }

AES_NI void store_block(std::byte* to, __m128i block) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), block); }

// Each word of a round key is the word before it xored with the word eight earlier: a running xor over four words.
AES_NI __m128i running_xor(__m128i words) {
    words = _mm_xor_si128(words, _mm_slli_si128(words, 4));
    return _mm_xor_si128(words, _mm_slli_si128(words, 8));
}

// The first word of an even round key: rotated, substituted, with the round constant.
template <int RoundConstant>
AES_NI __m128i even_round_key(__m128i two_before, __m128i before) {
    const __m128i assist = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(before, RoundConstant), 0xff);
    return _mm_xor_si128(running_xor(two_before), assist);
}

// The first word of an odd round key: substituted only (AES-256's extra step).
AES_NI __m128i odd_round_key(__m128i two_before, __m128i before) {
    const __m128i assist = _mm_shuffle_epi32(_mm_aeskeygenassist_si128(before, 0), 0xaa);
    return _mm_xor_si128(running_xor(two_before), assist);
}

template <int RoundConstant>
AES_NI void expand_pair(AesRoundKeys& keys, usize even, __m128i& first, __m128i& second) {
    first = even_round_key<RoundConstant>(first, second);
    store_block(keys.key[even], first);
    if (even == aes_256_rounds)
        return;
    second = odd_round_key(second, first);
    store_block(keys.key[even + 1], second);
}

}  // namespace

__attribute__((target("aes,sse2"))) void expand_aes_256_key(std::span<const std::byte, aes_256_key_bytes> key,
                                                            AesRoundKeys& encrypt, AesRoundKeys* decrypt) {
    __m128i first = load_block(key.data());
    __m128i second = load_block(key.data() + XtsCipher::block_bytes);
    store_block(encrypt.key[0], first);
    store_block(encrypt.key[1], second);
    expand_pair<0x01>(encrypt, 2, first, second);
    expand_pair<0x02>(encrypt, 4, first, second);
    expand_pair<0x04>(encrypt, 6, first, second);
    expand_pair<0x08>(encrypt, 8, first, second);
    expand_pair<0x10>(encrypt, 10, first, second);
    expand_pair<0x20>(encrypt, 12, first, second);
    expand_pair<0x40>(encrypt, 14, first, second);
    if (decrypt == nullptr)
        return;

    store_block(decrypt->key[0], load_block(encrypt.key[aes_256_rounds]));
    for (usize round = 1; round < aes_256_rounds; ++round) {
        store_block(decrypt->key[round], _mm_aesimc_si128(load_block(encrypt.key[aes_256_rounds - round])));
    }
    store_block(decrypt->key[aes_256_rounds], load_block(encrypt.key[0]));
}

}  // namespace undercroft
