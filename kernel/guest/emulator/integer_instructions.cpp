// Moves, exchanges, arithmetic, logic and bit tests with one memory operand.
#include "kernel/guest/emulator/execution.hpp"

namespace undercroft {

using arithmetic::Outcome;

Emulated<void> Execution::move(bool sign_extends) {
    PreparedOperand target = TRY(prepare(0, true));
    PreparedOperand source = TRY(prepare(1, false));
    u64 value = read(source);
    write(target, sign_extends ? arithmetic::sign_extend(value, source.operand.bytes) : value);
    return {};
}

Emulated<void> Execution::move_byte_swapped() {
    PreparedOperand target = TRY(prepare(0, true));
    PreparedOperand source = TRY(prepare(1, false));
    write(target, std::byteswap(read(source)) >> (64 - 8 * source.operand.bytes));
    return {};
}

Emulated<void> Execution::exchange() {
    PreparedOperand first = TRY(prepare(0, true));
    PreparedOperand second = TRY(prepare(1, true));
    u64 first_value = read(first);
    u64 second_value = read(second);
    write(first, second_value);
    write(second, first_value);
    return {};
}

Emulated<void> Execution::exchange_and_add() {
    PreparedOperand target = TRY(prepare(0, true));
    PreparedOperand addend = TRY(prepare(1, true));
    u64 old = read(target);
    Outcome sum = arithmetic::add(old, read(addend), false, target.operand.bytes);
    write(addend, old);
    write(target, sum.value);
    set_flags(sum.flags, arithmetic::flags_all);
    return {};
}

Emulated<void> Execution::compare_and_exchange() {
    PreparedOperand target = TRY(prepare(0, true));
    PreparedOperand source = TRY(prepare(1, false));
    u64 mask = arithmetic::mask_of(target.operand.bytes);
    u64 old = read(target);
    u64 accumulator = cpu_.gpr(Gpr::rax) & mask;
    Outcome comparison = arithmetic::subtract(accumulator, old, false, target.operand.bytes);
    if (accumulator == old) {
        write(target, read(source));
    } else {
        write(target, old);  // the CPU writes in either case
        u64& rax = cpu_.gpr(Gpr::rax);
        rax = target.operand.bytes == 4 ? old : (rax & ~mask) | old;
    }
    set_flags(comparison.flags, arithmetic::flags_all);
    return {};
}

Emulated<void> Execution::arithmetic_two_operands() {
    ZydisMnemonic mnemonic = decoded_.mnemonic;
    bool writes = mnemonic != ZYDIS_MNEMONIC_CMP && mnemonic != ZYDIS_MNEMONIC_TEST;
    PreparedOperand target = TRY(prepare(0, writes));
    PreparedOperand source = TRY(prepare(1, false));
    u64 left = read(target);
    u64 right = read(source);
    bool carry = (cpu_.rflags & arithmetic::flag_carry) != 0;
    Outcome outcome = {};
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_ADD:
        outcome = arithmetic::add(left, right, false, target.operand.bytes);
        break;
    case ZYDIS_MNEMONIC_ADC:
        outcome = arithmetic::add(left, right, carry, target.operand.bytes);
        break;
    case ZYDIS_MNEMONIC_SBB:
        outcome = arithmetic::subtract(left, right, carry, target.operand.bytes);
        break;
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_CMP:
        outcome = arithmetic::subtract(left, right, false, target.operand.bytes);
        break;
    case ZYDIS_MNEMONIC_OR:
        outcome = arithmetic::logic(left | right, target.operand.bytes);
        break;
    case ZYDIS_MNEMONIC_XOR:
        outcome = arithmetic::logic(left ^ right, target.operand.bytes);
        break;
    default:
        outcome = arithmetic::logic(left & right, target.operand.bytes);
        break;  // AND, TEST
    }
    if (writes) {
        write(target, outcome.value);
    }
    set_flags(outcome.flags, arithmetic::flags_all);
    return {};
}

Emulated<void> Execution::arithmetic_one_operand() {
    PreparedOperand target = TRY(prepare(0, true));
    u64 value = read(target);
    Outcome outcome = {};
    u64 changed = arithmetic::flags_all;
    switch (decoded_.mnemonic) {
    case ZYDIS_MNEMONIC_INC:
        outcome = arithmetic::add(value, 1, false, target.operand.bytes);
        changed &= ~arithmetic::flag_carry;
        break;
    case ZYDIS_MNEMONIC_DEC:
        outcome = arithmetic::subtract(value, 1, false, target.operand.bytes);
        changed &= ~arithmetic::flag_carry;
        break;
    case ZYDIS_MNEMONIC_NEG:
        outcome = arithmetic::subtract(0, value, false, target.operand.bytes);
        break;
    default:  // NOT
        outcome.value = ~value;
        changed = 0;
        break;
    }
    write(target, outcome.value);
    set_flags(outcome.flags, changed);
    return {};
}

