// Fetching and decoding: the one place that calls Zydis's decoder.
#pragma once

#include <Zydis/Zydis.h>

#include "kernel/guest/emulator/linear_memory.hpp"

namespace undercroft {

class DecodeCache;

/// More than 1 KiB, and made for each emulation: only what the decoder fills in is ever looked at.
// NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
struct DecodedInstruction {
    ZydisDecodedInstruction info;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
    u8 bytes[instruction_bytes_max];
    u8 byte_count = 0;  ///< of `bytes`; the instruction's own length is `info.length`
};

/// Decodes the instruction at CS:RIP into `decoded`, from `fetched` or, where that is empty or too short, from memory.
/// On failure `bytes` holds what there was. `cache` may be null.
Emulated<void> decode(const LinearMemory& memory, const CpuState& cpu, std::span<const u8> fetched,
                      DecodedInstruction& decoded, DecodeCache* cache);

/// The instruction pointer `length` bytes on, as wide as the code is.
u64 next_instruction(const CpuState& cpu, u8 length);

}  // namespace undercroft
