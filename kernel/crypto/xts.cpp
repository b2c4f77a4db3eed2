// AES-256-XTS: the key, and the contract that all engines share. xts_engine.cpp chooses one; they are in the other xts_*.cpp.
#include "kernel/crypto/xts.hpp"

#include <new>
#include <utility>

#include "kernel/base/assert.hpp"
#include "kernel/crypto/wipe.hpp"
#include "kernel/crypto/xts_schedule.hpp"

namespace undercroft {
namespace {

void check_contract(u32 unit_bytes, std::span<const std::byte> in, std::span<std::byte> out) {
    ASSERT(unit_bytes >= XtsCipher::unit_bytes_min && unit_bytes <= XtsCipher::unit_bytes_max);
    ASSERT(unit_bytes % XtsCipher::block_bytes == 0);
    ASSERT(in.size() == out.size());
    const auto in_address = reinterpret_cast<std::uintptr_t>(in.data());
    const auto out_address = reinterpret_cast<std::uintptr_t>(out.data());
    const bool same = in_address == out_address;
    const bool disjoint = in_address + in.size() <= out_address || out_address + out.size() <= in_address;
    ASSERT(same || disjoint);
}

usize count_units(u32 unit_bytes, usize bytes) {
    ASSERT(bytes % unit_bytes == 0);
    return bytes / unit_bytes;
}

}  // namespace

XtsSchedule::XtsSchedule(std::span<const std::byte, XtsCipher::key_bytes> key, XtsEngine chosen)
    : round_keys{}, mbedtls_encrypt{}, mbedtls_decrypt{}, functions(xts_functions(chosen)), engine(chosen) {
    mbedtls_aes_xts_init(&mbedtls_encrypt);
    mbedtls_aes_xts_init(&mbedtls_decrypt);
    if (chosen == XtsEngine::mbedtls) {
        constexpr unsigned key_bits = 8 * XtsCipher::key_bytes;
        const auto* key_data = reinterpret_cast<const unsigned char*>(key.data());
        ASSERT(mbedtls_aes_xts_setkey_enc(&mbedtls_encrypt, key_data, key_bits) == 0);
        ASSERT(mbedtls_aes_xts_setkey_dec(&mbedtls_decrypt, key_data, key_bits) == 0);
    } else {
        expand_aes_256_key(key.first<aes_256_key_bytes>(), round_keys.data_encrypt, &round_keys.data_decrypt);
        expand_aes_256_key(key.last<aes_256_key_bytes>(), round_keys.tweak, nullptr);
    }
}

XtsSchedule::~XtsSchedule() {
    // mbedTLS's contexts own no memory, so that wiping them is all that freeing them would do.
    secure_wipe(std::as_writable_bytes(std::span(this, 1)));
}

void XtsCipher::ScheduleDeleter::operator()(XtsSchedule* schedule) const { delete schedule; }

Result<XtsCipher> XtsCipher::create(std::span<const std::byte, key_bytes> key, std::optional<XtsEngine> engine) {
    if (equal_in_constant_time(key.first<key_bytes / 2>(), key.last<key_bytes / 2>())) {
        return fail(Error::invalid_argument);
    }
    const XtsEngine chosen = engine.value_or(fastest_xts_engine());
    if (!is_supported(chosen))
        return fail(Error::unsupported);
    ScheduleHandle schedule(new (std::nothrow) XtsSchedule(key, chosen));
    if (schedule == nullptr)
        return fail(Error::out_of_memory);
    return XtsCipher(std::move(schedule));
}

XtsCipher::XtsCipher(ScheduleHandle schedule) : schedule_(std::move(schedule)) {}
XtsCipher::XtsCipher(XtsCipher&&) noexcept = default;
XtsCipher& XtsCipher::operator=(XtsCipher&&) noexcept = default;
XtsCipher::~XtsCipher() = default;

void XtsCipher::encrypt(u64 first_unit, u32 unit_bytes, std::span<const std::byte> in, std::span<std::byte> out) const {
    check_contract(unit_bytes, in, out);
    schedule_->functions.encrypt(*schedule_, first_unit, unit_bytes, in.data(), out.data(),
                                 count_units(unit_bytes, in.size()));
}

void XtsCipher::decrypt(u64 first_unit, u32 unit_bytes, std::span<const std::byte> in, std::span<std::byte> out) const {
    check_contract(unit_bytes, in, out);
    schedule_->functions.decrypt(*schedule_, first_unit, unit_bytes, in.data(), out.data(),
                                 count_units(unit_bytes, in.size()));
}

XtsEngine XtsCipher::engine() const { return schedule_->engine; }

}  // namespace undercroft
