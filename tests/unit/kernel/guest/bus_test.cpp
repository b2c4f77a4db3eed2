// GuestBus: who answers, what a split access looks like, and windows that move.
#include "kernel/guest/bus.hpp"

#include <catch2/catch.hpp>
#include <thread>
#include <vector>

namespace undercroft {
namespace {

/// Remembers accesses; reads give the offset's low byte in every byte.
struct Recorder : PortDevice, MmioDevice {
    struct Access {
        u64 place;
        unsigned bytes;
        u64 value;
        bool operator==(const Access&) const = default;
    };
    static u64 pattern(u64 place, AccessSize size) {
        u64 value = 0;
        for (unsigned i = 0; i < static_cast<unsigned>(size); ++i) {
            value |= ((place + i) & 0xFF) << (8 * i);
        }
        return value;
    }
    u64 read_port(u16 port, AccessSize size) override { return pattern(port, size); }
    void write_port(u16 port, AccessSize size, u64 value) override {
        writes.push_back({port, static_cast<unsigned>(size), value});
    }
    u64 read_mmio(u64 offset, AccessSize size) override { return pattern(offset, size); }
    void write_mmio(u64 offset, AccessSize size, u64 value) override {
        writes.push_back({offset, static_cast<unsigned>(size), value});
    }
    std::vector<Access> writes;
};

TEST_CASE("where nobody answers, reads give all ones and writes vanish") {
    GuestBus bus;
    CHECK(bus.read_port(0x123, AccessSize::byte) == 0xFF);
    CHECK(bus.read_port(0xFFFF, AccessSize::dword) == 0xFFFF'FFFF);
    CHECK(bus.read_mmio(0xFEDC'0000, AccessSize::qword) == ~u64{0});
    CHECK_FALSE(bus.has_mmio(0xFEDC'0000));
    bus.write_port(0x123, AccessSize::word, 1);
    bus.write_mmio(~u64{0}, AccessSize::qword, 1);
}

TEST_CASE("a byte-wide device gets wide port accesses byte by byte, lowest first") {
    GuestBus bus;
    Recorder device;
    REQUIRE(bus.add_ports(device, 0x70, 2));
    bus.write_port(0x70, AccessSize::word, 0xAA0F);
    CHECK(device.writes == std::vector<Recorder::Access>{{0x70, 1, 0x0F}, {0x71, 1, 0xAA}});
    CHECK(bus.read_port(0x70, AccessSize::word) == 0x7170);
    // The ports behind the range are nobody's.
    CHECK(bus.read_port(0x71, AccessSize::dword) == 0xFFFF'FF71);
    CHECK(bus.read_port(0x6F, AccessSize::word) == 0x70FF);
}

TEST_CASE("a wide device gets wide accesses whole, and bytes where they leave its ports") {
    GuestBus bus;
    Recorder device;
    REQUIRE(bus.add_ports(device, 0xCF8, 8, AccessSize::dword));
    bus.write_port(0xCFC, AccessSize::dword, 0x1'1234'5678);
    CHECK(device.writes == std::vector<Recorder::Access>{{0xCFC, 4, 0x1234'5678}});
    CHECK(bus.read_port(0xCFE, AccessSize::dword) == 0xFFFF'FFFE);
}

TEST_CASE("ranges may not overlap, leave the space, or be too many") {
    GuestBus bus;
    Recorder device;
    REQUIRE(bus.add_ports(device, 0x100, 8));
    CHECK(bus.add_ports(device, 0x107, 1).error() == Error::invalid_argument);
    CHECK(bus.add_ports(device, 0xF9, 8).error() == Error::invalid_argument);
    CHECK(bus.add_ports(device, 0x200, 0).error() == Error::invalid_argument);
    CHECK(bus.add_ports(device, 0xFFFF, 2).error() == Error::invalid_argument);
    CHECK(bus.add_ports(device, 0xFFFF, 1).has_value());
    REQUIRE(bus.add_mmio(device, 0x1000, 0x1000));
    CHECK(bus.add_mmio(device, 0x1FFF, 1).error() == Error::invalid_argument);
    CHECK(bus.add_mmio(device, ~u64{0} - 1, 2).error() == Error::invalid_argument);
    for (usize i = 1; i < GuestBus::mmio_ranges_max; ++i) {
        REQUIRE(bus.add_mmio(device, 0x10000 + i * 0x1000, 0x1000));
    }
    CHECK(bus.add_mmio(device, 0x1000'0000, 1).error() == Error::out_of_memory);
}

TEST_CASE("a window answers where it was moved, and nowhere while it is hidden") {
    GuestBus bus;
    Recorder device;
    GuestBus::MmioRangeId id = *bus.add_movable_mmio(device, 0x4000);
    CHECK_FALSE(bus.has_mmio(0));
    bus.move_mmio(id, 0xE000'0000);
    CHECK(bus.read_mmio(0xE000'3FFF, AccessSize::byte) == 0xFF);
    CHECK(bus.read_mmio(0xE000'0010, AccessSize::dword) == 0x1312'1110);
    CHECK_FALSE(bus.has_mmio(0xE000'4000));
    bus.move_mmio(id, 0x10'0000'0000);
    CHECK_FALSE(bus.has_mmio(0xE000'0000));
    CHECK(bus.has_mmio(0x10'0000'3FFF));
    // What sizing a 64-bit base address register writes: no processor reaches that.
    bus.move_mmio(id, ~u64{0x3FFF});
    CHECK_FALSE(bus.has_mmio(~u64{0x3FFF}));
    bus.hide_mmio(id);
    CHECK_FALSE(bus.has_mmio(0x10'0000'0000));

    GuestBus::PortRangeId ports = *bus.add_movable_ports(device, 16);
    bus.move_ports(ports, 0xC000);
    CHECK(bus.read_port(0xC004, AccessSize::word) == 0x0504);
    bus.hide_ports(ports);
    CHECK(bus.read_port(0xC004, AccessSize::word) == 0xFFFF);
}

TEST_CASE("an access that leaves a memory window is split into bytes") {
    GuestBus bus;
    Recorder device;
    REQUIRE(bus.add_mmio(device, 0x1000, 6));
    bus.write_mmio(0x1004, AccessSize::dword, 0x4433'2211);
    CHECK(device.writes == std::vector<Recorder::Access>{{4, 1, 0x11}, {5, 1, 0x22}});
    CHECK(bus.read_mmio(0x1004, AccessSize::dword) == 0xFFFF'0504);
}

TEST_CASE("windows move while another processor looks them up") {
    GuestBus bus;
    Recorder device;
    GuestBus::MmioRangeId id = *bus.add_movable_mmio(device, 0x1000);
    std::atomic<bool> stop{false};
    std::thread mover([&] {
        for (u64 i = 0; !stop; ++i) {
            bus.move_mmio(id, 0x10'0000 + (i % 4) * 0x1000);
        }
    });
    bool sane = true;
    for (int i = 0; i < 200'000; ++i) {
        u64 value = bus.read_mmio(0x10'0000 + 0x40, AccessSize::byte);
        sane = sane && (value == 0x40 || value == 0xFF);
    }
    stop = true;
    mover.join();
    CHECK(sane);
}

}  // namespace
}  // namespace undercroft
