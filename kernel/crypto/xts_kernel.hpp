// The XTS pass that all vector engines share, written over a vector type `V`. IEEE 1619-2018 section 5.
//
// Private to the engines: xts_*.cpp defines XTS_TARGET (the instruction sets it may use), includes this file, and
// supplies V (the operations on one register of `V::lanes` blocks, and on `V::registers` registers of tweaks).
// Everything is forced inline into one function per engine and direction, which is where the target takes effect;
// the anonymous namespace keeps the engines' instantiations apart.
//
// How it gets its speed (performance.md section 1): the AES units are busy only if at least eight independent
// instructions are in flight, so a chunk is `V::registers` registers and the rounds run across them; the IVs of
// eight units are encrypted together; the tweaks of a chunk are computed independently of each other.
#pragma once

#include <immintrin.h>

#include <cstddef>

#include "kernel/base/types.hpp"
#include "kernel/crypto/xts_schedule.hpp"

#ifndef XTS_TARGET
#error "define XTS_TARGET before including this file"
#endif
#define XTS_INLINE __attribute__((target(XTS_TARGET), always_inline)) inline

namespace undercroft {
namespace {

constexpr usize xts_units_at_once = 8;  // whose IVs are encrypted together

XTS_INLINE __m128i load_block(const std::byte* block) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(block));
}

XTS_INLINE void store_block(std::byte* to, __m128i block) { _mm_storeu_si128(reinterpret_cast<__m128i*>(to), block); }

// A block of data, which a guest may be changing: volatile makes it exactly one read.
XTS_INLINE __m128i read_block_once(const std::byte* block) {
    // SAFETY: __m128i_u may alias and needs no alignment.
    return *reinterpret_cast<const volatile __m128i_u*>(block);
}

template <bool Encrypt>
XTS_INLINE __m128i crypt_block(const AesRoundKeys& keys, __m128i state) {
    state = _mm_xor_si128(state, load_block(keys.key[0]));
    for (usize round = 1; round < aes_256_rounds; ++round) {
        const __m128i key = load_block(keys.key[round]);
        state = Encrypt ? _mm_aesenc_si128(state, key) : _mm_aesdec_si128(state, key);
    }
    const __m128i key = load_block(keys.key[aes_256_rounds]);
    return Encrypt ? _mm_aesenclast_si128(state, key) : _mm_aesdeclast_si128(state, key);
}

// The first tweaks of `units` (at most eight) units from `first_unit`: their numbers, encrypted under the tweak key.
template <typename V>
XTS_INLINE void encrypt_unit_numbers(const AesRoundKeys& keys, u64 first_unit, usize units, std::byte* tweaks) {
    if (units == 1) {
        store_block(tweaks, crypt_block<true>(keys, _mm_cvtsi64_si128(static_cast<long long>(first_unit))));
        return;
    }
    constexpr usize registers = xts_units_at_once / V::lanes;
    typename V::Register state[registers];
    const auto first_key = V::broadcast(keys.key[0]);
    for (usize i = 0; i < registers; ++i) {
        state[i] = V::exclusive_or(V::unit_numbers(first_unit + i * V::lanes), first_key);
    }
#pragma clang loop unroll(disable)
    for (usize round = 1; round < aes_256_rounds; ++round) {
        const auto key = V::broadcast(keys.key[round]);
        for (usize i = 0; i < registers; ++i)
            state[i] = V::encrypt_round(state[i], key);
    }
    const auto last_key = V::broadcast(keys.key[aes_256_rounds]);
    for (usize i = 0; i < registers; ++i) {
        V::store(tweaks + i * V::register_bytes, V::encrypt_last_round(state[i], last_key));
    }
}

// What `crypt_chunk` leaves in its tweaks.
enum class NextTweaks : u8 {
    of_next_chunk,  // of the same unit
    of_other_unit,  // of the first chunk of the unit whose first tweak is given
};

