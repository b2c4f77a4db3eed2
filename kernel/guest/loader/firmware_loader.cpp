// Checks and placement of firmware.
#include "kernel/guest/loader/firmware_loader.hpp"

#include <algorithm>
#include <bit>

#include "kernel/guest/address_map.hpp"

namespace undercroft {

namespace {

constexpr u64 firmware_bytes_min = 64 * kib;
constexpr usize jump_bytes = 5;  // a far jump: what a PC's firmware has at the reset vector
constexpr u64 reset_vector_from_end = 16;
constexpr u16 attributes_code = 0x009B;
constexpr u16 attributes_data = 0x0093;
constexpr u16 attributes_ldt = 0x0082;
constexpr u16 attributes_task = 0x008B;
constexpr u64 cr0_after_reset = 0x10;  // ET
constexpr u64 pat_after_reset = 0x0007'0406'0007'0406;

/// Nothing that a processor could run is all zeros or all ones.
Result<void, LoadError> check_reset_vector(ImageSource& firmware) {
    std::byte code[jump_bytes] = {};
    if (!firmware.read(firmware.size_bytes() - reset_vector_from_end, code)) {
        return refuse_image(Error::device_error, "the firmware cannot be read");
    }
    bool same = std::ranges::all_of(code, [&](std::byte byte) { return byte == code[0]; });
    if (same && (code[0] == std::byte{0} || code[0] == std::byte{0xFF})) {
        return refuse_image(Error::malformed,
                            "the firmware has no code at its reset vector, 16 bytes from its end: give "
                            "a BIOS image such as SeaBIOS's bios-256k.bin");
    }
    return {};
}

tlfs::InitialVpContext state_after_reset() {
    tlfs::InitialVpContext context = {};
    tlfs::SegmentRegister data = {0, 0xFFFF, 0, attributes_data};
    context.rip = 0xFFF0;
    context.rflags = 2;
    context.cs = {0xFFFF'0000, 0xFFFF, 0xF000, attributes_code};
    context.ds = context.es = context.ss = context.fs = context.gs = data;
    context.tr = {0, 0xFFFF, 0, attributes_task};
    context.ldtr = {0, 0xFFFF, 0, attributes_ldt};
    context.gdtr.limit = context.idtr.limit = 0xFFFF;
    context.cr0 = cr0_after_reset;
    context.pat = pat_after_reset;
    return context;
}

}  // namespace

Result<tlfs::InitialVpContext, LoadError> load_firmware(const GuestMemory& memory, ImageSource& firmware) {
    u64 size_bytes = firmware.size_bytes();
    if (size_bytes < firmware_bytes_min || size_bytes > address_map::firmware_bytes_max ||
        !std::has_single_bit(size_bytes)) {
        return refuse_image(Error::malformed,
                            "the firmware has %llu bytes; a BIOS image has 64, 128 or 256 KiB: give one such as "
                            "SeaBIOS's bios-256k.bin",
                            static_cast<unsigned long long>(size_bytes));
    }
    TRY(check_reset_vector(firmware));
    Result<std::span<std::byte>> place = memory.resolve(address_map::firmware_end - size_bytes, size_bytes);
    if (!place) {
        return refuse_image(Error::invalid_argument,
                            "the guest has no RAM below 1 MiB: give it more memory (--memory)");
    }
    if (!firmware.read(0, *place)) {
        return refuse_image(Error::device_error, "the firmware cannot be read");
    }
    return state_after_reset();
}

}  // namespace undercroft
