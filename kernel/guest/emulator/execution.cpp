// Operands: registers of every width, immediates, and memory.
#include "kernel/guest/emulator/execution.hpp"

#include "kernel/guest/emulator/arithmetic.hpp"

namespace undercroft {

namespace {

constexpr u64 flag_resume = u64{1} << 16;

/// Where a register name lies in the general registers.
struct RegisterPlace {
    u8 index;
    u8 bytes;
    bool is_high_byte;  // AH, CH, DH, BH
};

/// False where `name` is no general register.
bool find_register(ZydisRegister name, RegisterPlace& place) {
    u8 id = static_cast<u8>(ZydisRegisterGetId(name));
    switch (ZydisRegisterGetClass(name)) {
    case ZYDIS_REGCLASS_GPR8:
        // Zydis counts AL..BL, AH..BH, SPL..DIL, R8B..R15B.
        place = {static_cast<u8>(id < 4 ? id : id - 4), 1, id >= 4 && id < 8};
        return true;
    case ZYDIS_REGCLASS_GPR16:
        place = {id, 2, false};
        return true;
    case ZYDIS_REGCLASS_GPR32:
        place = {id, 4, false};
        return true;
    case ZYDIS_REGCLASS_GPR64:
        place = {id, 8, false};
        return true;
    default:
        return false;
    }
}

bool is_general_or_segment(ZydisRegister name) {
    RegisterPlace place = {};
    return find_register(name, place) || ZydisRegisterGetClass(name) == ZYDIS_REGCLASS_SEGMENT;
}

}  // namespace

u64 Execution::read_register(ZydisRegister name) const {
    RegisterPlace place = {};
    if (find_register(name, place)) {
        u64 value = cpu_.general[place.index] >> (place.is_high_byte ? 8 : 0);
        return value & arithmetic::mask_of(place.bytes);
    }
    if (ZydisRegisterGetClass(name) == ZYDIS_REGCLASS_SEGMENT) {
        return cpu_.segments[ZydisRegisterGetId(name)].selector;
    }
    if (ZydisRegisterGetClass(name) == ZYDIS_REGCLASS_IP) {
        return next_instruction(cpu_, decoded_.info.length);
    }
    return 0;  // none: a missing base or index
}

void Execution::write_register(ZydisRegister name, u64 value) {
    RegisterPlace place = {};
    if (!find_register(name, place)) {
        return;
    }
    u64& target = cpu_.general[place.index];
    u64 mask = arithmetic::mask_of(place.bytes);
    if (place.bytes == 4) {
        target = value & mask;  // 32-bit results clear the upper half
    } else if (place.is_high_byte) {
        target = (target & ~u64{0xFF00}) | ((value & 0xFF) << 8);
    } else {
        target = (target & ~mask) | (value & mask);
    }
}

Emulated<u64> Execution::effective_address(const ZydisDecodedOperandMem& operand) const {
    if (operand.type != ZYDIS_MEMOP_TYPE_MEM) {
        return fail(unsupported("its memory operand is of a special kind"));
    }
    u64 address = read_register(operand.base) + read_register(operand.index) * operand.scale;
    if (operand.disp.has_displacement) {
        address += static_cast<u64>(operand.disp.value);
    }
    return address & arithmetic::mask_of(decoded_.info.address_width / 8u);
}

Emulated<PreparedOperand> Execution::prepare(unsigned index, bool is_written) {
    const ZydisDecodedOperand& operand = decoded_.operands[index];
    PreparedOperand prepared{&operand, {}, operand_bytes(index)};
    if (prepared.bytes == 0 || prepared.bytes > 8) {
        return fail(unsupported("an operand's size"));
    }
    switch (operand.type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        if (!is_general_or_segment(operand.reg.value) ||
            (is_written && ZydisRegisterGetClass(operand.reg.value) == ZYDIS_REGCLASS_SEGMENT)) {
            return fail(unsupported("a register that is not general"));
        }
        return prepared;
    case ZYDIS_OPERAND_TYPE_IMMEDIATE:
        return prepared;
    case ZYDIS_OPERAND_TYPE_MEMORY: {
        MemoryAccess access = is_written ? MemoryAccess::write : MemoryAccess::read;
        u64 offset = TRY(effective_address(operand.mem));
        auto segment = static_cast<SegmentName>(ZydisRegisterGetId(operand.mem.segment));
        u64 linear = TRY(memory_.linear_address(segment, offset, prepared.bytes, access));
        prepared.memory = TRY(memory_.translate_operand(linear, prepared.bytes, access));
        return prepared;
    }
    default:
        return fail(unsupported("an operand's kind"));
    }
}

u64 Execution::read(const PreparedOperand& prepared) const {
    switch (prepared.operand->type) {
    case ZYDIS_OPERAND_TYPE_REGISTER:
        return read_register(prepared.operand->reg.value);
    case ZYDIS_OPERAND_TYPE_MEMORY:
        return memory_.load_value(prepared.memory);
    default:
        // Immediates come sign-extended where the instruction extends them.
        return prepared.operand->imm.value.u;
    }
}

void Execution::write(const PreparedOperand& prepared, u64 value) {
    if (prepared.operand->type == ZYDIS_OPERAND_TYPE_MEMORY) {
        memory_.store_value(prepared.memory, value);
    } else {
        write_register(prepared.operand->reg.value, value);
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
    cpu_.rip = next_instruction(cpu_, decoded_.info.length);
    cpu_.rflags &= ~flag_resume;
    return {};
}

}  // namespace undercroft
