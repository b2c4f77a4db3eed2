// The whole machine: what a guest finds on its bus, and what is refused.
#include "kernel/guest/platform.hpp"

#include <catch2/catch.hpp>

#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

struct Machine {
    TestTime time;
    TestMemory memory{16 * mib};
    FakeMessages messages;
    FakeExternalInterrupts external;
    FakePower power;
    FakeWallClock wall{time, 1'700'000'000};
    FakeConsole console;
    u32 apic_ids[2] = {0, 1};

    GuestPlatformConfig config() {
        return {memory.guest(), time.executor(), messages, external, power, wall, console, apic_ids};
    }
};

TEST_CASE("a platform has every device of a PC on its bus") {
    Machine machine;
    auto platform = GuestPlatform::create(machine.config());
    REQUIRE(platform);
    GuestBus& bus = (*platform)->bus();
    out8(bus, 0x21, 0xA5);
    CHECK(in8(bus, 0x21) == 0xA5);
    CHECK(in8(bus, 0x3FD) == 0x60);
    CHECK((bus.read_port(0x604, AccessSize::word) & 1) == 1);
    CHECK(bus.has_mmio(0xFEC0'0000));
    CHECK_FALSE(bus.has_mmio(0xFEE0'0000));
    bus.write_port(0xCF8, AccessSize::dword, 0x8000'0000);
    CHECK(bus.read_port(0xCFC, AccessSize::dword) == 0x1237'8086);
    out8(bus, 0x3F8, 'u');
    CHECK(machine.console.text == "u");
    bus.write_port(0x604, AccessSize::word, 5u << 10 | 1u << 13);
    CHECK(machine.power.power_offs == 1);
}

TEST_CASE("the timer reaches both interrupt controllers") {
    Machine machine;
    auto platform = GuestPlatform::create(machine.config());
    GuestBus& bus = (*platform)->bus();
    out8(bus, 0x20, 0x11);
    out8(bus, 0x21, 0x30);
    out8(bus, 0x21, 0x04);
    out8(bus, 0x21, 0x01);
    out8(bus, 0x21, 0xFE);
    bus.write_mmio(0xFEC0'0000, AccessSize::dword, 0x14);
    bus.write_mmio(0xFEC0'0010, AccessSize::dword, 0x31);
    out8(bus, 0x43, 0x34);
    out8(bus, 0x40, 0xA9);
    out8(bus, 0x40, 0x04);
    machine.messages.sent.clear();  // setting the mode raised the output already
    machine.time.pass(1'100'000);
    CHECK(machine.external.is_requested);
    CHECK((*platform)->acknowledge_external_interrupt() == 0x30);
    REQUIRE(machine.messages.sent.size() == 1);
    CHECK(machine.messages.sent[0].data == 0x31);
    out8(bus, 0x43, 0x30);
}

TEST_CASE("ACPI tables are where a scan finds them") {
    Machine machine;
    auto platform = GuestPlatform::create(machine.config());
    REQUIRE((*platform)->build_acpi());
    CHECK(std::memcmp(machine.memory.at(0xE0000), "RSD PTR ", 8) == 0);
}

/// A file of the guest's firmware configuration, read as firmware does.
std::vector<u8> firmware_file(GuestBus& bus, const std::string& name) {
    auto take = [&](usize count) {
        std::vector<u8> bytes(count);
        for (u8& byte : bytes) {
            byte = in8(bus, 0x511);
        }
        return bytes;
    };
    bus.write_port(0x510, AccessSize::word, 0x19);
    u8 files = take(4)[3];
    for (u8 i = 0; i < files; ++i) {
        std::vector<u8> entry = take(64);
        if (name == reinterpret_cast<const char*>(&entry[8])) {
            bus.write_port(0x510, AccessSize::word, entry[5]);
            return take(static_cast<usize>(entry[2]) << 8 | entry[3]);
        }
    }
    return {};
}

TEST_CASE("firmware finds memory, processors, ACPI's root pointer, its console and the order of disks") {
    Machine machine;
    auto platform = GuestPlatform::create(machine.config());
    std::vector<std::byte> code(64 * kib, std::byte{0x90});
    code[64 * kib - 16] = std::byte{0xEA};
    MemoryImage image(code);
    auto start = (*platform)->load_firmware(image, "/pci@i0cf8/disk@2\n/pci@i0cf8/disk@3");
    REQUIRE(start);
    CHECK(start->rip == 0xFFF0);
    GuestBus& bus = (*platform)->bus();
    std::vector<u8> order = firmware_file(bus, "bootorder");
    CHECK(std::string(order.begin(), order.end()) == std::string("/pci@i0cf8/disk@2\n/pci@i0cf8/disk@3\0", 36));
    CHECK(firmware_file(bus, "etc/sercon-port") == std::vector<u8>{0xF8, 3, 0, 0, 0, 0, 0, 0});
    // RAM, and behind it what is reserved for the tables: 20 bytes an entry.
    std::vector<u8> map = firmware_file(bus, "etc/e820");
    REQUIRE(map.size() == 40);
    constexpr u32 tables = 16 * mib - 128 * kib;
    auto word = [&](usize at) {
        return u32{map[at]} | u32{map[at + 1]} << 8 | u32{map[at + 2]} << 16 | u32{map[at + 3]} << 24;
    };
    CHECK(word(0) == 0);
    CHECK(word(8) == tables);
    CHECK(word(16) == 1);
    CHECK(word(20) == tables);
    CHECK(word(28) == 128 * kib);
    CHECK(word(36) == 2);
    // The root pointer that firmware copies below 1 MiB is the one in front of the tables.
    std::vector<u8> root_pointer = firmware_file(bus, "etc/acpi/rsdp");
    REQUIRE(root_pointer.size() == 36);
    CHECK(std::memcmp(root_pointer.data(), machine.memory.at(tables), 36) == 0);
    CHECK(std::memcmp(root_pointer.data(), "RSD PTR ", 8) == 0);
    u32 rsdt = 0;
    std::memcpy(&rsdt, &root_pointer[16], sizeof(rsdt));
    CHECK(std::memcmp(machine.memory.at(rsdt), "RSDT", 4) == 0);
    std::vector<u8> commands = firmware_file(bus, "etc/table-loader");
    REQUIRE(commands.size() == 128);
    CHECK(commands[0] == 1);
    CHECK(std::string(reinterpret_cast<const char*>(&commands[4])) == "etc/acpi/rsdp");
    CHECK(commands[60] == 16);
    CHECK(commands[64] == 2);
    out8(bus, 0x70, 0x5F);
    CHECK(in8(bus, 0x71) == 1);  // processors less one
}

TEST_CASE("firmware is refused where the machine has no room for its tables") {
    Machine machine;
    TestMemory little(mib + 64 * kib);
    auto platform = GuestPlatform::create({little.guest(), machine.time.executor(), machine.messages, machine.external,
                                           machine.power, machine.wall, machine.console, machine.apic_ids});
    REQUIRE(platform);
    std::vector<std::byte> code(64 * kib, std::byte{0x90});
    MemoryImage image(code);
    CHECK((*platform)->load_firmware(image, "").error().code == Error::out_of_memory);
}

TEST_CASE("memory and processors that make no machine are refused") {
    Machine machine;
    GuestPlatformConfig config = machine.config();
    config.apic_ids = {};
    CHECK(GuestPlatform::create(config).error() == Error::invalid_argument);
    std::vector<u32> many(GuestPlatform::processors_max + 1);
    config.apic_ids = many;
    CHECK(GuestPlatform::create(config).error() == Error::invalid_argument);
    // RAM that lies in the device hole. Nothing is read through it.
    GuestMemoryRange ranges[] = {{0, 16 * mib, machine.memory.at(0)},
                                 {0xBFFF'F000, 2 * page_size, machine.memory.at(0)}};
    GuestMemory holed = *GuestMemory::create(ranges);
    GuestPlatformConfig bad{holed,        machine.time.executor(), machine.messages, machine.external, machine.power,
                            machine.wall, machine.console,         machine.apic_ids};
    CHECK(GuestPlatform::create(bad).error() == Error::invalid_argument);
}

}  // namespace
}  // namespace undercroft::test
