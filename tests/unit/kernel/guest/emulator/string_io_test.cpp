// INS and OUTS: guest memory on one side, a port on the other.
#include "tests/unit/kernel/guest/emulator/emulator_fixture.hpp"

namespace undercroft::test {
namespace {

/// A port that counts up when read, and remembers what is written.
struct CountingPort : PortDevice {
    u64 read_port(u16, AccessSize) override { return next++; }
    void write_port(u16, AccessSize, u64 value) override { written.push_back(value); }
    u64 next = 1;
    std::vector<u64> written;
};

struct StringIoMachine : EmulatorMachine {
    CountingPort port;
    StringIoMachine() { (void)bus.add_ports(port, 0x1F0, 1, AccessSize::dword); }
};

TEST_CASE("REP INSW fills memory, bounded and restartable") {
    StringIoMachine machine;
    (void)machine.bus.add_ports(machine.port, 0x1F8, 4, AccessSize::dword);
    machine.place({0xF3, 0x66, 0x6D});
    machine.reg(Gpr::rdi) = 0x10'0000;
    machine.reg(Gpr::rcx) = InstructionEmulator::repetitions_max + 10;
    StringIo access{0x1F8, AccessSize::word, false, true};
    CHECK(machine.emulator.emulate_string_io(machine.cpu, access).status == EmulationStatus::done);
    CHECK(machine.reg(Gpr::rcx) == 10);
    CHECK(machine.cpu.rip == EmulatorMachine::code_address);
    CHECK(machine.emulator.emulate_string_io(machine.cpu, access).status == EmulationStatus::done);
    CHECK(machine.reg(Gpr::rcx) == 0);
    CHECK(machine.cpu.rip == EmulatorMachine::code_address + 3);
    CHECK(machine.memory.get<u16>(0x10'0000) == 1);
    CHECK(machine.memory.get<u16>(0x10'0000 + 2 * (InstructionEmulator::repetitions_max + 9)) ==
          InstructionEmulator::repetitions_max + 10);
}

TEST_CASE("OUTSB takes its segment override and moves the source") {
    StringIoMachine machine;
    machine.place({0x65, 0x6E});  // outsb gs:
    machine.segment(SegmentName::gs).base = 0x1000;
    machine.memory.put<u8>(0x10'1000, 0x5A);
    machine.reg(Gpr::rsi) = 0x10'0000;
    CHECK(machine.emulator.emulate_string_io(machine.cpu, {0x1F0, AccessSize::byte, true, false}).status ==
          EmulationStatus::done);
    CHECK(machine.port.written == std::vector<u64>{0x5A});
    CHECK(machine.reg(Gpr::rsi) == 0x10'0001);
    CHECK(machine.cpu.rip == EmulatorMachine::code_address + 2);
}

TEST_CASE("INS into a page that the guest may not write faults before the port is read") {
    StringIoMachine machine;
    machine.map_small({0x10'0000 | 5});
    machine.place({0x6C});
    machine.reg(Gpr::rdi) = EmulatorMachine::small_pages;
    EmulationResult result = machine.emulator.emulate_string_io(machine.cpu, {0x1F0, AccessSize::byte, false, false});
    CHECK(result.status == EmulationStatus::exception);
    CHECK(result.exception.error_code == 3);
    CHECK(machine.port.next == 1);
}

}  // namespace
}  // namespace undercroft::test
