// One decoded instruction while it is carried out on a working copy of the processor's state. Operands are prepared
// (translated) before anything is read or written.
#pragma once

#include "kernel/guest/emulator/arithmetic.hpp"
#include "kernel/guest/emulator/decode.hpp"

namespace undercroft {

/// An operand that is ready: a register, an immediate value, or translated memory.
struct PreparedOperand {
    Operand operand;
    TranslatedOperand memory;
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
    u64 effective_address() const;
    Emulated<PreparedOperand> prepare_memory(const Operand& operand, u64 offset, bool is_written) const;
    u64 read(const PreparedOperand& operand) const;
    void write(const PreparedOperand& operand, u64 value);
    u64 read_register(const Operand& operand) const;
    void write_register(const Operand& operand, u64 value);
    u64 address_mask() const { return arithmetic::mask_of(decoded_.address_bytes); }
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
    Emulated<TranslatedOperand> string_operand(Gpr pointer, SegmentName segment, unsigned bytes,
                                               MemoryAccess access) const;
    u32 batch_of(Gpr pointer, SegmentName segment, unsigned bytes, MemoryAccess access) const;
    Emulated<u32> string_io_batch(GuestBus& bus, const StringIo& access, u32 room);
    void advance(Gpr pointer, unsigned bytes);
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
