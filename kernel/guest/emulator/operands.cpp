// From Zydis's raw parts (prefixes, opcode, ModR/M, SIB, displacement, immediate) to operands, for the opcodes with a
// memory operand that the emulator carries out. Source: AMD64 Architecture Programmer's Manual volume 3, chapter 1
// (encoding) and appendix A (opcode maps). The fuzz target holds this against Zydis's own operands.
#include "kernel/guest/emulator/decode.hpp"

namespace undercroft {

namespace {

/// Which operands an opcode has, the target first. Memory or a register is what ModR/M says: `rm`.
enum class Shape : u8 {
    unknown,
    rm,
    rm_register,
    register_rm,
    rm_immediate,
    rm_segment,
    accumulator_offset,
    offset_accumulator,
    vector_load,
    vector_store,
};

struct Form {
    Shape shape = Shape::unknown;
    u8 target_bytes = 0;
    u8 source_bytes = 0;
};

/// The prefixes and, under VEX, the fields that stand for REX.
struct Extensions {
    bool has_rex = false;
    u8 r = 0;
    u8 x = 0;
    u8 b = 0;
};

Extensions extensions_of(const ZydisDecodedInstruction& info) {
    if (info.machine_mode != ZYDIS_MACHINE_MODE_LONG_64) {
        return {};
    }
    auto bit_three = [](u8 bit) { return static_cast<u8>(bit << 3); };
    if (info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX) {
        // Inverted, as they are in the prefix.
        return {false, bit_three(info.raw.vex.R ^ 1), bit_three(info.raw.vex.X ^ 1), bit_three(info.raw.vex.B ^ 1)};
    }
    return {(info.attributes & ZYDIS_ATTRIB_HAS_REX) != 0, bit_three(info.raw.rex.R), bit_three(info.raw.rex.X),
            bit_three(info.raw.rex.B)};
}

bool has_prefix(const ZydisDecodedInstruction& info, u8 value) {
    for (unsigned i = 0; i < info.raw.prefix_count; ++i) {
        if (info.raw.prefixes[i].value == value) {
            return true;
        }
    }
    return false;
}

RepeatPrefix repeat_of(const ZydisDecodedInstruction& info) {
    RepeatPrefix repeat = RepeatPrefix::none;
    for (unsigned i = 0; i < info.raw.prefix_count; ++i) {
        u8 value = info.raw.prefixes[i].value;
        if (value == 0xF2 || value == 0xF3) {
            repeat = value == 0xF2 ? RepeatPrefix::while_unequal : RepeatPrefix::while_equal;
        }
    }
    return repeat;
}

/// The last override counts; in 64-bit mode those of FS and GS alone.
SegmentName segment_of(const ZydisDecodedInstruction& info, SegmentName usual) {
    SegmentName segment = usual;
    bool is_64bit = info.machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
    for (unsigned i = 0; i < info.raw.prefix_count; ++i) {
        u8 value = info.raw.prefixes[i].value;
        if (value == 0x64 || value == 0x65) {
            segment = value == 0x64 ? SegmentName::fs : SegmentName::gs;
        } else if (!is_64bit && (value == 0x26 || value == 0x2E || value == 0x36 || value == 0x3E)) {
            segment = static_cast<SegmentName>((value >> 3) & 3);
        }
    }
    return segment;
}

/// Bytes of a pair of opcodes of which the even one is byte-wide.
u8 width_of(const ZydisDecodedInstruction& info) { return (info.opcode & 1) == 0 ? 1 : info.operand_width / 8; }

Form one_byte_form(const ZydisDecodedInstruction& info) {
    u8 opcode = info.opcode;
    u8 wide = info.operand_width / 8;
    u8 width = width_of(info);
    bool is_group_with_immediate = info.raw.modrm.reg < 2;
    if (opcode < 0x40) {
        // ADD, OR, ADC, SBB, AND, SUB, XOR, CMP; 4 to 7 of each eight have no memory operand.
        if ((opcode & 4) != 0) {
            return {};
        }
        return {(opcode & 2) != 0 ? Shape::register_rm : Shape::rm_register, width, width};
    }
    switch (opcode) {
    case 0x63:  // MOVSXD
        return {Shape::register_rm, wide, 4};
    case 0x80 ... 0x83:
    case 0xC6 ... 0xC7:
        // 82h is 80h once more, and byte-wide as that.
        return {Shape::rm_immediate, width, width};
    case 0x84 ... 0x89:  // TEST, XCHG, MOV
        return {Shape::rm_register, width, width};
    case 0x8A ... 0x8B:
        return {Shape::register_rm, width, width};
    case 0x8C:
        return {Shape::rm_segment, static_cast<u8>(info.raw.modrm.mod == 3 ? wide : 2), 2};
    case 0xA0 ... 0xA1:
        return {Shape::accumulator_offset, width, width};
    case 0xA2 ... 0xA3:
        return {Shape::offset_accumulator, width, width};
    case 0xF6 ... 0xF7:
        return {is_group_with_immediate ? Shape::rm_immediate : Shape::rm, width, width};
    case 0xFE ... 0xFF:
        return {Shape::rm, width, width};
    default:
        return {};
    }
}

/// MOVD, MOVQ and MOVDQA without a prefix of their own move MMX registers.
bool is_mmx(const ZydisDecodedInstruction& info) {
    return info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY && !has_prefix(info, 0x66) && !has_prefix(info, 0xF3);
}

Shape vector_shape(const ZydisDecodedInstruction& info) {
    if (info.raw.modrm.mod == 3) {
        return Shape::unknown;
    }
    switch (info.opcode) {
    case 0x10:
    case 0x28:
    case 0xF0:
        return Shape::vector_load;
    case 0x11:
    case 0x29:
    case 0x2B:
    case 0xD6:
    case 0xE7:
        return Shape::vector_store;
    case 0x6E:
    case 0x6F:
        return is_mmx(info) ? Shape::unknown : Shape::vector_load;
    case 0x7F:
        return is_mmx(info) ? Shape::unknown : Shape::vector_store;
    case 0x7E: {
        bool is_vex = info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
        bool is_load = is_vex ? info.raw.vex.pp == 2 : has_prefix(info, 0xF3);
        return is_mmx(info) ? Shape::unknown : is_load ? Shape::vector_load : Shape::vector_store;
    }
    default:
        return Shape::unknown;
    }
}

Form two_byte_form(const ZydisDecodedInstruction& info) {
    u8 wide = info.operand_width / 8;
    u8 width = width_of(info);
    if (info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
        return {vector_shape(info)};
    }
    switch (info.opcode) {
    case 0x40 ... 0x4F:  // CMOVcc
        return {Shape::register_rm, wide, wide};
    case 0x90 ... 0x9F:  // SETcc
        return {Shape::rm, 1};
    case 0xA3:
    case 0xAB:
    case 0xB3:
    case 0xBB:  // BT, BTS, BTR, BTC
    case 0xC3:  // MOVNTI
        return {Shape::rm_register, wide, wide};
    case 0xBA:
        return {Shape::rm_immediate, wide, 1};
    case 0xB0 ... 0xB1:  // CMPXCHG
    case 0xC0 ... 0xC1:  // XADD
        return {Shape::rm_register, width, width};
    case 0xB6:
    case 0xBE:  // MOVZX, MOVSX
        return {Shape::register_rm, wide, 1};
    case 0xB7:
    case 0xBF:
        return {Shape::register_rm, wide, 2};
    default:
        return {vector_shape(info)};
    }
}

Form form_of(const ZydisDecodedInstruction& info) {
    bool is_legacy = info.encoding == ZYDIS_INSTRUCTION_ENCODING_LEGACY;
    if (!is_legacy && info.encoding != ZYDIS_INSTRUCTION_ENCODING_VEX) {
        return {};
    }
    u8 wide = info.operand_width / 8;
    switch (info.opcode_map) {
    case ZYDIS_OPCODE_MAP_DEFAULT:
        return one_byte_form(info);
    case ZYDIS_OPCODE_MAP_0F:
        return two_byte_form(info);
    case ZYDIS_OPCODE_MAP_0F38:
        if (info.opcode == 0x2A && info.raw.modrm.mod != 3) {
            return {Shape::vector_load};  // MOVNTDQA
        }
        if (is_legacy && (info.opcode == 0xF0 || info.opcode == 0xF1)) {
            return {info.opcode == 0xF0 ? Shape::register_rm : Shape::rm_register, wide, wide};  // MOVBE
        }
        return {};
    default:
        return {};
    }
}

/// The pairs of registers that 16-bit addresses are made of.
void describe_16bit_memory(const ZydisDecodedInstruction& info, MemoryReference& memory) {
    constexpr u8 none = MemoryReference::no_register;
    constexpr u8 bx = static_cast<u8>(Gpr::rbx);
    constexpr u8 bp = static_cast<u8>(Gpr::rbp);
    constexpr u8 si = static_cast<u8>(Gpr::rsi);
    constexpr u8 di = static_cast<u8>(Gpr::rdi);
    constexpr u8 bases[8] = {bx, bx, bp, bp, si, di, bp, bx};
    constexpr u8 indexes[8] = {si, di, si, di, none, none, none, none};
    u8 rm = info.raw.modrm.rm;
    if (rm == 6 && info.raw.modrm.mod == 0) {
        return;
    }
    memory.base = bases[rm];
    memory.index = indexes[rm];
}

void describe_wide_memory(const ZydisDecodedInstruction& info, const Extensions& extensions, MemoryReference& memory) {
    const auto& modrm = info.raw.modrm;
    u8 base = modrm.rm;
    if (modrm.rm == 4) {
        base = info.raw.sib.base;
        u8 index = info.raw.sib.index | extensions.x;
        if (index != 4) {
            memory.index = index;
            memory.scale = static_cast<u8>(1u << info.raw.sib.scale);
        }
    }
    if (base == 5 && modrm.mod == 0) {
        memory.is_rip_relative = modrm.rm == 5 && info.machine_mode == ZYDIS_MACHINE_MODE_LONG_64;
        return;  // a displacement alone
    }
    memory.base = base | extensions.b;
}

void describe_memory(const ZydisDecodedInstruction& info, const Extensions& extensions, MemoryReference& memory) {
    memory.displacement = info.raw.disp.value;
    if ((info.attributes & ZYDIS_ATTRIB_HAS_MODRM) != 0 && info.raw.modrm.mod != 3) {
        if (info.address_width == 16) {
            describe_16bit_memory(info, memory);
        } else {
            describe_wide_memory(info, extensions, memory);
        }
    }
    bool is_on_stack = memory.base == static_cast<u8>(Gpr::rsp) || memory.base == static_cast<u8>(Gpr::rbp);
    memory.segment = segment_of(info, is_on_stack ? SegmentName::ss : SegmentName::ds);
}

Operand general_register(u8 number, u8 bytes, const Extensions& extensions) {
    if (bytes == 1 && number >= 4 && number < 8 && !extensions.has_rex) {
        return {OperandKind::high_byte_register, static_cast<u8>(number - 4), 1};
    }
    return {OperandKind::general_register, number, bytes};
}

void describe_operands(const ZydisDecodedInstruction& info, const Extensions& extensions, const Form& form,
                       DecodedInstruction& decoded) {
    Operand& target = decoded.operands[0];
    Operand& source = decoded.operands[1];
    auto rm = [&](u8 bytes) -> Operand {
        if (info.raw.modrm.mod == 3) {
            return general_register(info.raw.modrm.rm | extensions.b, bytes, extensions);
        }
        return {OperandKind::memory, 0, bytes};
    };
    auto reg = [&](u8 bytes) { return general_register(info.raw.modrm.reg | extensions.r, bytes, extensions); };
    switch (form.shape) {
    case Shape::rm:
        target = rm(form.target_bytes);
        break;
    case Shape::rm_register:
        target = rm(form.target_bytes);
        source = reg(form.source_bytes);
        break;
    case Shape::register_rm:
        target = reg(form.target_bytes);
        source = rm(form.source_bytes);
        break;
    case Shape::rm_immediate:
        target = rm(form.target_bytes);
        source = {OperandKind::immediate, 0, form.source_bytes};
        break;
    case Shape::rm_segment:
        target = rm(form.target_bytes);
        source = {OperandKind::segment_register, info.raw.modrm.reg, form.source_bytes};
        break;
    case Shape::accumulator_offset:
        target = {OperandKind::general_register, static_cast<u8>(Gpr::rax), form.target_bytes};
        source = {OperandKind::memory, 0, form.source_bytes};
        break;
    case Shape::offset_accumulator:
        target = {OperandKind::memory, 0, form.target_bytes};
        source = {OperandKind::general_register, static_cast<u8>(Gpr::rax), form.source_bytes};
        break;
    case Shape::vector_load:
    case Shape::vector_store:
        decoded.vector_register = info.raw.modrm.reg | extensions.r;
        break;
    case Shape::unknown:
        break;
    }
}

InstructionGroup group_of(const ZydisDecodedInstruction& info, Shape shape) {
    if (shape == Shape::vector_load) {
        return InstructionGroup::vector_load;
    }
    if (shape == Shape::vector_store) {
        return InstructionGroup::vector_store;
    }
    if (info.encoding != ZYDIS_INSTRUCTION_ENCODING_LEGACY) {
        return InstructionGroup::other;
    }
    u8 opcode = info.opcode;
    if (info.opcode_map == ZYDIS_OPCODE_MAP_DEFAULT) {
        bool is_string = (opcode >= 0xA4 && opcode <= 0xA7) || (opcode >= 0xAA && opcode <= 0xAF);
        return is_string ? InstructionGroup::string : InstructionGroup::other;
    }
    if (info.opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode >> 4) == 0x4) {
        return InstructionGroup::conditional_move;
    }
    if (info.opcode_map == ZYDIS_OPCODE_MAP_0F && (opcode >> 4) == 0x9) {
        return InstructionGroup::conditional_set;
    }
    return InstructionGroup::other;
}

}  // namespace

void describe(const ZydisDecodedInstruction& info, DecodedInstruction& decoded) {
    Extensions extensions = extensions_of(info);
    Form form = form_of(info);
    decoded.operands[0] = {};
    decoded.operands[1] = {};
    decoded.memory = {};
    decoded.mnemonic = info.mnemonic;
    decoded.group = group_of(info, form.shape);
    decoded.length = info.length;
    decoded.condition = info.opcode & 0xF;
    decoded.address_bytes = info.address_width / 8;
    decoded.repeat = repeat_of(info);
    decoded.is_vex = info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
    decoded.vector_bytes = decoded.is_vex && info.raw.vex.L != 0 ? 32 : 16;
    decoded.immediate = info.raw.imm[0].value.u;
    describe_memory(info, extensions, decoded.memory);
    describe_operands(info, extensions, form, decoded);
}

}  // namespace undercroft
