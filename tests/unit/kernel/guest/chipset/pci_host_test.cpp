// The PCI host through its ports: finding functions, sizing and moving windows, decode bits.
#include "kernel/guest/chipset/pci_host.hpp"

#include <catch2/catch.hpp>

#include "kernel/guest/address_map.hpp"
#include "tests/unit/kernel/guest/guest_fixture.hpp"

namespace undercroft::test {
namespace {

/// A function with a 16 KiB 64-bit window, a 4 KiB 32-bit one and 32 ports.
struct TestFunction : PciFunction {
    u32 registers[64] = {};
    std::vector<u64> writes;

    TestFunction() {
        registers[0] = 0x5678'1234;
        registers[0x3C / 4] = 0x100;  // INTA
    }
    u32 read_config(u16 offset) override { return registers[offset / 4]; }
    void write_config(u16 offset, u32 value, u32 mask) override {
        registers[offset / 4] = (registers[offset / 4] & ~mask) | (value & mask);
    }
    PciBar bar(usize index) const override {
        switch (index) {
        case 0:
            return {16 * kib, true, false, false};
        case 2:
            return {4 * kib, false, true, false};
        case 3:
            return {32, false, false, true};
        default:
            return {};
        }
    }
    u64 read_bar(usize index, u64 offset, AccessSize) override { return index << 16 | offset; }
    void write_bar(usize index, u64 offset, AccessSize, u64 value) override {
        writes.push_back(u64{index} << 32 | offset << 8 | value);
    }
};

struct Host {
    GuestBus bus;
    FakePower power;
    PciHost pci{bus, power};