Emulated<void> Execution::bit_test() {
    ZydisMnemonic mnemonic = decoded_.mnemonic;
    const Operand& operand = decoded_.operands[0];
    bool writes = mnemonic != ZYDIS_MNEMONIC_BT;
    PreparedOperand index = TRY(prepare(1, false));
    unsigned bytes = operand.bytes;
    u64 bit = read(index);
    PreparedOperand target;
    if (operand.kind == OperandKind::memory && index.operand.kind == OperandKind::general_register) {
        // A register index is signed and reaches beyond the operand.
        unsigned shift = bytes == 8 ? 6 : bytes == 4 ? 5 : 4;
        i64 element = static_cast<i64>(arithmetic::sign_extend(bit, index.operand.bytes)) >> shift;
        u64 offset = (effective_address() + static_cast<u64>(element) * bytes) & address_mask();
        target = TRY(prepare_memory(operand, offset, writes));
    } else {
        target = TRY(prepare(0, writes));
    }
    u64 mask = u64{1} << (bit & (8 * bytes - 1));
    u64 value = read(target);
    set_flags((value & mask) != 0 ? arithmetic::flag_carry : 0, arithmetic::flag_carry);
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_BTS:
        write(target, value | mask);
        break;
    case ZYDIS_MNEMONIC_BTR:
        write(target, value & ~mask);
        break;
    case ZYDIS_MNEMONIC_BTC:
        write(target, value ^ mask);
        break;
    default:
        break;
    }
    return {};
}

Emulated<void> Execution::conditional_move() {
    PreparedOperand target = TRY(prepare(0, true));
    PreparedOperand source = TRY(prepare(1, false));
    u64 value = read(source);  // read in either case, as the CPU does
    bool holds = arithmetic::condition_holds(decoded_.condition, cpu_.rflags);
    write(target, holds ? value : read(target));
    return {};
}

Emulated<void> Execution::conditional_set() {
    PreparedOperand target = TRY(prepare(0, true));
    write(target, arithmetic::condition_holds(decoded_.condition, cpu_.rflags) ? 1 : 0);
    return {};
}

Emulated<bool> Execution::run_integer() {
    switch (decoded_.mnemonic) {
    case ZYDIS_MNEMONIC_MOV:
    case ZYDIS_MNEMONIC_MOVNTI:
    case ZYDIS_MNEMONIC_MOVZX:
        TRY(move(false));
        return true;
    case ZYDIS_MNEMONIC_MOVSX:
    case ZYDIS_MNEMONIC_MOVSXD:
        TRY(move(true));
        return true;
    case ZYDIS_MNEMONIC_MOVBE:
        TRY(move_byte_swapped());
        return true;
    case ZYDIS_MNEMONIC_XCHG:
        TRY(exchange());
        return true;
    case ZYDIS_MNEMONIC_XADD:
        TRY(exchange_and_add());
        return true;
    case ZYDIS_MNEMONIC_CMPXCHG:
        TRY(compare_and_exchange());
        return true;
    case ZYDIS_MNEMONIC_ADD:
    case ZYDIS_MNEMONIC_ADC:
    case ZYDIS_MNEMONIC_SUB:
    case ZYDIS_MNEMONIC_SBB:
    case ZYDIS_MNEMONIC_AND:
    case ZYDIS_MNEMONIC_OR:
    case ZYDIS_MNEMONIC_XOR:
    case ZYDIS_MNEMONIC_CMP:
    case ZYDIS_MNEMONIC_TEST:
        TRY(arithmetic_two_operands());
        return true;
    case ZYDIS_MNEMONIC_INC:
    case ZYDIS_MNEMONIC_DEC:
    case ZYDIS_MNEMONIC_NEG:
    case ZYDIS_MNEMONIC_NOT:
        TRY(arithmetic_one_operand());
        return true;
    case ZYDIS_MNEMONIC_BT:
    case ZYDIS_MNEMONIC_BTS:
    case ZYDIS_MNEMONIC_BTR:
    case ZYDIS_MNEMONIC_BTC:
        TRY(bit_test());
        return true;
    case ZYDIS_MNEMONIC_CLFLUSH:
    case ZYDIS_MNEMONIC_CLFLUSHOPT:
    case ZYDIS_MNEMONIC_CLWB:
        return true;  // device registers are not cached
    default:
        break;
    }
    if (decoded_.group == InstructionGroup::conditional_move) {
        TRY(conditional_move());
        return true;
    }
    if (decoded_.group == InstructionGroup::conditional_set) {
        TRY(conditional_set());
        return true;
    }
    return false;
}

}  // namespace undercroft
