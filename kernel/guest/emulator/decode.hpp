// Fetching and decoding: the one place that calls Zydis's decoder.
#pragma once

#include <Zydis/Zydis.h>

#include "kernel/guest/emulator/linear_memory.hpp"

namespace undercroft {

struct DecodedInstruction {
    ZydisDecodedInstruction info = {};
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT] = {};
    u8 bytes[instruction_bytes_max] = {};
    u8 byte_count = 0;  ///< of `bytes`; the instruction's own length is `info.length`
};

/// Decodes the instruction at CS:RIP into `decoded`, from `fetched` or, where that is empty or too short, from memory.
/// On failure `bytes` holds what there was.
Emulated<void> decode(const LinearMemory& memory, const CpuState& cpu, std::span<const u8> fetched,
                      DecodedInstruction& decoded);

/// The instruction pointer `length` bytes on, as wide as the code is.
u64 next_instruction(const CpuState& cpu, u8 length);

}  // namespace undercroft