// One chunk: V::registers registers, each with its tweaks. The tweaks that are needed next are computed between the
// rounds, where the AES units leave the CPU's other units idle.
template <typename V, bool Encrypt, NextTweaks Next>
XTS_INLINE void crypt_chunk(const AesRoundKeys& keys, typename V::Register (&tweaks)[V::registers],
                            typename V::Register other_unit, const std::byte* in, std::byte* out) {
    static_assert(V::registers < aes_256_rounds);
    typename V::Register state[V::registers];
    typename V::Register last_keys[V::registers];
    const auto first_key = V::broadcast(keys.key[0]);
    for (usize i = 0; i < V::registers; ++i) {
        state[i] = V::exclusive_or(V::exclusive_or(tweaks[i], first_key), V::read_once(in + i * V::register_bytes));
    }
    // The last round xors its key into the state: the tweak goes in with it.
    const auto last_key = V::broadcast(keys.key[aes_256_rounds]);
    for (usize i = 0; i < V::registers; ++i)
        last_keys[i] = V::exclusive_or(tweaks[i], last_key);
#pragma clang loop unroll(full)
    for (usize round = 1; round < aes_256_rounds; ++round) {
        const auto key = V::broadcast(keys.key[round]);
        for (usize i = 0; i < V::registers; ++i) {
            state[i] = Encrypt ? V::encrypt_round(state[i], key) : V::decrypt_round(state[i], key);
        }
        if (round > V::registers)
            continue;
        if constexpr (Next == NextTweaks::of_next_chunk) {
            V::advance_tweak(tweaks, round - 1);
        } else {
            V::start_tweak(tweaks, round - 1, other_unit);
        }
    }
    for (usize i = 0; i < V::registers; ++i) {
        state[i] =
            Encrypt ? V::encrypt_last_round(state[i], last_keys[i]) : V::decrypt_last_round(state[i], last_keys[i]);
        V::store(out + i * V::register_bytes, state[i]);
    }
}

// The end of a unit whose size is not a multiple of the chunk: a block at a time. Disks do not have such units.
template <typename V, bool Encrypt>
__attribute__((target(XTS_TARGET), noinline)) void crypt_tail(const AesRoundKeys& keys, const std::byte* tweaks,
                                                              const std::byte* in, std::byte* out, usize bytes) {
    for (usize offset = 0; offset < bytes; offset += XtsCipher::block_bytes) {
        const __m128i tweak = load_block(tweaks + offset);
        const __m128i state = crypt_block<Encrypt>(keys, _mm_xor_si128(tweak, read_block_once(in + offset)));
        store_block(out + offset, _mm_xor_si128(tweak, state));
    }
}

// One data unit. `tweaks`: those of its first chunk; afterwards those of the unit whose first tweak is `next_unit`.
template <typename V, bool Encrypt>
XTS_INLINE void crypt_unit(const AesRoundKeys& keys, typename V::Register (&tweaks)[V::registers],
                           typename V::Register next_unit, const std::byte* in, std::byte* out, usize bytes) {
    constexpr usize chunk_bytes = V::registers * V::register_bytes;
    while (bytes > chunk_bytes) {
        crypt_chunk<V, Encrypt, NextTweaks::of_next_chunk>(keys, tweaks, next_unit, in, out);
        bytes -= chunk_bytes;
        in += chunk_bytes;
        out += chunk_bytes;
    }
    if (bytes == chunk_bytes) [[likely]] {
        crypt_chunk<V, Encrypt, NextTweaks::of_other_unit>(keys, tweaks, next_unit, in, out);
    } else {
        alignas(64) std::byte tail_tweaks[chunk_bytes];
        for (usize i = 0; i < V::registers; ++i)
            V::store(tail_tweaks + i * V::register_bytes, tweaks[i]);
        crypt_tail<V, Encrypt>(keys, tail_tweaks, in, out, bytes);
        for (usize i = 0; i < V::registers; ++i)
            V::start_tweak(tweaks, i, next_unit);
    }
}

template <typename V, bool Encrypt>
__attribute__((target(XTS_TARGET))) void crypt_units(const XtsSchedule& schedule, u64 first_unit, u32 unit_bytes,
                                                     const std::byte* in, std::byte* out, usize units) {
    const XtsRoundKeys& keys = schedule.round_keys;
    const AesRoundKeys& data_keys = Encrypt ? keys.data_encrypt : keys.data_decrypt;
    alignas(64) std::byte first_tweaks[xts_units_at_once * XtsCipher::block_bytes];
    while (units > 0) {
        const usize batch = units < xts_units_at_once ? units : xts_units_at_once;
        encrypt_unit_numbers<V>(keys.tweak, first_unit, batch, first_tweaks);
        typename V::Register tweaks[V::registers];
        typename V::Register next_unit = V::broadcast(first_tweaks);
        for (usize i = 0; i < V::registers; ++i)
            V::start_tweak(tweaks, i, next_unit);
        for (usize unit = 1; unit <= batch; ++unit) {
            // After the last unit of the batch these tweaks are computed for nothing: in slots that are idle anyway.
            if (unit < batch)
                next_unit = V::broadcast(first_tweaks + unit * XtsCipher::block_bytes);
            crypt_unit<V, Encrypt>(data_keys, tweaks, next_unit, in, out, unit_bytes);
            in += unit_bytes;
            out += unit_bytes;
        }
        first_unit += batch;
        units -= batch;
    }
}

}  // namespace
}  // namespace undercroft
