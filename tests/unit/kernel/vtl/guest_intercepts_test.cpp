// Messages in, bus accesses and register page out.
#include "kernel/vtl/guest_intercepts.hpp"

#include <catch2/catch.hpp>
#include <cstring>
#include <string>
#include <vector>

#include "tests/support/fake_cpu.hpp"

namespace undercroft {
namespace {

constexpr u16 port = 0x1234;
constexpr usize memory_bytes = 1 * mib;

struct RecordingDevice final : PortDevice, MmioDevice {
    u64 read_port(u16, AccessSize size) override { return next & all_ones(size); }
    void write_port(u16, AccessSize, u64 value) override { written.push_back(value); }
    u64 read_mmio(u64, AccessSize size) override { return next & all_ones(size); }
    void write_mmio(u64, AccessSize, u64 value) override { written.push_back(value); }
    std::vector<u64> written;
    u64 next = 0;
};

struct RecordingEvents final : GuestEvents {
    void end_of_interrupt(u8 vector) override { acknowledged = vector; }
    void processor_stopped(VirtualProcessor&, const char*) override { stopped = true; }
    bool has_external_interrupt(const VirtualProcessor&) override { return external; }
    u8 acknowledge_external_interrupt() override {
        external = false;
        return 0x30;
    }
    int acknowledged = -1;
    bool stopped = false;
    bool external = false;
};

struct Fixture : FakeProcessor {
    Fixture() : memory_data(static_cast<std::byte*>(std::aligned_alloc(page_size, memory_bytes))) {
        std::memset(memory_data, 0, memory_bytes);
        GuestMemoryRange range{0, memory_bytes, memory_data};
        memory = *GuestMemory::create(std::span(&range, 1));
        REQUIRE(bus.add_ports(device, port, 4, AccessSize::dword));
        REQUIRE(bus.add_mmio(device, 0xF000'0000, page_size));
        cpu.on_hypercall = [this](u64 input, u64, u64) {
            calls.push_back(static_cast<u16>(input));
            std::memcpy(last_input, FakeCpu::page(0), sizeof(last_input));
            std::memset(FakeCpu::page(1), 0, page_size);
            std::memcpy(FakeCpu::page(1), &register_value, sizeof(register_value));
            return cpu::HypercallOutcome{0, 0};
        };
        // Flat 32-bit code without paging.
        tlfs::RegisterPage& page = registers();
        page.cr0 = 1;
        page.rip = 0x1000;
        for (tlfs::SegmentRegister& segment : page.segments) {
            segment = {.base = 0, .limit = 0xFFFF'FFFF, .selector = 8, .attributes = 0xC093};
        }
        page.segments[static_cast<usize>(SegmentName::cs)].attributes = 0xC09B;
    }
    ~Fixture() { std::free(memory_data); }
    tlfs::RegisterPage& registers() { return processor.guest_registers(); }
    u64& general(Gpr name) { return registers().general[static_cast<usize>(name)]; }
    void put_code(std::initializer_list<u8> bytes) {
        std::memcpy(memory_data + 0x1000, std::data(bytes), bytes.size());
    }

    template <typename T>
    void deliver(tlfs::MessageType type, const T& payload) {
        tlfs::MessageHeader header{static_cast<u32>(type), sizeof(T), 0, 0, 0};
        std::memcpy(assist().intercept_message, &header, sizeof(header));
        std::memcpy(assist().intercept_message + sizeof(header), &payload, sizeof(payload));
        intercepts.on_intercept(processor);
    }
    tlfs::IoPortIntercept port_access(tlfs::AccessType access, u8 info, u8 length) {
        tlfs::IoPortIntercept message = {};
        message.header.access_type = static_cast<u8>(access);
        message.header.instruction_length = length;
        message.port = port;
        message.access_info = info;
        return message;
    }

    std::byte* memory_data;
    GuestMemory memory;
    GuestBus bus;
    RecordingDevice device;
    RecordingEvents events;
    InstructionEmulator emulator{memory, bus};
    GuestIntercepts intercepts{bus, emulator, events};
    std::vector<u16> calls;
    u8 last_input[128] = {};
    u64 register_value = 0;
};

TEST_CASE_METHOD(Fixture, "IN merges by size: 8 and 16 bits keep what is above, 32 bits clear it") {
    device.next = 0xAABB'CCDD;
    general(Gpr::rax) = 0x1111'2222'3333'4444;
    deliver(tlfs::MessageType::io_port_intercept, port_access(tlfs::AccessType::read, 1, 1));
    CHECK(general(Gpr::rax) == 0x1111'2222'3333'44DD);
    CHECK(registers().rip == 0x1001);
    deliver(tlfs::MessageType::io_port_intercept, port_access(tlfs::AccessType::read, 2, 2));
    CHECK(general(Gpr::rax) == 0x1111'2222'3333'CCDD);
    CHECK(registers().rip == 0x1003);
    deliver(tlfs::MessageType::io_port_intercept, port_access(tlfs::AccessType::read, 4, 1));
    CHECK(general(Gpr::rax) == 0xAABB'CCDD);
    CHECK((registers().dirty & (tlfs::register_class_general | tlfs::register_class_ip)) ==
          (tlfs::register_class_general | tlfs::register_class_ip));
}

TEST_CASE_METHOD(Fixture, "OUT writes the low bytes of RAX, and ends an interrupt shadow") {
    general(Gpr::rax) = 0x1122'3344'5566'7788;
    registers().interrupt_state = 1;
    deliver(tlfs::MessageType::io_port_intercept, port_access(tlfs::AccessType::write, 2, 1));
    CHECK(device.written == std::vector<u64>{0x7788});
    CHECK(registers().interrupt_state == 0);
    CHECK((registers().dirty & tlfs::register_class_general) == 0);
}

TEST_CASE_METHOD(Fixture, "an instruction length that the CPU does not report is found by decoding") {
    put_code({0x66, 0xED});  // in ax, dx
    deliver(tlfs::MessageType::io_port_intercept, port_access(tlfs::AccessType::read, 2, 0));
    CHECK(registers().rip == 0x1002);
}

TEST_CASE_METHOD(Fixture, "REP OUTSB sends memory, REP INSW fills it, across a page") {
    constexpr u8 string_rep = 8 | 16;
    put_code({0xF3, 0x6E});  // rep outsb
    std::memcpy(memory_data + 0x2FFE, "abcd", 4);
    general(Gpr::rsi) = 0x2FFE;
    general(Gpr::rcx) = 4;
    general(Gpr::rdx) = port;
    deliver(tlfs::MessageType::io_port_intercept, port_access(tlfs::AccessType::write, 1 | string_rep, 2));
    CHECK(device.written == std::vector<u64>{'a', 'b', 'c', 'd'});
    CHECK(general(Gpr::rcx) == 0);
    CHECK(general(Gpr::rsi) == 0x3002);
    CHECK(registers().rip == 0x1002);

    put_code({0x66, 0xF3, 0x6D});  // rep insw
    registers().rip = 0x1000;
    device.next = 0x4142;
    general(Gpr::rdi) = 0x3FFF;
    general(Gpr::rcx) = 2;
    deliver(tlfs::MessageType::io_port_intercept, port_access(tlfs::AccessType::read, 2 | string_rep, 3));
    CHECK(std::memcmp(memory_data + 0x3FFF, "BABA", 4) == 0);
    CHECK(general(Gpr::rdi) == 0x4003);
    CHECK(registers().rip == 0x1003);
}

TEST_CASE_METHOD(Fixture, "a memory access is emulated; what is not known is the guest's invalid opcode") {
    put_code({0x89, 0x03});  // mov [ebx], eax
    general(Gpr::rbx) = 0xF000'0010;
    general(Gpr::rax) = 0x1234'5678;
    tlfs::MemoryIntercept message = {};
    message.guest_physical_address = 0xF000'0010;
    deliver(tlfs::MessageType::unmapped_gpa, message);
    CHECK(device.written == std::vector<u64>{0x1234'5678});
    CHECK(registers().rip == 0x1002);
    CHECK(calls.empty());

    registers().rip = 0x1000;
    put_code({0xD9, 0x03});  // fld dword [ebx]
    deliver(tlfs::MessageType::unmapped_gpa, message);
    CHECK(registers().rip == 0x1000);
    REQUIRE(calls.back() == static_cast<u16>(tlfs::CallCode::set_vp_registers));
    tlfs::RegisterAssignment assignment;
    std::memcpy(&assignment, last_input + sizeof(tlfs::VpRegistersInput), sizeof(assignment));
    CHECK(assignment.name == static_cast<u32>(tlfs::RegisterName::pending_interruption));
    CHECK(assignment.value.low == (1 | (3 << 1) | (6 << 16)));
}

TEST_CASE_METHOD(Fixture, "acknowledged levels and triple faults reach the machine") {
    deliver(tlfs::MessageType::apic_eoi, tlfs::ApicEoiMessage{0, 0x51});
    CHECK(events.acknowledged == 0x51);
    deliver(tlfs::MessageType::unrecoverable_exception, tlfs::InterceptHeader{});
    CHECK(events.stopped);
}

TEST_CASE_METHOD(Fixture, "the 8259 is asked only when the processor can take its interrupt") {
    events.external = true;
    register_value = 0x700;  // LINT0: ExtINT, not masked
    registers().rflags = 0x002;
    intercepts.before_guest(processor);
    CHECK(events.external);
    // The monitor is asked to say when that is, once.
    CHECK(calls.back() == static_cast<u16>(tlfs::CallCode::set_vp_registers));
    usize asked = calls.size();
    intercepts.before_guest(processor);
    CHECK(calls.size() == asked);
    deliver(tlfs::MessageType::interruption_deliverable, tlfs::InterruptionDeliverable{});
    intercepts.before_guest(processor);
    CHECK(calls.back() == static_cast<u16>(tlfs::CallCode::set_vp_registers));
    CHECK(calls.size() > asked);
    registers().rflags = 0x202;
    register_value = 0x1'0700;
    intercepts.before_guest(processor);
    CHECK(events.external);
    register_value = 0x700;
    intercepts.before_guest(processor);
    CHECK_FALSE(events.external);
    CHECK(calls.back() == static_cast<u16>(tlfs::CallCode::assert_virtual_interrupt));
}

}  // namespace
}  // namespace undercroft
