// Which XTS engine this CPU gets: what CPUID and XCR0 say, and then a known answer, because CPUID can be wrong:
// QEMU 7.2's TCG announces VAES and computes the upper lane of VAESENC and VAESDEC on YMM from the wrong bytes.
// Without the test a disk would be written that nothing else can read.
#include <array>
#include <atomic>
#include <memory>
#include <new>

#include "kernel/base/assert.hpp"
#include "kernel/crypto/cpu_features.hpp"
#include "kernel/crypto/xts_schedule.hpp"

namespace undercroft {
namespace {

bool has_instructions(XtsEngine engine) {
    const CpuCryptoFeatures features = read_cpu_crypto_features();
    switch (engine) {
    case XtsEngine::mbedtls:
        return true;
    case XtsEngine::aes_ni:
        return features.aes;
    case XtsEngine::vaes_256:
        return features.aes && features.avx2 && features.vaes;
    case XtsEngine::vaes_256_clmul:
        return features.aes && features.avx2 && features.vaes && features.vpclmulqdq;
    case XtsEngine::vaes_512:
        return features.aes && features.avx512 && features.vaes && features.vpclmulqdq;
    }
    return false;
}

// Two units, each longer than two of the largest chunks and with a tail, so that every path of an engine runs; the
// second unit's number has wrapped.
constexpr u32 known_unit_bytes = 1040;
constexpr usize known_units = 2;
constexpr u64 known_first_unit = ~0ULL;
constexpr u64 known_ciphertext_checksum = 0xfa848b891b38a0fe;  // as Python's cryptography writes it

struct KnownAnswer {
    static constexpr std::array<std::byte, XtsCipher::key_bytes> make_key() {
        std::array<std::byte, XtsCipher::key_bytes> key{};
        for (usize i = 0; i < key.size(); ++i)
            key[i] = static_cast<std::byte>(5 * i + 3);
        return key;
    }

    explicit KnownAnswer(XtsEngine engine) : schedule(make_key(), engine), words{} {
        for (usize i = 0; i < std::size(words); ++i)
            words[i] = 0x9e3779b97f4a7c15 * i;
    }

    // FNV-1a, a word at a time.
    u64 checksum() const {
        u64 hash = 0xcbf29ce484222325;
        for (const u64 word : words)
            hash = (hash ^ word) * 0x100000001b3;
        return hash;
    }

    std::byte* data() { return reinterpret_cast<std::byte*>(words); }

    XtsSchedule schedule;
    u64 words[known_units * known_unit_bytes / sizeof(u64)];
};

// One bit an engine. A race between CPUs only repeats the test.
constinit std::atomic<u8> tested_engines = 0;
constinit std::atomic<u8> passed_engines = 0;

}  // namespace

const XtsEngineFunctions& xts_functions(XtsEngine engine) {
    switch (engine) {
    case XtsEngine::mbedtls:
        return xts_mbedtls;
    case XtsEngine::aes_ni:
        return xts_aes_ni;
    case XtsEngine::vaes_256:
        return xts_vaes_256;
    case XtsEngine::vaes_256_clmul:
        return xts_vaes_256_clmul;
    case XtsEngine::vaes_512:
        return xts_vaes_512;
    }
    PANIC("no such XTS engine: %u", static_cast<unsigned>(engine));
}

bool gives_known_answer(XtsEngine engine, const XtsEngineFunctions& functions) {
    // On the heap: four kilobytes are much for a stack of the image.
    const std::unique_ptr<KnownAnswer> test(new (std::nothrow) KnownAnswer(engine));
    if (test == nullptr)
        return false;
    const u64 plaintext_checksum = test->checksum();
    functions.encrypt(test->schedule, known_first_unit, known_unit_bytes, test->data(), test->data(), known_units);
    if (test->checksum() != known_ciphertext_checksum)
        return false;
    functions.decrypt(test->schedule, known_first_unit, known_unit_bytes, test->data(), test->data(), known_units);
    return test->checksum() == plaintext_checksum;
}

const char* to_string(XtsEngine engine) {
    switch (engine) {
    case XtsEngine::mbedtls:
        return "mbedtls";
    case XtsEngine::aes_ni:
        return "aes-ni";
    case XtsEngine::vaes_256:
        return "vaes-256";
    case XtsEngine::vaes_256_clmul:
        return "vaes-256-clmul";
    case XtsEngine::vaes_512:
        return "vaes-512";
    }
    return "unknown";
}

bool is_supported(XtsEngine engine) {
    const u8 bit = static_cast<u8>(1U << static_cast<u8>(engine));
    if ((tested_engines.load(std::memory_order_acquire) & bit) == 0) {
        if (has_instructions(engine) && gives_known_answer(engine, xts_functions(engine)))
            passed_engines.fetch_or(bit, std::memory_order_relaxed);
        tested_engines.fetch_or(bit, std::memory_order_release);
    }
    return (passed_engines.load(std::memory_order_relaxed) & bit) != 0;
}

XtsEngine fastest_xts_engine() {
    for (usize i = xts_engine_count; i-- > 0;) {
        const auto engine = static_cast<XtsEngine>(i);
        if (is_supported(engine))
            return engine;
    }
    return XtsEngine::mbedtls;
}

}  // namespace undercroft
