// The VAES engine on ZMM registers: four blocks a register, eight registers (512 bytes, the usual unit) in flight.
#define XTS_TARGET "avx512f,avx512bw,avx512vl,avx512vbmi2,aes,vaes,vpclmulqdq,evex512"
#include "kernel/crypto/xts_kernel.inc"

namespace undercroft {
namespace {

struct Avx512 {
    using Register = __m512i;
    static constexpr usize lanes = 4;
    static constexpr usize registers = 8;
    static constexpr usize register_bytes = sizeof(Register);

    XTS_INLINE static Register broadcast(const std::byte* block) { return _mm512_broadcast_i32x4(load_block(block)); }
    XTS_INLINE static Register read_once(const std::byte* from) {
        // SAFETY: __m512i_u may alias and needs no alignment; volatile: see read_block_once.
        return *reinterpret_cast<const volatile __m512i_u*>(from);
    }
    XTS_INLINE static void store(std::byte* to, Register value) { _mm512_storeu_si512(to, value); }
    XTS_INLINE static Register exclusive_or(Register a, Register b) { return _mm512_xor_si512(a, b); }
    XTS_INLINE static Register encrypt_round(Register state, Register key) { return _mm512_aesenc_epi128(state, key); }
    XTS_INLINE static Register decrypt_round(Register state, Register key) { return _mm512_aesdec_epi128(state, key); }
    XTS_INLINE static Register encrypt_last_round(Register state, Register key) {
        return _mm512_aesenclast_epi128(state, key);
    }
    XTS_INLINE static Register decrypt_last_round(Register state, Register key) {
        return _mm512_aesdeclast_epi128(state, key);
    }
    XTS_INLINE static Register unit_numbers(u64 first) {
        const Register base = _mm512_broadcast_i32x4(_mm_cvtsi64_si128(static_cast<long long>(first)));
        return _mm512_add_epi64(base, _mm512_set_epi64(0, 3, 0, 2, 0, 1, 0, 0));
    }

    // The low 64-bit halves of the lanes, times 0x87 = alpha^7 + alpha^2 + alpha + 1, as polynomials over GF(2).
    XTS_INLINE static Register reduce(Register carries) {
        return _mm512_clmulepi64_epi128(carries, _mm512_set1_epi64(0x87), 0x00);
    }

    // Times alpha^(8 * Bytes): a byte shift of the lane; the bytes that leave at the top come back times 0x87.
    template <int Bytes>
    XTS_INLINE static Register times_alpha_bytes(Register tweaks) {
        const Register carries = _mm512_bsrli_epi128(tweaks, 16 - Bytes);
        return _mm512_xor_si512(_mm512_bslli_epi128(tweaks, Bytes), reduce(carries));
    }

    // Times alpha^n, n = `counts` of each lane, below 64: a funnel shift carries from the low half to
    // the high one; what leaves the high half comes back times 0x87.
    XTS_INLINE static Register times_alpha_bits(Register tweaks, Register counts) {
        const Register low_to_high = _mm512_bslli_epi128(tweaks, 8);
        const Register carries = _mm512_srlv_epi64(tweaks, _mm512_sub_epi64(_mm512_set1_epi64(64), counts));
        const Register back = _mm512_clmulepi64_epi128(carries, _mm512_set1_epi64(0x87), 0x01);
        return _mm512_xor_si512(_mm512_shldv_epi64(tweaks, low_to_high, counts), back);
    }

    // The tweaks of register `i` of a unit's first chunk, whose first tweak is in each lane of `first`.
    XTS_INLINE static void start_tweak(Register (&tweaks)[registers], usize i, Register first) {
        const long long n = 4 * static_cast<long long>(i);
        tweaks[i] = times_alpha_bits(first, _mm512_set_epi64(n + 3, n + 3, n + 2, n + 2, n + 1, n + 1, n, n));
    }

    // From chunk to chunk: times alpha^32.
    XTS_INLINE static void advance_tweak(Register (&tweaks)[registers], usize i) {
        tweaks[i] = times_alpha_bytes<4>(tweaks[i]);
    }
};

}  // namespace

const XtsEngineFunctions xts_vaes_512{crypt_units<Avx512, true>, crypt_units<Avx512, false>};

}  // namespace undercroft
