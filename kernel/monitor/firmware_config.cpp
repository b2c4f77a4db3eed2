// fw_cfg: see firmware_config.hpp.
#include "kernel/monitor/firmware_config.hpp"

#include <atomic>

#include "arch/x86_64/cpu.hpp"
#include "kernel/monitor/machine.hpp"
#include "kernel/spec/fw_cfg.hpp"

namespace undercroft::monitor {

namespace {

constexpr u64 piece_bytes_max = 16 * mib;
constexpr u64 skip_bytes_max = gib;
constexpr u32 polls_max = 1'000'000'000;

enum class Presence : u8 { unknown, present, absent };

Spinlock lock;
Presence presence;
alignas(16) fw_cfg::DmaRequest request;

bool has_dma() {
    arch::out16(fw_cfg::selector_port, fw_cfg::selector_signature);
    for (char expected : {'Q', 'E', 'M', 'U'}) {
        if (arch::in8(fw_cfg::data_port) != static_cast<u8>(expected)) {
            return false;
        }
    }
    arch::out16(fw_cfg::selector_port, fw_cfg::selector_features);
    u32 features = 0;
    for (unsigned i = 0; i < 4; ++i) {
        features |= u32{arch::in8(fw_cfg::data_port)} << (8 * i);
    }
    return (features & fw_cfg::feature_dma) != 0;
}

Result<void> transfer(u32 control, u64 address, u32 length) {
    request.control = control;
    request.length = length;
    request.address = address;
    std::atomic_thread_fence(std::memory_order_seq_cst);
    u64 place = reinterpret_cast<u64>(&request);
    arch::out32(fw_cfg::dma_port_high, __builtin_bswap32(static_cast<u32>(place >> 32)));
    arch::out32(fw_cfg::dma_port_low, __builtin_bswap32(static_cast<u32>(place)));
    // SAFETY: the device writes the control word behind the compiler's back.
    auto* word = reinterpret_cast<const volatile u32*>(&request.control);
    for (u32 polls = 0; polls < polls_max; ++polls) {
        u32 state = __builtin_bswap32(*word);
        if ((state & ~fw_cfg::dma_control::error) == 0) {
            if (state != 0) {
                return fail(Error::device_error);
            }
            return {};
        }
        arch::pause();
    }
    return fail(Error::timed_out);
}

/// Machine memory behind `address` of VTL2's view, and how much of it is contiguous (at most `size_bytes`).
struct Piece {
    u64 machine;
    u64 size_bytes;
};
Result<Piece> destination(u64 address, u64 size_bytes) {
    u64 size = size_bytes < piece_bytes_max ? size_bytes : piece_bytes_max;
    if (address >= vtl2::memory_base) {
        u64 offset = address - vtl2::memory_base;
        if (offset >= machine.memory.vtl2.size() || size > machine.memory.vtl2.size() - offset) {
            return fail(Error::out_of_range);
        }
        return Piece{machine.memory.vtl2.begin + offset, size};
    }
    for (const GuestPiece& piece : machine.memory.guest_pieces()) {
        u64 offset = address - piece.guest_address;
        if (address >= piece.guest_address && offset < piece.size_bytes) {
            u64 room = piece.size_bytes - offset;
            return Piece{piece.machine_address + offset, size < room ? size : room};
        }
    }
    return fail(Error::out_of_range);
}

}  // namespace

Result<void> read_firmware_config(const vtl2::FirmwareConfigInput& input) {
    // The whole destination is looked at before the first byte moves.
    for (u64 done = 0; done < input.size_bytes;) {
        if (input.address + done < input.address) {
            return fail(Error::out_of_range);
        }
        done += TRY(destination(input.address + done, input.size_bytes - done)).size_bytes;
    }
    SpinlockGuard guard(lock);
    if (presence == Presence::unknown) {
        presence = has_dma() ? Presence::present : Presence::absent;
    }
    if (presence == Presence::absent) {
        return fail(Error::unsupported);
    }
    u32 select = (u32{input.selector} << 16) | fw_cfg::dma_control::select;
    TRY(transfer(select | fw_cfg::dma_control::skip, 0, 0));
    for (u64 skipped = 0; skipped < input.offset_bytes;) {
        u64 left = input.offset_bytes - skipped;
        auto step = static_cast<u32>(left < skip_bytes_max ? left : skip_bytes_max);
        TRY(transfer(fw_cfg::dma_control::skip, 0, step));
        skipped += step;
    }
    for (u64 done = 0; done < input.size_bytes;) {
        Piece piece = TRY(destination(input.address + done, input.size_bytes - done));
        TRY(transfer(fw_cfg::dma_control::read, piece.machine, static_cast<u32>(piece.size_bytes)));
        done += piece.size_bytes;
    }
    return {};
}

}  // namespace undercroft::monitor
