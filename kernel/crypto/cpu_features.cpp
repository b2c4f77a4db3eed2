// CPUID leaves 1 and 7 and XCR0; bit numbers from Intel SDM volume 2, CPUID and XGETBV.
#include "kernel/crypto/cpu_features.hpp"

#include <cpuid.h>
#include <immintrin.h>

#include "kernel/base/types.hpp"

namespace undercroft {
namespace {

constexpr u64 xcr0_sse_and_avx = 0x06;
constexpr u64 xcr0_avx512 = 0xe6;  // the above, opmask, upper halves of ZMM0-15, ZMM16-31

constexpr bool has_all(u64 value, u64 bits) { return (value & bits) == bits; }

// Only with CPUID.1:ECX.OSXSAVE, else it faults.
__attribute__((target("xsave"))) u64 read_xcr0() { return _xgetbv(0); }

}  // namespace

CpuCryptoFeatures read_cpu_crypto_features() {
    CpuCryptoFeatures features;
    unsigned eax = 0;
    unsigned ebx = 0;
    unsigned ecx = 0;
    unsigned edx = 0;
    if (__get_cpuid(1, &eax, &ebx, &ecx, &edx) == 0)
        return features;
    features.aes = has_all(ecx, bit_AES);
    if (!has_all(ecx, bit_OSXSAVE | bit_AVX))
        return features;
    const u64 xcr0 = read_xcr0();
    if (!has_all(xcr0, xcr0_sse_and_avx))
        return features;

    if (__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) == 0)
        return features;
    features.avx2 = has_all(ebx, bit_AVX2);
    features.vaes = has_all(ecx, bit_VAES);
    features.vpclmulqdq = has_all(ecx, bit_VPCLMULQDQ);
    features.avx512 = has_all(xcr0, xcr0_avx512) && has_all(ebx, bit_AVX512F | bit_AVX512BW | bit_AVX512VL) &&
                      has_all(ecx, bit_AVX512VBMI2);
    return features;
}

}  // namespace undercroft
