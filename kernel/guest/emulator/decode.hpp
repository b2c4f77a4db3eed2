// Fetching and decoding. Zydis finds out what an instruction is and how long it is; which operands it has, of those
// instructions that the emulator knows, is worked out here from the parts that Zydis leaves in pieces: its tables of
// operands would be a tenth of the image.
#pragma once

#include <Zydis/Zydis.h>

#include "kernel/guest/emulator/linear_memory.hpp"

namespace undercroft {

class DecodeCache;

enum class OperandKind : u8 { none, general_register, high_byte_register, segment_register, immediate, memory };

/// One operand. What an instruction has of immediates and memory it has once: see DecodedInstruction.
struct Operand {
    OperandKind kind = OperandKind::none;
    u8 index = 0;  ///< of a register, in the CPU's own numbering; of AH to BH, that of the register it is part of
    u8 bytes = 0;
};

/// base + index * scale + displacement, in `segment`.
struct MemoryReference {
    static constexpr u8 no_register = 0xFF;

    SegmentName segment = SegmentName::ds;
    u8 base = no_register;
    u8 index = no_register;
    u8 scale = 1;
    bool is_rip_relative = false;
    i64 displacement = 0;
};

enum class RepeatPrefix : u8 { none, while_equal, while_unequal };  ///< of what does not compare, either repeats

/// What the mnemonic alone does not say. `vector_load` and `vector_store` have a memory operand, always.
enum class InstructionGroup : u8 { other, conditional_move, conditional_set, string, vector_load, vector_store };

struct DecodedInstruction {
    ZydisMnemonic mnemonic = ZYDIS_MNEMONIC_INVALID;
    InstructionGroup group = InstructionGroup::other;
    u8 length = 0;
    u8 condition = 0;  ///< of conditional moves and sets: the opcode's low four bits
    u8 address_bytes = 0;
    RepeatPrefix repeat = RepeatPrefix::none;
    bool is_vex = false;
    u8 vector_bytes = 16;  ///< 16 or 32
    u8 vector_register = 0;
    /// Target first. Kind `none`: there is no such operand, or it is one that the emulator does not know.
    Operand operands[2] = {};
    /// `segment` holds for string instructions as well.
    MemoryReference memory;
    u64 immediate = 0;  ///< sign-extended where the instruction extends it
    u8 bytes[instruction_bytes_max] = {};
    u8 byte_count = 0;  ///< of `bytes`; the instruction itself has `length`
};

/// Decodes the instruction at CS:RIP into `decoded`, from `fetched` or, where that is empty or too short, from memory.
/// On failure `bytes` holds what there was. `cache` may be null.
Emulated<void> decode(const LinearMemory& memory, const CpuState& cpu, std::span<const u8> fetched,
                      DecodedInstruction& decoded, DecodeCache* cache);

/// Fills in what `info`, as Zydis left it without its operands, says about `decoded`: all but its bytes.
void describe(const ZydisDecodedInstruction& info, DecodedInstruction& decoded);

/// The decoder for the guest's mode, without operands.
ZydisDecoder decoder_for(const CpuState& cpu);

/// The instruction pointer `length` bytes on, as wide as the code is.
u64 next_instruction(const CpuState& cpu, u8 length);

}  // namespace undercroft
