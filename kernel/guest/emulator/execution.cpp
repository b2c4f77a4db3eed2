// Operands: registers of every width, immediates, and memory.
#include "kernel/guest/emulator/execution.hpp"

namespace undercroft {

namespace {

constexpr u64 flag_resume = u64{1} << 16;

}  // namespace

u64 Execution::read_register(const Operand& operand) const {
    if (operand.kind == OperandKind::segment_register) {
        return cpu_.segments[operand.index].selector;
    }
    bool is_high_byte = operand.kind == OperandKind::high_byte_register;
    return (cpu_.general[operand.index] >> (is_high_byte ? 8 : 0)) & arithmetic::mask_of(operand.bytes);
}

void Execution::write_register(const Operand& operand, u64 value) {
    u64& target = cpu_.general[operand.index];
    u64 mask = arithmetic::mask_of(operand.bytes);
    if (operand.bytes == 4) {
        target = value & mask;  // 32-bit results clear the upper half
    } else if (operand.kind == OperandKind::high_byte_register) {
        target = (target & ~u64{0xFF00}) | ((value & 0xFF) << 8);
    } else {
        target = (target & ~mask) | (value & mask);
    }
}

u64 Execution::effective_address() const {
    const MemoryReference& memory = decoded_.memory;
    u64 address = static_cast<u64>(memory.displacement);
    if (memory.is_rip_relative) {
        address += next_instruction(cpu_, decoded_.length);
    }
    if (memory.base != MemoryReference::no_register) {
        address += cpu_.general[memory.base];
    }
    if (memory.index != MemoryReference::no_register) {
        address += cpu_.general[memory.index] * memory.scale;
    }
    return address & address_mask();
}

Emulated<PreparedOperand> Execution::prepare_memory(const Operand& operand, u64 offset, bool is_written) const {
    MemoryAccess access = is_written ? MemoryAccess::write : MemoryAccess::read;
    u64 linear = TRY(memory_.linear_address(decoded_.memory.segment, offset, operand.bytes, access));
    return PreparedOperand{operand, TRY(memory_.translate_operand(linear, operand.bytes, access))};
}

Emulated<PreparedOperand> Execution::prepare(unsigned index, bool is_written) {
    const Operand& operand = decoded_.operands[index];
    if (operand.kind == OperandKind::none) {
        return fail(unsupported("an operand's kind"));
    }
    if (operand.bytes == 0 || operand.bytes > 8) {
        return fail(unsupported("an operand's size"));
    }
    if (operand.kind == OperandKind::memory) {
        return prepare_memory(operand, effective_address(), is_written);
    }
    return PreparedOperand{operand, {}};
}

u64 Execution::read(const PreparedOperand& prepared) const {
    switch (prepared.operand.kind) {
    case OperandKind::memory:
        return memory_.load_value(prepared.memory);
    case OperandKind::immediate:
        return decoded_.immediate;
    default:
        return read_register(prepared.operand);
    }
}

void Execution::write(const PreparedOperand& prepared, u64 value) {
    if (prepared.operand.kind == OperandKind::memory) {
        memory_.store_value(prepared.memory, value);
    } else {
        write_register(prepared.operand, value);
    }
}

Emulated<void> Execution::run() {
    bool done = TRY(run_integer());
    if (!done) {
        bool is_string = TRY(run_string());
        if (is_string) {
            return {};  // moves RIP itself
        }
        done = TRY(run_vector());
    }
    if (!done) {
        return fail(unsupported("an instruction it does not know"));
    }
    cpu_.rip = next_instruction(cpu_, decoded_.length);
    cpu_.rflags &= ~flag_resume;
    return {};
}

}  // namespace undercroft
