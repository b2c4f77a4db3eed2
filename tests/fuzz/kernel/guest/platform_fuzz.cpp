// Any sequence of port and memory accesses and pauses against the whole machine: nothing crashes, and time that passes
// costs a bounded number of timer events.
#include <cstdlib>
#include <memory>
#include <vector>

#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/guest/platform.hpp"
#include "tests/fuzz/fuzz_input.hpp"

namespace undercroft {
namespace {

constexpr u64 ram_bytes = 2 * mib;
/// Timer events that one second may cost: each device's fastest timer, and some.
constexpr u64 work_per_second_max = 200'000;

alignas(page_size) std::byte ram[ram_bytes];

struct Surroundings : MessageSink, ExternalInterruptSink, PowerControl, WallClock, CharacterBackend {
    void deliver(u64, u32) override {}
    void set_requested(bool) override {}
    void power_off() override {}
    void reset() override {}
    u64 unix_time_ns() override { return time->now_ns() + 1'700'000'000 * nanoseconds_per_second; }
    usize write(std::span<const u8> bytes) override { return is_busy ? 0 : bytes.size(); }
    void receive_ready() override {}
    VirtualTimePlatform* time = nullptr;
    bool is_busy = false;
};

/// A function with one window of each kind.
struct AnyFunction : PciFunction {
    u32 registers[64] = {};
    u32 read_config(u16 offset) override { return registers[offset / 4]; }
    void write_config(u16 offset, u32 value, u32 mask) override {
        registers[offset / 4] = (registers[offset / 4] & ~mask) | (value & mask);
    }
    PciBar bar(usize index) const override {
        return index == 0   ? PciBar{16 * kib, true, false, false}
               : index == 2 ? PciBar{64, false, false, true}
                            : PciBar{};
    }
    u64 read_bar(usize index, u64 offset, AccessSize size) override {
        ASSERT(offset + static_cast<u64>(size) <= bar(index).size_bytes);
        return offset;
    }
    void write_bar(usize index, u64 offset, AccessSize size, u64) override {
        ASSERT(offset + static_cast<u64>(size) <= bar(index).size_bytes);
    }
};

constexpr u16 ports[] = {0x20,  0x21,  0xA0,  0xA1,  0x4D0, 0x40,  0x41,  0x42,   0x43,  0x61,  0x70,  0x71,
                         0x60,  0x64,  0x80,  0x92,  0x3F8, 0x3F9, 0x3FA, 0x3FB,  0x3FC, 0x3FD, 0x3FE, 0x3FF,
                         0x600, 0x602, 0x604, 0x608, 0xCF8, 0xCF9, 0xCFC, 0xC000, 0x510, 0x511};

void pass(VirtualTimePlatform& time, Executor& executor, u64 duration_ns) {
    u64 end = time.now_ns() + duration_ns;
    u64 rounds = 0;
    executor.run_ready();
    while (executor.next_deadline_ns() <= end) {
        time.clock().advance_to(executor.next_deadline_ns());
        executor.run_ready();
        ASSERT(++rounds <= duration_ns / nanoseconds_per_second * work_per_second_max + work_per_second_max);
    }
    time.clock().advance_to(end);
}

void step(fuzz::Input& input, GuestPlatform& platform, Surroundings& around, VirtualTimePlatform& time,
          Executor& executor) {
    u8 action = input.take<u8>();
    auto size = static_cast<AccessSize>(1u << ((action >> 4) & 3));
    u16 port = ports[input.take<u8>() % std::size(ports)];
    switch (action & 0xF) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        platform.bus().write_port(port, size == AccessSize::qword ? AccessSize::dword : size, input.take<u32>());
        break;
    case 5:
    case 6:
        platform.bus().read_port(port, size == AccessSize::qword ? AccessSize::dword : size);
        break;
    case 7:
        platform.bus().write_mmio(IoApic::base_address + (input.take<u8>() & 0x7F), size, input.take<u64>());
        break;
    case 8:
        platform.bus().read_mmio(IoApic::base_address + input.take<u8>(), size);
        break;
    case 9:
        platform.bus().write_mmio(input.take<u64>(), size, 1);
        break;
    case 10:
        platform.bus().read_mmio(input.take<u64>(), size);
        break;
    case 11:
        pass(time, executor, u64{input.take<u16>()} * 10'000);
        break;
    case 12:
        platform.end_of_interrupt(input.take<u8>());
        break;
    case 13:
        platform.acknowledge_external_interrupt();
        break;
    case 14: {
        u8 bytes[40] = {};
        platform.console().receive(std::span<const u8>(bytes).first(input.take<u8>() % sizeof(bytes)));
        break;
    }
    default:
        around.is_busy = (action & 0x10) != 0;
        platform.console().transmit_ready();
        break;
    }
}

}  // namespace
}  // namespace undercroft

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    using namespace undercroft;
    fuzz::Input input(data, size);
    static GuestMemoryRange range{0, ram_bytes, ram};
    static const std::vector<std::byte> firmware_code(64 * kib, std::byte{0x90});
    static GuestMemory memory = *GuestMemory::create({&range, 1});
    VirtualTimePlatform time;
    Executor executor(time);
    CurrentExecutorScope scope(executor);
    Surroundings around;
    around.time = &time;
    AnyFunction function;
    u32 apic_ids[] = {0};
    auto platform = GuestPlatform::create({memory, executor, around, around, around, around, around, apic_ids});
    ASSERT(platform.has_value());
    ASSERT((*platform)->pci().attach(2, 0, function).has_value());
    ASSERT((*platform)->build_acpi().has_value());
    MemoryImage firmware(firmware_code);
    ASSERT((*platform)->load_firmware(firmware, "/pci@i0cf8/disk@2").has_value());
    while (!input.is_empty()) {
        step(input, **platform, around, time, executor);
    }
    return 0;
}
