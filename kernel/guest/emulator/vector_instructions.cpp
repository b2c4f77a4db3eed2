// Plain vector moves between memory and a register: what memcpy_toio and friends, and compilers that copy a register
// block, make. 16 and 32 bytes, and the 4- and 8-byte moves into the low lane.
#include "kernel/guest/emulator/execution.hpp"

#include <cstring>

namespace undercroft {

namespace {

enum class VectorMove : u8 { none, full, low };

VectorMove classify(ZydisMnemonic mnemonic) {
    switch (mnemonic) {
    case ZYDIS_MNEMONIC_MOVAPD:
    case ZYDIS_MNEMONIC_MOVAPS:
    case ZYDIS_MNEMONIC_MOVDQA:
    case ZYDIS_MNEMONIC_MOVDQU:
    case ZYDIS_MNEMONIC_MOVNTDQ:
    case ZYDIS_MNEMONIC_MOVNTDQA:
    case ZYDIS_MNEMONIC_MOVNTPD:
    case ZYDIS_MNEMONIC_MOVNTPS:
    case ZYDIS_MNEMONIC_MOVUPD:
    case ZYDIS_MNEMONIC_MOVUPS:
    case ZYDIS_MNEMONIC_LDDQU:
    case ZYDIS_MNEMONIC_VMOVAPD:
    case ZYDIS_MNEMONIC_VMOVAPS:
    case ZYDIS_MNEMONIC_VMOVDQA:
    case ZYDIS_MNEMONIC_VMOVDQU:
    case ZYDIS_MNEMONIC_VMOVNTDQ:
    case ZYDIS_MNEMONIC_VMOVNTDQA:
    case ZYDIS_MNEMONIC_VMOVNTPD:
    case ZYDIS_MNEMONIC_VMOVNTPS:
    case ZYDIS_MNEMONIC_VMOVUPD:
    case ZYDIS_MNEMONIC_VMOVUPS:
    case ZYDIS_MNEMONIC_VLDDQU:
        return VectorMove::full;
    case ZYDIS_MNEMONIC_MOVD:
    case ZYDIS_MNEMONIC_MOVQ:
    case ZYDIS_MNEMONIC_MOVSS:
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_VMOVD:
    case ZYDIS_MNEMONIC_VMOVQ:
    case ZYDIS_MNEMONIC_VMOVSS:
    case ZYDIS_MNEMONIC_VMOVSD:
        return VectorMove::low;
    default:
        return VectorMove::none;
    }
}

bool is_vector_register(const ZydisDecodedOperand& operand) {
    if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER) {
        return false;
    }
    ZydisRegisterClass kind = ZydisRegisterGetClass(operand.reg.value);
    return kind == ZYDIS_REGCLASS_XMM || kind == ZYDIS_REGCLASS_YMM;
}

}  // namespace

Emulated<bool> Execution::run_vector() {
    VectorMove kind = classify(decoded_.info.mnemonic);
    if (kind == VectorMove::none) {
        return false;
    }
    const ZydisDecodedOperand& target = decoded_.operands[0];
    const ZydisDecodedOperand& source = decoded_.operands[1];
    bool is_load = is_vector_register(target) && source.type == ZYDIS_OPERAND_TYPE_MEMORY;
    bool is_store = is_vector_register(source) && target.type == ZYDIS_OPERAND_TYPE_MEMORY;
    if (cpu_.vectors == nullptr || (!is_load && !is_store)) {
        return fail(unsupported("a vector move without the registers at hand"));
    }
    const ZydisDecodedOperand& memory = is_load ? source : target;
    unsigned bytes = memory.size / 8u;
    unsigned index = static_cast<u8>(ZydisRegisterGetId((is_load ? target : source).reg.value));
    if (bytes == 0 || bytes > operand_bytes_max || index >= 16) {
        return fail(unsupported("a vector move of this size"));
    }
    MemoryAccess access = is_load ? MemoryAccess::read : MemoryAccess::write;
    u64 offset = TRY(effective_address(memory.mem));
    auto segment = static_cast<SegmentName>(ZydisRegisterGetId(memory.mem.segment));
    u64 linear = TRY(memory_.linear_address(segment, offset, bytes, access));
    TranslatedOperand operand = TRY(memory_.translate_operand(linear, bytes, access));
    std::byte value[operand_bytes_max] = {};
    if (is_load) {
        memory_.load(operand, value);
        // Loads clear what they do not fill: the 16 bytes of an SSE register, all 32 under a VEX prefix.
        bool is_vex = decoded_.info.encoding == ZYDIS_INSTRUCTION_ENCODING_VEX;
        cpu_.vectors->write_vector(index, std::span<const std::byte>(value).first(is_vex ? 32 : 16));
    } else {
        cpu_.vectors->read_vector(index, std::span(value).first(bytes > 16 ? 32 : 16));
        memory_.store(operand, value);
    }
    return true;
}

}  // namespace undercroft
