// AES-256-XTS for disks: IEEE 1619-2018, data units of 512 to 4096 bytes, tweak = 64-bit little-endian unit number.
// Byte for byte what dm-crypt writes for `aes-xts-plain64` with `sector_size` = unit size and IVs counted in units.
// Leaves out ciphertext stealing (a unit is a multiple of 16 bytes), other key sizes, and integrity: XTS has none.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>

#include "kernel/base/result.hpp"
#include "kernel/base/types.hpp"

namespace undercroft {

/// The implementations, slowest first. They differ in speed only; every one gives the same bytes.
enum class XtsEngine : u8 {
    mbedtls,         ///< the reference, and the fallback for a CPU without AES instructions
    aes_ni,          ///< one block an instruction, eight in flight
    vaes_256,        ///< two blocks an instruction; for CPUs without VPCLMULQDQ
    vaes_256_clmul,  ///< the same, tweaks advanced by carry-less multiplication
    vaes_512,        ///< four blocks an instruction
};
inline constexpr usize xts_engine_count = 5;

/// The name of `engine` for logs and tables, for example "vaes-512".
const char* to_string(XtsEngine engine);

/// Whether this CPU, with the vector state the running system has enabled (XCR0), has the instructions of `engine`, and
/// they give the right bytes for a known plaintext: QEMU 7.2's TCG has a VAES that does not. Tested once, then remembered.
bool is_supported(XtsEngine engine);

/// The engine `XtsCipher::create` takes when the caller names none: the fastest that `is_supported`.
XtsEngine fastest_xts_engine();

struct XtsSchedule;

/// One AES-256-XTS key, expanded. Movable, not copyable; wiped when destroyed.
/// All operations are const and may run on several CPUs at once.
class XtsCipher {
public:
    static constexpr usize key_bytes = 64;
    static constexpr u32 unit_bytes_min = 512;
    static constexpr u32 unit_bytes_max = 4096;
    static constexpr u32 block_bytes = 16;

    /// Expands `key` = data key || tweak key, 32 bytes each. The caller still owns, and should wipe, `key`.
    /// Errors: invalid_argument if both halves are equal (IEEE 1619-2018 forbids it: XTS is then not secure);
    /// unsupported if the CPU lacks `engine`; out_of_memory.
    static Result<XtsCipher> create(std::span<const std::byte, key_bytes> key,
                                    std::optional<XtsEngine> engine = std::nullopt);

    XtsCipher(XtsCipher&&) noexcept;
    XtsCipher& operator=(XtsCipher&&) noexcept;
    ~XtsCipher();

    /// Encrypts whole data units, numbered from `first_unit` (modulo 2^64), from `in` to `out` in one pass.
    /// `unit_bytes`: 512 to 4096, a multiple of 16. `in` and `out`: the same size, a multiple of `unit_bytes`, any
    /// alignment; either the same memory (in place) or disjoint. Sizes that break this are our own bug: asserted.
    /// Each byte of `in` is read exactly once, so a guest that changes it meanwhile only harms its own data.
    void encrypt(u64 first_unit, u32 unit_bytes, std::span<const std::byte> in, std::span<std::byte> out) const;

    /// The inverse of `encrypt`, same contract.
    void decrypt(u64 first_unit, u32 unit_bytes, std::span<const std::byte> in, std::span<std::byte> out) const;

    /// The implementation that was chosen.
    XtsEngine engine() const;

private:
    struct ScheduleDeleter {
        void operator()(XtsSchedule* schedule) const;
    };
    using ScheduleHandle = std::unique_ptr<XtsSchedule, ScheduleDeleter>;

    explicit XtsCipher(ScheduleHandle schedule);

    ScheduleHandle schedule_;
};

}  // namespace undercroft
