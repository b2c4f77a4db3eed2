// Plain vector moves between memory and a register: what memcpy_toio and friends, and compilers that copy a register
// block, make. 16 and 32 bytes, and the 4- and 8-byte moves into the low lane.
#include "kernel/guest/emulator/execution.hpp"

#include <cstring>

namespace undercroft {

namespace {

constexpr unsigned not_a_move = 0;

/// Bytes in memory of a plain move, `vector_bytes` of a whole register.
unsigned move_bytes(ZydisMnemonic mnemonic, unsigned vector_bytes) {
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
        return vector_bytes;
    case ZYDIS_MNEMONIC_MOVD:
    case ZYDIS_MNEMONIC_MOVSS:
    case ZYDIS_MNEMONIC_VMOVD:
    case ZYDIS_MNEMONIC_VMOVSS:
        return 4;
    case ZYDIS_MNEMONIC_MOVQ:
    case ZYDIS_MNEMONIC_MOVSD:
    case ZYDIS_MNEMONIC_VMOVQ:
    case ZYDIS_MNEMONIC_VMOVSD:
        return 8;
    default:
        return not_a_move;
    }
}

}  // namespace

Emulated<bool> Execution::run_vector() {
    bool is_load = decoded_.group == InstructionGroup::vector_load;
    bool is_store = decoded_.group == InstructionGroup::vector_store;
    unsigned bytes = move_bytes(decoded_.mnemonic, decoded_.vector_bytes);
    if (bytes == not_a_move || (!is_load && !is_store)) {
        return false;
    }
    if (cpu_.vectors == nullptr) {
        return fail(unsupported("a vector move without the registers at hand"));
    }
    unsigned index = decoded_.vector_register;
    MemoryAccess access = is_load ? MemoryAccess::read : MemoryAccess::write;
    u64 linear = TRY(memory_.linear_address(decoded_.memory.segment, effective_address(), bytes, access));
    TranslatedOperand operand = TRY(memory_.translate_operand(linear, bytes, access));
    std::byte value[operand_bytes_max] = {};
    if (is_load) {
        memory_.load(operand, value);
        // Loads clear what they do not fill: the 16 bytes of an SSE register, all 32 under a VEX prefix.
        cpu_.vectors->write_vector(index, std::span<const std::byte>(value).first(decoded_.is_vex ? 32 : 16));
    } else {
        cpu_.vectors->read_vector(index, std::span(value).first(bytes > 16 ? 32 : 16));
        memory_.store(operand, value);
    }
    return true;
}

}  // namespace undercroft
