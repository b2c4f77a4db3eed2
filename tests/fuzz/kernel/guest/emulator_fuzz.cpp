// Any instruction in any state, over page tables that are either sane or whatever the fuzzer says. Besides not crashing
// and not looping, what Zydis alone knows of the instruction must hold: registers that it does not write keep their
// values, RIP stays or moves by its length, and the operands worked out by kernel/guest/emulator are the ones it finds.
#include <Zydis/Zydis.h>

#include <algorithm>
#include <cstdlib>

#include "kernel/base/assert.hpp"
#include "kernel/guest/emulator/decode.hpp"
#include "kernel/guest/emulator/emulator.hpp"
#include "tests/fuzz/fuzz_input.hpp"

namespace undercroft {
namespace {

constexpr u64 ram_bytes = 0x1'0000;
constexpr u64 table_bytes = 0x4000;
constexpr u64 code_page = 0x8000;
constexpr u64 device_address = 0x10'0000;

alignas(page_size) std::byte ram[ram_bytes];

/// Takes and gives anything.
struct AnyDevice : MmioDevice, PortDevice {
    u64 read_mmio(u64 offset, AccessSize) override { return offset * 0x0123'4567'89AB'CDEF; }
    void write_mmio(u64, AccessSize, u64) override {}
    u64 read_port(u16 port, AccessSize) override { return port * 0x89AB'CDEFu; }
    void write_port(u16, AccessSize, u64) override {}
};

struct AnyVectors : VectorRegisters {
    u8 bytes[16][32] = {};
    void read_vector(unsigned index, std::span<std::byte> into) override {
        std::memcpy(into.data(), bytes[index], into.size());
    }
    void write_vector(unsigned index, std::span<const std::byte> from) override {
        std::memcpy(bytes[index], from.data(), from.size());
    }
};

/// Identity for the first 2 MiB, in tables at 0, 1000h and 2000h; the fuzzer may then overwrite them.
void make_page_tables() {
    auto put = [](u64 address, u64 value) { std::memcpy(ram + address, &value, sizeof(value)); };
    put(0, 0x1007);
    put(0x1000, 0x2007);
    put(0x2000, 0x0087);
}

/// An instruction as Zydis alone decodes it, operands and all.
struct FullInstruction {
    ZydisDecodedInstruction info;
    ZydisDecodedOperand operands[ZYDIS_MAX_OPERAND_COUNT];
};

/// Bits of the general registers that the instruction may write, by Zydis's operands.
u32 written_registers(const FullInstruction& full) {
    u32 written = 0;
    for (unsigned i = 0; i < full.info.operand_count; ++i) {
        const ZydisDecodedOperand& operand = full.operands[i];
        if (operand.type != ZYDIS_OPERAND_TYPE_REGISTER || (operand.actions & ZYDIS_OPERAND_ACTION_MASK_WRITE) == 0) {
            continue;
        }
        ZydisRegister widest = ZydisRegisterGetLargestEnclosing(ZYDIS_MACHINE_MODE_LONG_64, operand.reg.value);
        if (ZydisRegisterGetClass(widest) == ZYDIS_REGCLASS_GPR64) {
            written |= 1u << ZydisRegisterGetId(widest);
        }
    }
    if (full.info.meta.category == ZYDIS_CATEGORY_STRINGOP) {
        // Zydis lists what these point to, not that the pointers move.
        written |= 1u << static_cast<unsigned>(Gpr::rsi) | 1u << static_cast<unsigned>(Gpr::rdi);
    }
    return written;
}

/// Zydis counts AL..BL, AH..BH, SPL..DIL, R8B..R15B.
u8 number_of(ZydisRegister name) {
    u8 id = static_cast<u8>(ZydisRegisterGetId(name));
    return ZydisRegisterGetClass(name) == ZYDIS_REGCLASS_GPR8 && id >= 4 ? id - 4 : id;
}

bool is_class(ZydisRegister name, std::initializer_list<ZydisRegisterClass> classes) {
    return std::ranges::find(classes, ZydisRegisterGetClass(name)) != classes.end();
}

void check_register(const Operand& ours, const ZydisDecodedOperand& theirs) {
    ASSERT(theirs.type == ZYDIS_OPERAND_TYPE_REGISTER);
    ZydisRegister name = theirs.reg.value;
    bool is_high_byte = name >= ZYDIS_REGISTER_AH && name <= ZYDIS_REGISTER_BH;
    ASSERT((ours.kind == OperandKind::high_byte_register) == is_high_byte);
    ASSERT((ours.kind == OperandKind::segment_register) == is_class(name, {ZYDIS_REGCLASS_SEGMENT}));
    ASSERT(ours.index == number_of(name));
}

void check_memory(const MemoryReference& ours, const ZydisDecodedOperandMem& theirs, unsigned address_bytes) {
    bool is_relative = is_class(theirs.base, {ZYDIS_REGCLASS_IP});
    auto number = [](ZydisRegister name) {
        return name == ZYDIS_REGISTER_NONE ? MemoryReference::no_register : number_of(name);
    };
    ASSERT(ours.is_rip_relative == is_relative);
    ASSERT(is_relative || ours.base == number(theirs.base));
    ASSERT(ours.index == number(theirs.index));
    ASSERT(theirs.index == ZYDIS_REGISTER_NONE || theirs.scale == 0 || ours.scale == theirs.scale);
    u64 mask = address_bytes == 8 ? ~u64{0} : (u64{1} << (8 * address_bytes)) - 1;
    u64 displacement = theirs.disp.has_displacement ? static_cast<u64>(theirs.disp.value) : 0;
    ASSERT(((static_cast<u64>(ours.displacement) ^ displacement) & mask) == 0);
    ASSERT(static_cast<u8>(ours.segment) == static_cast<u8>(ZydisRegisterGetId(theirs.segment)));
}

/// What was worked out of the instruction's raw parts, against what Zydis says of its operands.
void check_operands(const DecodedInstruction& ours, const FullInstruction& full) {
    ASSERT(ours.mnemonic == full.info.mnemonic);
    ASSERT((ours.group == InstructionGroup::string) == (full.info.meta.category == ZYDIS_CATEGORY_STRINGOP));
    ASSERT((ours.group == InstructionGroup::conditional_move) == (full.info.meta.category == ZYDIS_CATEGORY_CMOV));
    ASSERT((ours.group == InstructionGroup::conditional_set) == (full.info.meta.category == ZYDIS_CATEGORY_SETCC));
    if (ours.group == InstructionGroup::vector_load || ours.group == InstructionGroup::vector_store) {
        bool is_load = ours.group == InstructionGroup::vector_load;
        const ZydisDecodedOperand& memory = full.operands[is_load ? 1 : 0];
        const ZydisDecodedOperand& vector = full.operands[is_load ? 0 : 1];
        ASSERT(memory.type == ZYDIS_OPERAND_TYPE_MEMORY && vector.type == ZYDIS_OPERAND_TYPE_REGISTER);
        ASSERT(is_class(vector.reg.value, {ZYDIS_REGCLASS_XMM, ZYDIS_REGCLASS_YMM}));
        ASSERT(ours.vector_register == number_of(vector.reg.value));
        check_memory(ours.memory, memory.mem, ours.address_bytes);
        return;
    }
    for (unsigned i = 0; i < 2 && ours.operands[i].kind != OperandKind::none; ++i) {
        const Operand& operand = ours.operands[i];
        const ZydisDecodedOperand& theirs = full.operands[i];
        if (operand.kind == OperandKind::immediate) {
            ASSERT(theirs.type == ZYDIS_OPERAND_TYPE_IMMEDIATE && theirs.imm.value.u == ours.immediate);
            continue;
        }
        ASSERT(operand.bytes == theirs.size / 8u);
        if (operand.kind == OperandKind::memory) {
            ASSERT(theirs.type == ZYDIS_OPERAND_TYPE_MEMORY);
            check_memory(ours.memory, theirs.mem, ours.address_bytes);
        } else {
            check_register(operand, theirs);
        }
    }
}

/// `decoded`: by a decoder of its own, before the instruction could change its own bytes or tables; null where it does
/// not decode.
void check_against_decoder(const CpuState& before, const CpuState& after, const EmulationResult& result,
                           const DecodedInstruction* decoded) {
    if (decoded == nullptr) {
        ASSERT(result.status != EmulationStatus::done);
        return;
    }
    bool moved = after.rip == next_instruction(before, decoded->length);
    ASSERT(moved || after.rip == before.rip);
    ASSERT(result.status == EmulationStatus::done || after.rip == before.rip);
    ASSERT(after.cr3 == before.cr3 && after.cr0 == before.cr0 && after.cpl == before.cpl);

    ZydisDecoder decoder = decoder_for(before);
    ZydisDecoderEnableMode(&decoder, ZYDIS_DECODER_MODE_MINIMAL, ZYAN_FALSE);
    static FullInstruction full;
    ASSERT(
        ZYAN_SUCCESS(ZydisDecoderDecodeFull(&decoder, decoded->bytes, decoded->byte_count, &full.info, full.operands)));
    u32 written = written_registers(full);
    for (unsigned i = 0; i < 16; ++i) {
        ASSERT(after.general[i] == before.general[i] || (written & (1u << i)) != 0);
    }
    if (result.status != EmulationStatus::unsupported) {
        check_operands(*decoded, full);
    }
}

}  // namespace
}  // namespace undercroft

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace undercroft;
    fuzz::Input input(data, size);
    static GuestMemoryRange range{0, ram_bytes, ram};
    static GuestMemory memory = *GuestMemory::create({&range, 1});
    static AnyDevice device;
    static AnyVectors vectors;
    static GuestBus bus;
    static bool is_registered = bus.add_mmio(device, device_address, 0x4000).has_value() &&
                                bus.add_ports(device, 0, 0x10000, AccessSize::dword).has_value();
    ASSERT(is_registered);

