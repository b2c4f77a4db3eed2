// One decoded instruction while it is carried out on a working copy of the processor's state. Operands are prepared
// (translated) before anything is read or written.
#pragma once

#include "kernel/guest/emulator/decode.hpp"

namespace undercroft {

/// An operand that is ready: a register, an immediate value, or translated memory.
struct PreparedOperand {
    const ZydisDecodedOperand* operand = nullptr;
    TranslatedOperand memory;
    unsigned bytes = 0;
};

class Execution {
public:
    Execution(const LinearMemory& memory, CpuState& cpu, const DecodedInstruction& decoded)
        : memory_(memory), cpu_(cpu), decoded_(decoded) {}

    /// Carries out the instruction. On success RIP has moved on (not, where a REP has more to do).
    Emulated<void> run();

    /// INS or OUTS on `bus`.
    Emulated<void> run_string_io(GuestBus& bus, const StringIo& access);

private:
    // execution.cpp
    Emulated<PreparedOperand> prepare(unsigned index, bool is_written);
    Emulated<u64> effective_address(const ZydisDecodedOperandMem& operand) const;
    u64 read(const PreparedOperand& operand) const;
    void write(const PreparedOperand& operand, u64 value);
    u64 read_register(ZydisRegister name) const;
    void write_register(ZydisRegister name, u64 value);
    unsigned operand_bytes(unsigned index) const { return decoded_.operands[index].size / 8u; }
    void set_flags(u64 flags, u64 mask) { cpu_.rflags = (cpu_.rflags & ~mask) | (flags & mask); }

    // integer_instructions.cpp
    Emulated<bool> run_integer();
    Emulated<void> move(bool sign_extends);
    Emulated<void> move_byte_swapped();
    Emulated<void> exchange();
    Emulated<void> exchange_and_add();
    Emulated<void> compare_and_exchange();
    Emulated<void> arithmetic_two_operands();
    Emulated<void> arithmetic_one_operand();
    Emulated<void> bit_test();
    Emulated<void> conditional_move();
    Emulated<void> conditional_set();

    // string_instructions.cpp
    Emulated<bool> run_string();
    Emulated<bool> string_step(unsigned bytes);
    SegmentName source_segment() const;
    u64 address_mask() const;
    Emulated<TranslatedOperand> string_operand(Gpr pointer, SegmentName segment, unsigned bytes,
                                               MemoryAccess access) const;
    u32 batch_of(Gpr pointer, SegmentName segment, unsigned bytes, MemoryAccess access) const;
    Emulated<u32> string_io_batch(GuestBus& bus, const StringIo& access, u32 room);
    void advance(Gpr pointer, unsigned bytes);
    bool has_repeat_prefix() const;
    u64 repeat_count() const { return cpu_.gpr(Gpr::rcx) & address_mask(); }
    void set_masked(Gpr name, u64 value);
    template <typename Step>
    Emulated<void> repeat(bool has_rep, Step step, u32 begun = 0);

    // vector_instructions.cpp
    Emulated<bool> run_vector();

    const LinearMemory& memory_;
    CpuState& cpu_;
    const DecodedInstruction& decoded_;
};

}  // namespace undercroft
