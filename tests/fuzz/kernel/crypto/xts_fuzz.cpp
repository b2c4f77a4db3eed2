// Differential fuzzing of AES-256-XTS: every engine of the CPU against mbedTLS, both directions, in place and not.
// Input: 64 bytes of key, 8 of unit number, 1 of unit size, 1 of misalignment, then the data (cut to whole units).
#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#include "kernel/base/assert.hpp"
#include "kernel/crypto/xts.hpp"

namespace undercroft {
namespace {

constexpr usize header_bytes = XtsCipher::key_bytes + 10;
constexpr usize data_bytes_max = 16 * kib;

struct Input {
    std::array<std::byte, XtsCipher::key_bytes> key;
    u64 first_unit;
    u32 unit_bytes;
    usize misalignment;
    std::vector<std::byte> data;
};

Input parse(std::span<const u8> bytes) {
    Input input{};
    std::memcpy(input.key.data(), bytes.data(), input.key.size());
    std::memcpy(&input.first_unit, bytes.data() + input.key.size(), sizeof(input.first_unit));
    constexpr u32 sizes = (XtsCipher::unit_bytes_max - XtsCipher::unit_bytes_min) / 16 + 1;
    input.unit_bytes = XtsCipher::unit_bytes_min + 16 * (bytes[header_bytes - 2] % sizes);
    input.misalignment = bytes[header_bytes - 1] % 64;
    const auto rest = bytes.subspan(header_bytes);
    // Short inputs are worth a whole unit too: what is missing is zeros.
    const usize used = std::min(rest.size(), data_bytes_max);
    const usize units = (used + input.unit_bytes - 1) / input.unit_bytes;
    input.data.resize(units * input.unit_bytes);
    std::ranges::copy(std::as_bytes(rest.first(used)), input.data.begin());
    return input;
}

void compare(const Input& input, XtsEngine engine, std::span<const std::byte> encrypted) {
    const auto cipher = XtsCipher::create(input.key, engine);
    ASSERT(cipher.has_value());
    std::vector<std::byte> storage(input.data.size() + input.misalignment);
    const auto out = std::span(storage).subspan(input.misalignment);
    cipher->encrypt(input.first_unit, input.unit_bytes, input.data, out);
    ASSERT(std::ranges::equal(out, encrypted));
    cipher->decrypt(input.first_unit, input.unit_bytes, out, out);
    ASSERT(std::ranges::equal(out, input.data));
    cipher->encrypt(input.first_unit, input.unit_bytes, out, out);
    ASSERT(std::ranges::equal(out, encrypted));
}

}  // namespace
}  // namespace undercroft

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace undercroft;
    if (size < header_bytes)
        return 0;
    const Input input = parse({data, size});
    const auto reference = XtsCipher::create(input.key, XtsEngine::mbedtls);
    const bool halves_equal = std::equal(input.key.begin(), input.key.begin() + 32, input.key.begin() + 32);
    ASSERT(reference.has_value() == !halves_equal);
    if (!reference)
        return 0;
    std::vector<std::byte> encrypted(input.data.size());
    reference->encrypt(input.first_unit, input.unit_bytes, input.data, encrypted);
    for (usize i = 1; i < xts_engine_count; ++i) {
        const auto engine = static_cast<XtsEngine>(i);
        if (is_supported(engine))
            compare(input, engine, encrypted);
    }
    return 0;
}