    Host() { REQUIRE(pci.add_to_bus()); }
    static u32 address(unsigned device, unsigned function, unsigned offset) {
        return 0x8000'0000 | device << 11 | function << 8 | (offset & 0xFC);
    }
    u32 read(unsigned device, unsigned offset, AccessSize size = AccessSize::dword, unsigned function = 0) {
        bus.write_port(0xCF8, AccessSize::dword, address(device, function, offset));
        return static_cast<u32>(bus.read_port(static_cast<u16>(0xCFC + (offset & 3)), size));
    }
    void write(unsigned device, unsigned offset, u32 value, AccessSize size = AccessSize::dword) {
        bus.write_port(0xCF8, AccessSize::dword, address(device, 0, offset));
        bus.write_port(static_cast<u16>(0xCFC + (offset & 3)), size, value);
    }
};

TEST_CASE("PCI: configuration mechanism 1 is found, with an i440FX and a PIIX3 behind it") {
    Host host;
    // As Linux's pci_check_type1.
    host.bus.write_port(0xCFB, AccessSize::byte, 1);
    host.bus.write_port(0xCF8, AccessSize::dword, 0x8000'0000);
    CHECK(host.bus.read_port(0xCF8, AccessSize::dword) == 0x8000'0000);
    CHECK(host.read(0, 0) == 0x1237'8086);
    CHECK(host.read(0, 0x0A, AccessSize::word) == 0x0600);
    CHECK(host.read(1, 0) == 0x7000'8086);
    CHECK(host.read(1, 0x0B, AccessSize::byte) == 0x06);
    CHECK(host.read(2, 0) == 0xFFFF'FFFF);
    CHECK(host.read(0, 0, AccessSize::dword, 1) == 0xFFFF'FFFF);
    host.bus.write_port(0xCF8, AccessSize::dword, 0x8001'0000);  // bus 1
    CHECK(host.bus.read_port(0xCFC, AccessSize::dword) == 0xFFFF'FFFF);
    host.bus.write_port(0xCF8, AccessSize::dword, 0x0000'0000);  // not enabled
    CHECK(host.bus.read_port(0xCFC, AccessSize::dword) == 0xFFFF'FFFF);
}

TEST_CASE("PCI: the bridges hold what firmware writes of memory attributes and interrupt routes, and nothing else") {
    Host host;
    CHECK(host.read(0, 0x2C) == 0x1100'1AF4);  // by which firmware made for QEMU knows the machine
    CHECK(host.read(0, 0x58) == 0);
    host.write(0, 0x59, 0x30, AccessSize::byte);
    host.write(0, 0x5C, 0x3333'3333);
    CHECK(host.read(0, 0x58) == 0x3000);
    CHECK(host.read(0, 0x5F, AccessSize::byte) == 0x33);
    CHECK(host.read(1, 0x60) == 0x8080'8080);
    host.write(1, 0x62, 11, AccessSize::byte);
    CHECK(host.read(1, 0x60) == 0x800B'8080);
    for (unsigned offset : {0x00, 0x08, 0x2C, 0x30, 0x40, 0x50, 0x54, 0x68, 0xFC}) {
        u32 before = host.read(0, offset);
        host.write(0, offset, ~before);
        CHECK(host.read(0, offset) == before);
    }
}

TEST_CASE("PCI: sizing a base address register gives its size and kind") {
    Host host;
    TestFunction function;
    REQUIRE(host.pci.attach(4, 0, function));
    for (unsigned offset = 0x10; offset < 0x28; offset += 4) {
        host.write(4, offset, 0xFFFF'FFFF);
    }
    CHECK(host.read(4, 0x10) == 0xFFFF'C004);
    CHECK(host.read(4, 0x14) == 0xFFFF'FFFF);
    CHECK(host.read(4, 0x18) == 0xFFFF'F008);
    CHECK(host.read(4, 0x1C) == 0xFFFF'FFE1);
    CHECK(host.read(4, 0x20) == 0);
    CHECK(host.read(4, 0x24) == 0);
}

TEST_CASE("PCI: windows answer where they were put while the command register decodes") {
    Host host;
    TestFunction function;
    REQUIRE(host.pci.attach(4, 0, function));
    host.write(4, 0x10, 0xE000'0000);
    host.write(4, 0x18, 0xE010'0000);
    host.write(4, 0x1C, 0xC100);
    CHECK_FALSE(host.bus.has_mmio(0xE000'0000));
    host.write(4, 4, 0x0007, AccessSize::word);
    CHECK((host.read(4, 4) & 7) == 7);
    CHECK(function.registers[1] == 7);  // the function sees bus master as well
    CHECK(host.bus.read_mmio(0xE000'1008, AccessSize::dword) == 0x1008);
    CHECK(host.bus.read_mmio(0xE010'0004, AccessSize::dword) == 0x2'0004);
    CHECK(host.bus.read_port(0xC112, AccessSize::word) == 0x12);
    host.bus.write_mmio(0xE000'0010, AccessSize::dword, 0x55);
    CHECK(function.writes == std::vector<u64>{0x1055});
    // Above 4 GiB, half by half.
    host.write(4, 0x14, 0x10);
    CHECK_FALSE(host.bus.has_mmio(0xE000'0000));
    CHECK(host.bus.read_mmio(0x10'E000'0004, AccessSize::dword) == 4);
    host.write(4, 4, 0x0005, AccessSize::word);
    CHECK_FALSE(host.bus.has_mmio(0x10'E000'0000));
    CHECK(host.bus.read_port(0xC112, AccessSize::word) == 0x12);
}

TEST_CASE("PCI: byte and word writes change their bytes alone") {
    Host host;
    TestFunction function;
    REQUIRE(host.pci.attach(4, 0, function));
    host.write(4, 0x40, 0x1122'3344);
    host.write(4, 0x41, 0xAA, AccessSize::byte);
    host.write(4, 0x42, 0xBBCC, AccessSize::word);
    CHECK(host.read(4, 0x40) == 0xBBCC'AA44);
    CHECK(host.read(4, 0x41, AccessSize::byte) == 0xAA);
    host.write(4, 0x11, 0xAB, AccessSize::byte);
    CHECK(host.read(4, 0x10) == 0x0000'8004);
}

TEST_CASE("PCI: firmware's addresses are aligned, apart, and inside their windows") {
    Host host;
    TestFunction functions[3];
    for (u8 i = 0; i < 3; ++i) {
        REQUIRE(host.pci.attach(static_cast<u8>(2 + i), 0, functions[i]));
    }
    PciWindows windows{0xE000'1000, 0xE001'0000, u64{1} << 36, u64{1} << 37, 0xC000, 0xC050};
    host.pci.assign_addresses(windows);
    CHECK(host.read(2, 0x10) == 0xE000'4004);
    CHECK(host.read(2, 0x18) == 0xE000'8008);
    CHECK(host.read(3, 0x10) == 0xE000'C004);
    CHECK(host.read(3, 0x18) == 0x0000'0008);  // does not fit any more
    CHECK(host.read(4, 0x10) == 0x0000'0004);
    CHECK(host.read(4, 0x14) == 0x10);  // a 64-bit window goes above RAM
    CHECK(host.read(2, 0x1C) == 0xC001);
    CHECK(host.read(3, 0x1C) == 0xC021);
    CHECK(host.read(4, 0x1C) == 0x0001);
    CHECK(host.read(2, 0x3C, AccessSize::byte) == 18);
}

TEST_CASE("PCI: attaching twice, nowhere, or too often is refused") {
    Host host;
    TestFunction function;
    CHECK(host.pci.attach(1, 0, function).error() == Error::busy);
    CHECK(host.pci.attach(32, 0, function).error() == Error::invalid_argument);
    CHECK(host.pci.attach(3, 8, function).error() == Error::invalid_argument);
}

TEST_CASE("port CF9h resets, byte by byte as Linux writes it") {
    Host host;
    CHECK(in8(host.bus, 0xCF9) == 0);
    out8(host.bus, 0xCF9, 0x02);
    CHECK(host.power.resets == 0);
    out8(host.bus, 0xCF9, 0x06);
    CHECK(host.power.resets == 1);
}

}  // namespace
}  // namespace undercroft::test
