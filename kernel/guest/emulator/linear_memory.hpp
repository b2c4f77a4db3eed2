// Memory as an instruction sees it: segments, linear addresses, pages, and behind those either RAM or a device. An
// operand is translated whole before its first byte is touched, so a fault leaves no half-done access behind.
#pragma once

#include "kernel/guest/emulator/fault.hpp"
#include "kernel/guest/emulator/page_walk.hpp"

namespace undercroft {

/// Longest operand: a 32-byte vector.
inline constexpr unsigned operand_bytes_max = 32;

/// Where an operand lies: one piece, or two where it crosses a page.
struct TranslatedOperand {
    struct Piece {
        u64 physical;
        unsigned bytes;
    };
    Piece pieces[2] = {};
    unsigned piece_count = 0;
};

class LinearMemory {
public:
    LinearMemory(const GuestMemory& memory, GuestBus& bus, const CpuState& cpu)
        : memory_(memory), bus_(bus), cpu_(cpu) {}

    /// The linear address of `offset` in `segment`, checked for an operand of `bytes`: limits and rights outside 64-bit
    /// mode, canonical form inside it.
    Emulated<u64> linear_address(SegmentName segment, u64 offset, unsigned bytes, MemoryAccess access) const;
    /// Translates [`linear`, + `bytes`), at most `operand_bytes_max`.
    Emulated<TranslatedOperand> translate_operand(u64 linear, unsigned bytes, MemoryAccess access) const;
    void load(const TranslatedOperand& operand, std::byte* into) const;
    void store(const TranslatedOperand& operand, const std::byte* from) const;
    /// The RAM at and after an operand, `bytes` in all, which must lie in the operand's first page; empty where that is
    /// no RAM.
    std::span<std::byte> ram_behind(const TranslatedOperand& operand, usize bytes) const;
    /// As `load`, for up to 8 bytes, zero-extended.
    u64 load_value(const TranslatedOperand& operand) const;
    /// As `store`, the operand's size of `value`'s low bytes, at most 8.
    void store_value(const TranslatedOperand& operand, u64 value) const;

    /// Copies instruction bytes at CS:`rip` that lie in one page into `into`; returns how many. Unsupported where that
    /// page is not RAM.
    Emulated<usize> fetch(u64 rip, std::span<u8> into) const;

private:
    const GuestMemory& memory_;
    GuestBus& bus_;
    const CpuState& cpu_;
};

}  // namespace undercroft
