// Any 512 bytes as a VHD footer, as they are and with the checksum put right: what is accepted is a disk that lies
// inside its file, and a footer made for that disk is accepted again.
#include <bit>
#include <cstring>

#include "kernel/base/assert.hpp"
#include "storage/formats/vhd1.hpp"
#include "tests/fuzz/fuzz_input.hpp"

using namespace undercroft;

namespace {

void check(const Vhd1Footer& footer, u64 file_bytes) {
    auto bytes = std::bit_cast<std::array<std::byte, vhd1_footer_bytes>>(footer);
    Result<Vhd1Info, std::string> info = parse_vhd1_footer(bytes, file_bytes);
    if (!info) {
        ASSERT(!info.error().empty());
        return;
    }
    ASSERT(info->size_bytes > 0 && info->size_bytes % vhd1_sector_bytes == 0);
    ASSERT(info->size_bytes + vhd1_footer_bytes == file_bytes);
    Vhd1Footer again = make_vhd1_footer(info->size_bytes, info->unique_id, info->time_stamp);
    Result<Vhd1Info, std::string> same =
        parse_vhd1_footer(std::bit_cast<std::array<std::byte, vhd1_footer_bytes>>(again), file_bytes);
    ASSERT(same.has_value() && same->size_bytes == info->size_bytes && same->unique_id == info->unique_id);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const u8* data, size_t size) {
    fuzz::Input input(data, size);
    Vhd1Footer footer;
    std::array<std::byte, vhd1_footer_bytes> bytes{};
    input.fill(bytes);
    std::memcpy(&footer, bytes.data(), sizeof(footer));
    u64 file_bytes = input.is_empty() ? u64{footer.current_size} + vhd1_footer_bytes : input.take<u64>();
    check(footer, file_bytes);
    footer.checksum = vhd1_checksum(footer);
    check(footer, file_bytes);
    return 0;
}
