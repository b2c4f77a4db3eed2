// The emulator on chosen instructions: what drivers do to registers, how it addresses, and what it refuses. Results and
// flags in general are emulator_native_test.cpp's.
#include "kernel/guest/emulator/emulator.hpp"

#include "tests/unit/kernel/guest/emulator/emulator_fixture.hpp"

namespace undercroft::test {
namespace {

constexpr u64 device = EmulatorMachine::device_address;

TEST_CASE("a 32-bit register read is one access and clears the upper half") {
    EmulatorMachine machine;
    machine.device_put<u32>(0x14, 0x1234'5678);
    machine.reg(Gpr::rdi) = device;
    machine.reg(Gpr::rax) = ~u64{0};
    CHECK(machine.run({0x8B, 0x47, 0x14}).status == EmulationStatus::done);  // mov eax, [rdi+14h]
    CHECK(machine.reg(Gpr::rax) == 0x1234'5678);
    CHECK(machine.device.reads == 1);
    CHECK(machine.device.writes == 0);
    CHECK(machine.cpu.rip == EmulatorMachine::code_address + 3);
}

TEST_CASE("a 64-bit immediate store is one access, sign-extended") {
    EmulatorMachine machine;
    machine.reg(Gpr::rdi) = device;
    CHECK(machine.run({0x48, 0xC7, 0x07, 0xFE, 0xFF, 0xFF, 0xFF}).status == EmulationStatus::done);
    CHECK(machine.device_get<u64>(0) == ~u64{1});
    CHECK(machine.device.writes == 1);
}

TEST_CASE("high byte registers, RIP-relative operands, moffs and segment bases") {
    EmulatorMachine machine;
    machine.reg(Gpr::rdi) = device;
    machine.reg(Gpr::rax) = 0xAB00;
    CHECK(machine.run({0x88, 0x67, 0x01}).status == EmulationStatus::done);  // mov [rdi+1], ah
    CHECK(machine.device.bytes[1] == 0xAB);
    // mov ecx, [rip + device - next]
    u64 next = machine.cpu.rip + 6;
    u32 displacement = static_cast<u32>(device - next);
    std::vector<u8> code = {0x8B, 0x0D, 0, 0, 0, 0};
    std::memcpy(code.data() + 2, &displacement, 4);
    CHECK(machine.run(code).status == EmulationStatus::done);
    CHECK(machine.reg(Gpr::rcx) == 0xAB00);
    // mov al, [moffs64]
    code = {0xA0, 0x01, 0, 0, 0x10, 0, 0, 0, 0};
    CHECK(machine.run(code).status == EmulationStatus::done);
    CHECK((machine.reg(Gpr::rax) & 0xFF) == 0xAB);
    // mov edx, gs:[rax] with a base
    machine.segment(SegmentName::gs).base = device - 0x100;
    machine.reg(Gpr::rax) = 0x100;
    CHECK(machine.run({0x65, 0x8B, 0x10}).status == EmulationStatus::done);
    CHECK(machine.reg(Gpr::rdx) == 0xAB00);
}

TEST_CASE("an operand that crosses a page is translated on both sides") {
    EmulatorMachine machine;
    // Two neighbouring linear pages: device pages 2 and 0.
    machine.map_small({(device + 0x2000) | 7, device | 7});
    machine.reg(Gpr::rdi) = EmulatorMachine::small_pages + 0xFFD;
    machine.reg(Gpr::rax) = 0x8877'6655'4433'2211;
    CHECK(machine.run({0x48, 0x89, 0x07}).status == EmulationStatus::done);
    CHECK(machine.device.bytes[0x2FFD] == 0x11);
    CHECK(machine.device.bytes[0x2FFF] == 0x33);
    CHECK(machine.device.bytes[0] == 0x44);
    CHECK(machine.device.bytes[4] == 0x88);
    CHECK(machine.run({0x48, 0x8B, 0x1F}).status == EmulationStatus::done);
    CHECK(machine.reg(Gpr::rbx) == machine.reg(Gpr::rax));
}

TEST_CASE("a page fault on the second page leaves the first untouched") {
    EmulatorMachine machine;
    machine.map_small({device | 7, 0});
    machine.reg(Gpr::rdi) = EmulatorMachine::small_pages + 0xFFE;
    EmulationResult result = machine.run({0x89, 0x07});  // mov [rdi], eax
    CHECK(result.status == EmulationStatus::exception);
    CHECK(result.exception.vector == 14);
    CHECK(result.exception.error_code == 2);
    CHECK(result.exception.fault_address == EmulatorMachine::small_pages + 0x1000);
    CHECK(machine.device.writes == 0);
    CHECK(machine.cpu.rip == EmulatorMachine::code_address);
}

TEST_CASE("read-modify-write with a lock prefix reads once and writes once") {
    EmulatorMachine machine;
    machine.device_put<u32>(0, 0xF0);
    machine.reg(Gpr::rdi) = device;
    CHECK(machine.run({0xF0, 0x83, 0x0F, 0x0F}).status == EmulationStatus::done);  // lock or dword [rdi], 0fh
    CHECK(machine.device_get<u32>(0) == 0xFF);
    CHECK(machine.device.reads == 1);
    CHECK(machine.device.writes == 1);
}

TEST_CASE("REP MOVS copies between RAM and device, and restarts past its bound") {
    EmulatorMachine machine;
    for (usize i = 0; i < 0x3000; ++i) {
        *machine.memory.at(0x10'0000 + i) = static_cast<std::byte>(i * 7);
    }
    machine.reg(Gpr::rsi) = 0x10'0000;
    machine.reg(Gpr::rdi) = device;
    machine.reg(Gpr::rcx) = 0x3000;
    machine.place({0xF3, 0xA4});
    int calls = 0;
    while (machine.cpu.rip == EmulatorMachine::code_address) {
        REQUIRE(machine.emulator.emulate(machine.cpu).status == EmulationStatus::done);
        ++calls;
    }
    CHECK(calls == 0x3000 / InstructionEmulator::repetitions_max);
    CHECK(machine.reg(Gpr::rcx) == 0);
    CHECK(machine.reg(Gpr::rsi) == 0x10'3000);
    CHECK(machine.reg(Gpr::rdi) == device + 0x3000);
    CHECK(std::memcmp(machine.device.bytes.data(), machine.memory.at(0x10'0000), 0x3000) == 0);
}

TEST_CASE("REP STOS that meets a fault keeps what it has done") {
    EmulatorMachine machine;
    machine.map_small({device | 7, 0});
    machine.reg(Gpr::rdi) = EmulatorMachine::small_pages + 0xFF8;
    machine.reg(Gpr::rcx) = 4;
    machine.reg(Gpr::rax) = 0x5555'5555;
    EmulationResult result = machine.run({0xF3, 0xAB});
    CHECK(result.status == EmulationStatus::exception);
    CHECK(result.exception.fault_address == EmulatorMachine::small_pages + 0x1000);
    CHECK(machine.reg(Gpr::rcx) == 2);
    CHECK(machine.reg(Gpr::rdi) == EmulatorMachine::small_pages + 0x1000);
    CHECK(machine.cpu.rip == EmulatorMachine::code_address);
    CHECK(machine.device_get<u64>(0xFF8) == 0x5555'5555'5555'5555);
}

TEST_CASE("REP with a zero count does nothing, and backwards goes down") {
    EmulatorMachine machine;
    machine.reg(Gpr::rdi) = device + 8;
    machine.reg(Gpr::rcx) = 0;
    CHECK(machine.run({0xF3, 0xAA}).status == EmulationStatus::done);
    CHECK(machine.device.writes == 0);
    machine.cpu.rflags |= 1u << 10;
    machine.reg(Gpr::rcx) = 3;
    machine.reg(Gpr::rax) = 0x11;
    CHECK(machine.run({0xF3, 0xAA}).status == EmulationStatus::done);
    CHECK(machine.reg(Gpr::rdi) == device + 5);
    CHECK(machine.device.bytes[6] == 0x11);
    CHECK(machine.device.bytes[5] == 0);
}

TEST_CASE("32-bit code: 32-bit addresses wrap and clear upper halves") {
    EmulatorMachine machine;
    machine.enter_32bit_unpaged();
    machine.device_put<u32>(0x20, 77);
    machine.reg(Gpr::rbx) = 0xFFFF'FFF0;
    // mov eax, [ebx + 10000030h] wraps to the device
    CHECK(machine.run({0x8B, 0x83, 0x30, 0x00, 0x00, 0x10}).status == EmulationStatus::done);
    CHECK(machine.reg(Gpr::rax) == 77);
    // A limit that is too small: #GP, for the stack #SS.
    machine.segment(SegmentName::ds).limit = 0xFFF;
    EmulationResult result = machine.run({0x8B, 0x83, 0x30, 0x00, 0x00, 0x10});
    CHECK(result.status == EmulationStatus::exception);
    CHECK(result.exception.vector == 13);
    CHECK(result.exception.has_error_code);
    machine.segment(SegmentName::ss).limit = 0xFFF;
    machine.reg(Gpr::rbp) = 0x1000'0000;
    CHECK(machine.run({0x8B, 0x45, 0x00}).exception.vector == 12);
}

TEST_CASE("real mode: segments shift, and the device is reached through a big segment") {
    EmulatorMachine machine;
    machine.enter_real_mode(0x1'0000);
    machine.segment(SegmentName::es) = {device, 0xFFFF'FFFF, 0, 0x8093};
    machine.reg(Gpr::rdi) = 0xABCD'0010;
    machine.reg(Gpr::rax) = 0x1234;
    CHECK(machine.run({0x26, 0x89, 0x05}).status == EmulationStatus::done);  // mov es:[di], ax
    CHECK(machine.device_get<u16>(0x10) == 0x1234);
    CHECK(machine.cpu.rip == 3);
    machine.cpu.rip = 0xFFFE;
    CHECK(machine.emulator.instruction_length(machine.cpu) == 2);
}

TEST_CASE("bytes that the CPU handed over are used, and completed from memory where they end early") {
    EmulatorMachine machine;
    machine.reg(Gpr::rdi) = device;
    machine.device_put<u32>(0, 42);
    u8 whole[] = {0x8B, 0x07};
    CHECK(machine.emulator.emulate(machine.cpu, whole).status == EmulationStatus::done);
    CHECK(machine.reg(Gpr::rax) == 42);
    machine.place({0xC7, 0x07, 0x78, 0x56, 0x34, 0x12});
    u8 part[] = {0xC7, 0x07, 0x78};
    CHECK(machine.emulator.emulate(machine.cpu, part).status == EmulationStatus::done);
    CHECK(machine.device_get<u32>(0) == 0x1234'5678);
}

TEST_CASE("an instruction that crosses a page is fetched from both pages") {
    EmulatorMachine machine;
    machine.map_small({0x10'1000 | 7, 0x10'0000 | 7});
    std::vector<u8> code = {0xC7, 0x07, 0x78, 0x56, 0x34, 0x12};
    std::memcpy(machine.memory.at(0x10'1FFD), code.data(), 3);
    std::memcpy(machine.memory.at(0x10'0000), code.data() + 3, 3);
    machine.cpu.rip = EmulatorMachine::small_pages + 0xFFD;
    machine.reg(Gpr::rdi) = device;
    CHECK(machine.emulator.emulate(machine.cpu).status == EmulationStatus::done);
    CHECK(machine.device_get<u32>(0) == 0x1234'5678);
    CHECK(machine.cpu.rip == EmulatorMachine::small_pages + 0x1003);
    // The second page is gone: a fault for the fetch, at the page's beginning.
    machine.memory.put<u64>(0x5008, 0);
    machine.cpu.rip = EmulatorMachine::small_pages + 0xFFD;
    EmulationResult result = machine.emulator.emulate(machine.cpu);
    CHECK(result.status == EmulationStatus::exception);
    CHECK(result.exception.error_code == 0x10);
    CHECK(result.exception.fault_address == EmulatorMachine::small_pages + 0x1000);
}

TEST_CASE("what it does not know is unsupported, with the bytes for the log") {
    EmulatorMachine machine;
    machine.reg(Gpr::rdi) = device;
    for (std::vector<u8> code :
         {std::vector<u8>{0x0F, 0xC7, 0x0F}, {0xD9, 0x07}, {0x0F, 0x0B}, {0xFF, 0x17}, {0x0F, 0x01, 0x17}}) {
        EmulationResult result = machine.run(code);
        CHECK(result.status == EmulationStatus::unsupported);
        CHECK(result.instruction_bytes >= code.size());
        CHECK(std::memcmp(result.instruction, code.data(), code.size()) == 0);
        CHECK(std::string(result.reason) != "");
        CHECK(machine.cpu.rip == EmulatorMachine::code_address);
    }
    CHECK(machine.device.reads + machine.device.writes == 0);
    // Code in a device is not fetched.
    machine.cpu.rip = device;
    CHECK(machine.emulator.emulate(machine.cpu).status == EmulationStatus::unsupported);
    CHECK(machine.emulator.instruction_length(machine.cpu) == 0);
}

TEST_CASE("the same bytes at the same place mean something else in another mode, and after they changed") {
    EmulatorMachine machine;
    machine.reg(Gpr::rdi) = device;
    machine.device_put<u64>(0, 0x1122'3344'5566'7788);
    machine.reg(Gpr::rbx) = 0x7000;
    machine.memory.put<u32>(0x7000, 0x99AA'BBCC);
    CHECK(machine.run({0x67, 0x8B, 0x07}).status == EmulationStatus::done);  // mov eax, [edi]
    CHECK(machine.reg(Gpr::rax) == 0x5566'7788);
    machine.enter_32bit_unpaged();
    CHECK(machine.emulator.emulate(machine.cpu).status == EmulationStatus::done);  // mov eax, [bx]
    CHECK(machine.reg(Gpr::rax) == 0x99AA'BBCC);
    CHECK(machine.cpu.rip == EmulatorMachine::code_address + 3);
    machine.enter_64bit();
    CHECK(machine.run({0x48, 0x8B, 0x1F}).status == EmulationStatus::done);  // mov rbx, [rdi]
    CHECK(machine.reg(Gpr::rbx) == 0x1122'3344'5566'7788);
    // A shorter piece of what is kept is not enough to find it.
    machine.cpu.rip = EmulatorMachine::code_address;
    u8 begin[] = {0x48, 0x8B};
    machine.place({0x48, 0x8B, 0x0F});
    CHECK(machine.emulator.emulate(machine.cpu, begin).status == EmulationStatus::done);
    CHECK(machine.reg(Gpr::rcx) == 0x1122'3344'5566'7788);
}

struct TestVectors : VectorRegisters {
    u8 registers[16][32] = {};
    void read_vector(unsigned index, std::span<std::byte> bytes) override {
        std::memcpy(bytes.data(), registers[index], bytes.size());
    }
    void write_vector(unsigned index, std::span<const std::byte> bytes) override {
        std::memcpy(registers[index], bytes.data(), bytes.size());
    }
};

TEST_CASE("vector moves go in accesses of 8 bytes, and clear what VEX clears") {
    EmulatorMachine machine;
    TestVectors vectors;
    machine.reg(Gpr::rdi) = device;
    CHECK(machine.run({0x0F, 0x11, 0x07}).status == EmulationStatus::unsupported);
    machine.cpu.vectors = &vectors;
    for (unsigned i = 0; i < 32; ++i) {
        vectors.registers[1][i] = static_cast<u8>(i + 1);
        vectors.registers[2][i] = 0xEE;
    }
    CHECK(machine.run({0x0F, 0x11, 0x0F}).status == EmulationStatus::done);  // movups [rdi], xmm1
    CHECK(machine.device.writes == 2);
    CHECK(machine.device_get<u64>(8) == 0x100F'0E0D'0C0B'0A09);
    CHECK(machine.device.bytes[16] == 0);
    CHECK(machine.run({0xC5, 0xFE, 0x7F, 0x0F}).status == EmulationStatus::done);  // vmovdqu [rdi], ymm1
    CHECK(machine.device.bytes[31] == 32);
    CHECK(machine.run({0xF3, 0x0F, 0x6F, 0x17}).status == EmulationStatus::done);  // movdqu xmm2, [rdi]
    CHECK(vectors.registers[2][15] == 16);
    CHECK(vectors.registers[2][16] == 0xEE);
    CHECK(machine.run({0xC5, 0xFA, 0x6F, 0x17}).status == EmulationStatus::done);  // vmovdqu xmm2, [rdi]
    CHECK(vectors.registers[2][16] == 0);
    CHECK(machine.run({0x66, 0x48, 0x0F, 0x7E, 0x0F}).status == EmulationStatus::done);  // movq [rdi], xmm1
    machine.reg(Gpr::rdi) = device + 0x100;
    CHECK(machine.run({0xF3, 0x0F, 0x7E, 0x1F}).status == EmulationStatus::done);  // movq xmm3, [rdi]
    CHECK(vectors.registers[3][0] == 0);
}

}  // namespace
}  // namespace undercroft::test
