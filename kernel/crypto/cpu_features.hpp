// Which of the CPU's instructions for cryptography may be executed here: CPUID says that they exist,
// XCR0 that the running system keeps the registers they use (Intel SDM volume 1, section 14.3 and 15.2).
#pragma once

namespace undercroft {

struct CpuCryptoFeatures {
    bool aes = false;         ///< AES-NI (128-bit)
    bool avx2 = false;        ///< AVX2, with XMM and YMM state enabled
    bool avx512 = false;      ///< AVX-512 F, BW, VL and VBMI2, with opmask and ZMM state enabled
    bool vaes = false;        ///< VAES on YMM; on ZMM with `avx512`
    bool vpclmulqdq = false;  ///< VPCLMULQDQ, a bit of its own: QEMU's TCG has VAES without it
};

/// Asks this CPU. All CPUs of a machine answer alike. Costs an exit per CPUID under a hypervisor: not for hot paths.
CpuCryptoFeatures read_cpu_crypto_features();

}  // namespace undercroft
