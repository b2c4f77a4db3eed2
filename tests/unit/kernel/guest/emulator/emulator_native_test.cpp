// The emulator against the processor that runs this test: the same instruction, registers and memory, once natively and
// once emulated, with random values; registers, memory and defined flags must agree. The memory lies at the same
// address in both worlds.
#include <random>
#include <sys/mman.h>

#include "tests/unit/kernel/guest/emulator/emulator_fixture.hpp"

namespace undercroft::test {
namespace {

constexpr u64 flag_carry = 0x01, flag_parity = 0x04, flag_adjust = 0x10, flag_zero = 0x40, flag_sign = 0x80,
              flag_overflow = 0x800;
constexpr u64 flags_status = flag_carry | flag_parity | flag_adjust | flag_zero | flag_sign | flag_overflow;

/// What goes into and comes out of a native run; the code below knows the offsets.
struct NativeState {
    u64 general[16];
    u64 rflags;
};

/// Runs one instruction natively, between code that loads and stores all registers but RSP.
class NativeRunner {
public:
    NativeRunner() {
        code_ = static_cast<u8*>(
            mmap(nullptr, page_size, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        void* wanted = reinterpret_cast<void*>(EmulatorMachine::device_address);
        memory_ = static_cast<u8*>(mmap(wanted, EmulatorMachine::device_bytes, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
        if (code_ == MAP_FAILED || memory_ != wanted) {
            FAIL("the test's memory cannot be mapped");
        }
    }
    NativeRunner(const NativeRunner&) = delete;
    NativeRunner& operator=(const NativeRunner&) = delete;
    ~NativeRunner() {
        munmap(code_, page_size);
        munmap(memory_, EmulatorMachine::device_bytes);
    }
    u8* memory() { return memory_; }

    // The code has no type signature in front of it that the sanitizer could check.
    __attribute__((no_sanitize("function"))) void run(const std::vector<u8>& instruction, NativeState& state) {
        end_ = code_;
        emit({0x53, 0x55, 0x41, 0x54, 0x41, 0x55, 0x41, 0x56, 0x41, 0x57, 0x57});  // push rbx rbp r12-r15 rdi
        emit({0xFF, 0xB7, 0x80, 0, 0, 0, 0x9D});                                   // push [rdi+80h]; popfq
        for (u8 i = 0; i < 16; ++i) {
            if (i != 4 && i != 7) {
                move(0x8B, i);
            }
        }
        move(0x8B, 7);
        emit(instruction);
        emit({0x48, 0x87, 0x3C, 0x24});  // xchg [rsp], rdi
        for (u8 i = 0; i < 16; ++i) {
            if (i != 4 && i != 7) {
                move(0x89, i);
            }
        }
        emit({0x58});  // pop rax: RDI's value
        emit({0x48, 0x89, 0x47, 0x38});
        emit({0x9C, 0x8F, 0x87, 0x80, 0, 0, 0, 0xFC});  // pushfq; pop [rdi+80h]; cld
        emit({0x41, 0x5F, 0x41, 0x5E, 0x41, 0x5D, 0x41, 0x5C, 0x5D, 0x5B, 0xC3});
        reinterpret_cast<void (*)(NativeState*)>(code_)(&state);
    }

private:
    void emit(const std::vector<u8>& bytes) {
        std::memcpy(end_, bytes.data(), bytes.size());
        end_ += bytes.size();
    }
    /// mov between register `index` and [rdi + 8 * index].
    void move(u8 opcode, u8 index) {
        emit({static_cast<u8>(0x48 | (index >= 8 ? 4 : 0)), opcode, static_cast<u8>(0x47 | (index & 7) << 3),
              static_cast<u8>(8 * index)});
    }
    u8* code_;
    u8* memory_;
    u8* end_ = nullptr;
};

/// One kind of instruction to try.
struct Template {
    std::vector<u8> opcode;        ///< with prefixes that must come before REX first
    int extension = -1;            ///< of the ModRM byte; -1: a register
    unsigned immediate_bytes = 0;  ///< 4 becomes 2 with an operand size prefix
    bool is_byte = false;
    u64 defined_flags = flags_status;
    bool has_modrm = true;
    bool is_string = false;
    bool is_bit_offset = false;
};

std::vector<Template> templates() {
    std::vector<Template> list;
    constexpr u64 logic = flags_status & ~flag_adjust;
    for (u8 operation = 0; operation < 8; ++operation) {
        u64 defined = operation == 1 || operation == 4 || operation == 6 ? logic : flags_status;
        for (u8 form = 0; form < 4; ++form) {
            list.push_back({{static_cast<u8>(8 * operation + form)}, -1, 0, form % 2 == 0, defined});
        }
        list.push_back({{0x80}, operation, 1, true, defined});
        list.push_back({{0x81}, operation, 4, false, defined});
        list.push_back({{0x83}, operation, 1, false, defined});
    }
    for (u8 wide = 0; wide < 2; ++wide) {
        bool byte = wide == 0;
        auto op = [&](u8 opcode) { return static_cast<u8>(opcode + wide); };
        list.push_back({{op(0x84)}, -1, 0, byte, logic});
        list.push_back({{op(0xF6)}, 0, byte ? 1u : 4u, byte, logic});
        list.push_back({{op(0xF6)}, 2, 0, byte});
        list.push_back({{op(0xF6)}, 3, 0, byte});
        list.push_back({{op(0xFE)}, 0, 0, byte});
        list.push_back({{op(0xFE)}, 1, 0, byte});
        list.push_back({{op(0x86)}, -1, 0, byte});
        list.push_back({{op(0x88)}, -1, 0, byte});
        list.push_back({{op(0x8A)}, -1, 0, byte});
        list.push_back({{op(0xC6)}, 0, byte ? 1u : 4u, byte});
        list.push_back({{0x0F, op(0xB6)}, -1, 0, false});
        list.push_back({{0x0F, op(0xBE)}, -1, 0, false});
        list.push_back({{0x0F, op(0xC0)}, -1, 0, byte});
        list.push_back({{0x0F, op(0xB0)}, -1, 0, byte});
        for (u8 string : {0xA4, 0xA6, 0xAA, 0xAC, 0xAE}) {
            list.push_back({{op(string)}, -1, 0, byte, flags_status, false, true});
        }
    }
    list.push_back({{0x63}, -1, 0, false});
    list.push_back({{0x0F, 0x38, 0xF0}, -1, 0, false});
    list.push_back({{0x0F, 0x38, 0xF1}, -1, 0, false});
    for (u8 bit : {0xA3, 0xAB, 0xB3, 0xBB}) {
        list.push_back({{0x0F, bit}, -1, 0, false, flag_carry, true, false, true});
    }
    for (int extension = 4; extension < 8; ++extension) {
        list.push_back({{0x0F, 0xBA}, extension, 1, false, flag_carry});
    }
    for (u8 condition = 0; condition < 16; ++condition) {
        list.push_back({{0x0F, static_cast<u8>(0x40 + condition)}, -1, 0, false});
        list.push_back({{0x0F, static_cast<u8>(0x90 + condition)}, 0, 0, true});
    }
    return list;
}

class Comparison {
public:
    explicit Comparison(unsigned seed) : random_(seed) {}

    void try_one(const Template& instruction) {
        std::vector<u8> code = encode(instruction);
        NativeState native = {};
        for (u64& value : native.general) {
            value = interesting_value();
        }
        native.rflags = 0x202 | (random_() & flags_status);
        constexpr u64 middle = EmulatorMachine::device_address + EmulatorMachine::device_bytes / 2;
        native.general[7] = middle + random_() % 32 - 16;  // often across a page boundary
        if (instruction.is_string) {
            native.general[6] = middle + 0x400 + random_() % 64;
            native.general[1] = random_() % 6;
            native.rflags |= random_() % 4 == 0 ? 0x400 : 0;
        }
        if (instruction.is_bit_offset && register_ != 7) {
            native.general[register_] = static_cast<u64>(static_cast<i64>(random_() % 512) - 256);
        }
        if (instruction.is_bit_offset && register_ == 7) {
            return;  // the address itself as a bit offset reaches too far
        }
        fill_memory(instruction.is_string);
        compare(code, native, instruction.defined_flags);
    }

private:
    std::vector<u8> encode(const Template& instruction) {
        std::vector<u8> code;
        bool is_16bit = !instruction.is_byte && random_() % 3 == 0;
        if (is_16bit) {
            code.push_back(0x66);
        }
        if (instruction.is_string && random_() % 2 == 0) {
            bool compares = (instruction.opcode[0] & 0xF6) == 0xA6;
            code.push_back(compares && random_() % 2 == 0 ? 0xF2 : 0xF3);
        }
        register_ = static_cast<unsigned>(random_() % 16);
        bool has_rex = register_ >= 8 || random_() % 2 == 0;
        if (register_ == 4 && !(instruction.is_byte && !has_rex)) {
            register_ = 0;  // not the stack pointer
        }
        bool is_64bit = has_rex && !is_16bit && random_() % 2 == 0;
        if (has_rex) {
            code.push_back(static_cast<u8>(0x40 | (is_64bit ? 8 : 0) | (register_ >= 8 ? 4 : 0)));
        }
        code.insert(code.end(), instruction.opcode.begin(), instruction.opcode.end());
        if (instruction.has_modrm) {
            unsigned field = instruction.extension >= 0 ? static_cast<unsigned>(instruction.extension) : register_ & 7;
            code.push_back(static_cast<u8>(0x47 | field << 3));  // [rdi + disp8]
            code.push_back(static_cast<u8>(random_() % 16));
        }
        unsigned immediate = instruction.immediate_bytes == 4 && is_16bit ? 2 : instruction.immediate_bytes;
        for (unsigned i = 0; i < immediate; ++i) {
            code.push_back(static_cast<u8>(random_()));
        }
        return code;
    }
    u64 interesting_value() {
        switch (random_() % 6) {
        case 0:
            return 0;
        case 1:
            return ~u64{0};
        case 2:
            return 0x8000'0000'8000'8080;
        case 3:
            return 0x7FFF'FFFF'7FFF'7F7F;
        default:
            return random_();
        }
    }
    void fill_memory(bool is_string) {
        u8* bytes = runner_.memory();
        for (usize i = 0; i < EmulatorMachine::device_bytes; i += 8) {
            u64 value = is_string ? 0x0101'0101'0101'0101 * (random_() % 2) : interesting_value();
            std::memcpy(bytes + i, &value, 8);
        }
        std::memcpy(machine_.device.bytes.data(), bytes, EmulatorMachine::device_bytes);
    }
    void compare(const std::vector<u8>& code, NativeState native, u64 defined_flags) {
        machine_.enter_64bit();
        std::memcpy(machine_.cpu.general, native.general, sizeof(native.general));
        machine_.cpu.rflags = native.rflags;
        runner_.run(code, native);
        EmulationResult result = machine_.run(code);
        std::string text;
        for (u8 byte : code) {
            char hex[4];
            (void)std::snprintf(hex, sizeof(hex), "%02X ", byte);
            text += hex;
        }
        INFO("instruction " << text);
        REQUIRE(result.status == EmulationStatus::done);
        REQUIRE(machine_.cpu.rip == EmulatorMachine::code_address + code.size());
        native.general[4] = machine_.cpu.general[4];
        for (unsigned i = 0; i < 16; ++i) {
            INFO("register " << i);
            REQUIRE(machine_.cpu.general[i] == native.general[i]);
        }
        REQUIRE((machine_.cpu.rflags & defined_flags) == (native.rflags & defined_flags));
        REQUIRE(std::memcmp(machine_.device.bytes.data(), runner_.memory(), EmulatorMachine::device_bytes) == 0);
    }

    std::mt19937_64 random_;
    NativeRunner runner_;
    EmulatorMachine machine_;
    unsigned register_ = 0;
};

TEST_CASE("emulated and native instructions agree") {
    constexpr unsigned seed = 2024;
    constexpr int rounds = 60;
    INFO("seed " << seed);
    Comparison comparison(seed);
    for (const Template& instruction : templates()) {
        for (int i = 0; i < rounds; ++i) {
            comparison.try_one(instruction);
        }
    }
}

}  // namespace
}  // namespace undercroft::test
