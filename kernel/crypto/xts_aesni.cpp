// The AES-NI engine: one block a register, eight in flight. Needs nothing newer than SSE2 and AES.
#define XTS_TARGET "aes,sse2"
#include "kernel/crypto/xts_kernel.inc"

namespace undercroft {
namespace {

struct Sse {
    using Register = __m128i;
    static constexpr usize lanes = 1;
    static constexpr usize registers = 8;
    static constexpr usize register_bytes = sizeof(Register);

    XTS_INLINE static Register broadcast(const std::byte* block) { return load_block(block); }
    XTS_INLINE static Register read_once(const std::byte* from) { return read_block_once(from); }
    XTS_INLINE static void store(std::byte* to, Register value) { store_block(to, value); }
    XTS_INLINE static Register exclusive_or(Register a, Register b) { return _mm_xor_si128(a, b); }
    XTS_INLINE static Register encrypt_round(Register state, Register key) { return _mm_aesenc_si128(state, key); }
    XTS_INLINE static Register decrypt_round(Register state, Register key) { return _mm_aesdec_si128(state, key); }
    XTS_INLINE static Register encrypt_last_round(Register state, Register key) {
        return _mm_aesenclast_si128(state, key);
    }
    XTS_INLINE static Register decrypt_last_round(Register state, Register key) {
        return _mm_aesdeclast_si128(state, key);
    }
    XTS_INLINE static Register unit_numbers(u64 first) { return _mm_cvtsi64_si128(static_cast<long long>(first)); }

    // Times alpha in GF(2^128): a shift left by one; bit 63 carries into bit 64, bit 127 comes back as 0x87.
    // The serial chain of these is four cycles a block, where the AES unit needs seven: it is never waited for.
    XTS_INLINE static Register times_alpha(Register tweak) {
        const Register signs = _mm_srai_epi32(_mm_shuffle_epi32(tweak, _MM_SHUFFLE(0, 1, 0, 3)), 31);
        const Register carries = _mm_and_si128(signs, _mm_set_epi32(0, 1, 0, 0x87));
        return _mm_xor_si128(_mm_add_epi64(tweak, tweak), carries);
    }

    // Both are called for i = 0, 1, 2 and so on in turn.
    XTS_INLINE static void start_tweak(Register (&tweaks)[registers], usize i, Register first) {
        tweaks[i] = i == 0 ? first : times_alpha(tweaks[i - 1]);
    }
    XTS_INLINE static void advance_tweak(Register (&tweaks)[registers], usize i) {
        tweaks[i] = times_alpha(tweaks[i == 0 ? registers - 1 : i - 1]);
    }
};

}  // namespace

const XtsEngineFunctions xts_aes_ni{crypt_units<Sse, true>, crypt_units<Sse, false>};

}  // namespace undercroft
