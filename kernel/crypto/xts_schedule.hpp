// What an expanded AES-256-XTS key looks like in memory, and what an engine has to provide. Private to kernel/crypto.
// FIPS 197 section 5.2 (key expansion) and 5.3.5 (equivalent inverse cipher: its own, inverse-mixed round keys).
#pragma once

#include <mbedtls/aes.h>

#include <cstddef>
#include <span>

#include "kernel/base/result.hpp"
#include "kernel/base/types.hpp"
#include "kernel/crypto/xts.hpp"

namespace undercroft {

inline constexpr usize aes_256_rounds = 14;
inline constexpr usize aes_256_key_bytes = 32;

/// The round keys of AES-256 in the order in which they are used.
struct AesRoundKeys {
    alignas(16) std::byte key[aes_256_rounds + 1][XtsCipher::block_bytes];
};
static_assert(sizeof(AesRoundKeys) == 240);

/// For the engines that use the CPU's instructions.
struct XtsRoundKeys {
    AesRoundKeys data_encrypt;
    AesRoundKeys data_decrypt;
    AesRoundKeys tweak;
};

/// One direction of one engine. `in` and `out`: `units * unit_bytes` bytes, equal or disjoint.
using XtsFunction = void (*)(const XtsSchedule& schedule, u64 first_unit, u32 unit_bytes, const std::byte* in,
                             std::byte* out, usize units);

struct XtsEngineFunctions {
    XtsFunction encrypt;
    XtsFunction decrypt;
};

extern const XtsEngineFunctions xts_mbedtls;
extern const XtsEngineFunctions xts_aes_ni;
extern const XtsEngineFunctions xts_vaes_256;
extern const XtsEngineFunctions xts_vaes_256_clmul;
extern const XtsEngineFunctions xts_vaes_512;

/// An expanded key. Not movable: mbedTLS contexts point into themselves. Wipes all of its bytes when destroyed.
struct alignas(64) XtsSchedule {
    XtsSchedule(std::span<const std::byte, XtsCipher::key_bytes> key, XtsEngine engine);
    XtsSchedule(const XtsSchedule&) = delete;
    XtsSchedule& operator=(const XtsSchedule&) = delete;
    ~XtsSchedule();

    XtsRoundKeys round_keys;                  // unused by xts_mbedtls
    mbedtls_aes_xts_context mbedtls_encrypt;  // these two: used by xts_mbedtls only
    mbedtls_aes_xts_context mbedtls_decrypt;
    XtsEngineFunctions functions;
    XtsEngine engine;
};

/// The functions of `engine`, whether or not this CPU can execute them.
const XtsEngineFunctions& xts_functions(XtsEngine engine);

/// Whether `functions` encrypt and decrypt a known plaintext rightly, given the schedule that `engine` uses.
/// False as well if there is no memory for the test (about 4 KiB).
bool gives_known_answer(XtsEngine engine, const XtsEngineFunctions& functions);

/// Expands `key` with the CPU's AES instructions, which must exist.
/// `decrypt` may be null; else it receives the keys of the equivalent inverse cipher.
void expand_aes_256_key(std::span<const std::byte, aes_256_key_bytes> key, AesRoundKeys& encrypt,
                        AesRoundKeys* decrypt);

}  // namespace undercroft