    u8 mode = input.take<u8>();
    u8 options = input.take<u8>();
    CpuState cpu;
    cpu.cr4 = 0x30 | ((options & 1) != 0 ? u64{3} << 20 : 0);
    cpu.cr0 = 0x8001'0011;
    cpu.efer = 0xD00;
    for (auto& segment : cpu.segments) {
        segment = {0, 0xFFFF'FFFF, 0, 0xC093};
    }
    auto& cs = cpu.segments[static_cast<usize>(SegmentName::cs)];
    switch (mode % 6) {
    case 0:
        cs.attributes = 0xA09B;
        break;  // 64-bit
    case 1:
        cs.attributes = 0xA09B;
        cpu.cr4 |= 1u << 12;
        break;  // five levels
    case 2:
        cs.attributes = 0xC09B;
        break;  // compatibility
    case 3:
        cs.attributes = 0xC09B;
        cpu.efer = 0x800;
        break;  // PAE
    case 4:
        cs.attributes = 0xC09B;
        cpu.efer = 0;
        cpu.cr4 &= ~u64{0x20};
        break;  // two levels
    default:
        cs = {0, 0xFFFF, 0, 0x009B};
        cpu.efer = 0;
        cpu.cr0 = 0x10;
        break;  // real mode
    }
    cpu.cpl = (options & 2) != 0 ? 3 : 0;
    cpu.vectors = (options & 4) != 0 ? &vectors : nullptr;
    cpu.rflags = (input.take<u16>() & 0x0CD5) | 2;
    cpu.rip = code_page + ((options & 8) != 0 ? 0xFF8 : 0);
    for (u64& value : cpu.general) {
        // Mostly addresses near the device or RAM's end.
        u16 draw = input.take<u16>();
        value = (draw & 0x8000) != 0   ? device_address + (draw & 0x3FFF)
                : (draw & 0x4000) != 0 ? ram_bytes - (draw & 0x1F)
                                       : draw;
    }
    // Few repetitions, most of the time: the bound's own are slow and tell little.
    u64& counter = cpu.gpr(Gpr::rcx);
    counter = (counter & 0xF) != 0 ? counter & 0x1F : counter;
    std::memset(ram, 0, ram_bytes);
    make_page_tables();
    u8 code[24] = {};
    input.fill(std::as_writable_bytes(std::span(code)));
    std::memcpy(ram + cpu.rip, code, sizeof(code));
    if ((options & 16) != 0) {
        for (u64 place = 0; place < table_bytes && !input.is_empty(); place += 0x1000) {
            input.fill(std::span(ram + place, 64));
        }
    }

    // It keeps what it decoded: later runs check that against a fresh decoder.
    static InstructionEmulator emulator(memory, bus);
    CpuState before = cpu;
    if ((options & 32) != 0) {
        StringIo access{static_cast<u16>(cpu.general[2]), AccessSize::word, (options & 64) != 0, (options & 128) != 0};
        (void)emulator.emulate_string_io(cpu, access);
        return 0;
    }
    LinearMemory linear(memory, bus, before);
    DecodedInstruction decoded;
    bool decodes = decode(linear, before, {}, decoded, nullptr).has_value();
    EmulationResult result = emulator.emulate(cpu);
    check_against_decoder(before, cpu, result, decodes ? &decoded : nullptr);
    return 0;
}
