// The VAES engines on YMM registers: two blocks a register, eight registers (256 bytes) in flight.
// Two of them, because VPCLMULQDQ is a CPUID bit of its own: emulators have VAES without it.
#define XTS_TARGET "avx2,aes,vaes,vpclmulqdq"
#include "kernel/crypto/xts_kernel.inc"

namespace undercroft {
namespace {

// The low 64-bit halves of both lanes, times 0x87 = alpha^7 + alpha^2 + alpha + 1, as polynomials over GF(2).
struct MultiplyByShifts {
    XTS_INLINE static __m256i reduce(__m256i carries) {
        const __m256i low = _mm256_xor_si256(carries, _mm256_slli_epi64(carries, 1));
        const __m256i high = _mm256_xor_si256(_mm256_slli_epi64(carries, 2), _mm256_slli_epi64(carries, 7));
        return _mm256_xor_si256(low, high);
    }
};

struct MultiplyByClmul {
    XTS_INLINE static __m256i reduce(__m256i carries) {
        return _mm256_clmulepi64_epi128(carries, _mm256_set1_epi64x(0x87), 0x00);
    }
};

template <typename Multiply>
struct Avx2 {
    using Register = __m256i;
    static constexpr usize lanes = 2;
    static constexpr usize registers = 8;
    static constexpr usize register_bytes = sizeof(Register);

    XTS_INLINE static Register broadcast(const std::byte* block) {
        return _mm256_broadcastsi128_si256(load_block(block));
    }
    XTS_INLINE static Register read_once(const std::byte* from) {
        // SAFETY: __m256i_u may alias and needs no alignment; volatile: see read_block_once.
        return *reinterpret_cast<const volatile __m256i_u*>(from);
    }
    XTS_INLINE static void store(std::byte* to, Register value) {
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
    }
    XTS_INLINE static Register exclusive_or(Register a, Register b) { return _mm256_xor_si256(a, b); }
    XTS_INLINE static Register encrypt_round(Register state, Register key) { return _mm256_aesenc_epi128(state, key); }
    XTS_INLINE static Register decrypt_round(Register state, Register key) { return _mm256_aesdec_epi128(state, key); }
    XTS_INLINE static Register encrypt_last_round(Register state, Register key) {
        return _mm256_aesenclast_epi128(state, key);
    }
    XTS_INLINE static Register decrypt_last_round(Register state, Register key) {
        return _mm256_aesdeclast_epi128(state, key);
    }
    XTS_INLINE static Register unit_numbers(u64 first) {
        const Register base = _mm256_broadcastsi128_si256(_mm_cvtsi64_si128(static_cast<long long>(first)));
        return _mm256_add_epi64(base, _mm256_set_epi64x(0, 1, 0, 0));
    }

    // Times alpha^(8 * Bytes): a byte shift of the lane; the bytes that leave at the top come back times 0x87.
    template <int Bytes>
    XTS_INLINE static Register times_alpha_bytes(Register tweaks) {
        const Register carries = _mm256_bsrli_epi128(tweaks, 16 - Bytes);
        return _mm256_xor_si256(_mm256_bslli_epi128(tweaks, Bytes), Multiply::reduce(carries));
    }

    // Times alpha^n, n = `counts` of each lane, below 64: shifts of the 64-bit halves; what leaves the low half goes to
    // the high one, what leaves the high one comes back times 0x87.
    XTS_INLINE static Register times_alpha_bits(Register tweaks, Register counts) {
        const Register carries = _mm256_srlv_epi64(tweaks, _mm256_sub_epi64(_mm256_set1_epi64x(64), counts));
        const Register shifted = _mm256_xor_si256(_mm256_sllv_epi64(tweaks, counts), _mm256_bslli_epi128(carries, 8));
        return _mm256_xor_si256(shifted, Multiply::reduce(_mm256_bsrli_epi128(carries, 8)));
    }

    // The tweaks of register `i` of a unit's first chunk. The later half are the earlier ones times alpha^8: cheaper.
    XTS_INLINE static void start_tweak(Register (&tweaks)[registers], usize i, Register first) {
        if (i < registers / 2) {
            const long long n = 2 * static_cast<long long>(i);
            tweaks[i] = times_alpha_bits(first, _mm256_set_epi64x(n + 1, n + 1, n, n));
        } else {
            tweaks[i] = times_alpha_bytes<1>(tweaks[i - registers / 2]);
        }
    }

    // From chunk to chunk: times alpha^16.
    XTS_INLINE static void advance_tweak(Register (&tweaks)[registers], usize i) {
        tweaks[i] = times_alpha_bytes<2>(tweaks[i]);
    }
};

}  // namespace

const XtsEngineFunctions xts_vaes_256{crypt_units<Avx2<MultiplyByShifts>, true>,
                                      crypt_units<Avx2<MultiplyByShifts>, false>};
const XtsEngineFunctions xts_vaes_256_clmul{crypt_units<Avx2<MultiplyByClmul>, true>,
                                            crypt_units<Avx2<MultiplyByClmul>, false>};

}  // namespace undercroft
