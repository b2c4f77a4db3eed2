// Resets, stops and nonsense while something is under way; guests that lie.
#include <catch2/catch.hpp>

#include "tests/unit/storage/frontends/ide/ide_fixture.hpp"

namespace undercroft::test {
namespace {

TEST_CASE("IDE: a software reset stays busy until the disk has let go of the memory") {
    IdeFixture ide;
    ide.fill_disk(0, IdeFixture::pattern(512, 1));
    ide.disk->hold = true;
    ide.disk->ignores_cancel = true;
    ide.set_table({{0x20000, 512, true}});
    ide.command(0xC8, 0, 1);
    ide.master_command(0x09);
    CHECK(ide.disk->holding == 1);
    out8(ide.bus, 0x3F6, 0x04);
    ide.settle();
    out8(ide.bus, 0x3F6, 0x00);
    ide.settle();
    CHECK(ide.alternate() == 0x80);
    ide.disk->fail_with = DiskError::cancelled;
    ide.disk->release();
    ide.settle();
    CHECK(ide.alternate() == 0x50);
    CHECK(ide.in(4) == 0x00);
    CHECK(ide.lines[0].rises == 0);
    CHECK(ide.memory_bytes(0x20000, 512) == std::vector<u8>(512));
    ide.disk->fail_with.reset();
    CHECK(ide.identify()[47] == 0x8010);
}

TEST_CASE("IDE: a software reset cancels what is under way") {
    IdeFixture ide;
    ide.disk->hold = true;
    ide.command(0x20, 0, 1);
    CHECK(ide.disk->holding == 1);
    out8(ide.bus, 0x3F6, 0x04);
    ide.settle();
    CHECK(ide.disk->holding == 0);
    out8(ide.bus, 0x3F6, 0x00);
    ide.settle();
    CHECK(ide.alternate() == 0x50);
}

TEST_CASE("IDE: data that come while SRST is set start nothing after it") {
    IdeFixture ide;
    ide.command(0x30, 0, 1);
    out8(ide.bus, 0x3F6, 0x04);
    ide.write_data(IdeFixture::pattern(512, 1));
    CHECK(ide.alternate() == 0x80);
    out8(ide.bus, 0x3F6, 0x00);
    ide.settle();
    CHECK(ide.alternate() == 0x50);
    CHECK(ide.disk->writes == 0);
}

TEST_CASE("IDE: a close lets go whoever waits for a job that it drops, and nobody waits after it") {
    IdeFixture ide;
    SECTION("a firmware's call") {
        ide.bus.write_port(0x1E0, AccessSize::dword, 0x5000);
        CHECK(ide.pause.paused == 1);
        ide.close();
        CHECK(ide.pause.paused == 0);
    }
    SECTION("a transfer that is stopped") {
        ide.set_table({{0x20000, 1024, true}});
        ide.command(0xC8, 0, 2);
        ide.controller->write_bar(4, 0, AccessSize::byte, 0x09);
        ide.close();
        ide.master_command(0x08);
        CHECK(ide.pause.paused == 0);
    }
    CHECK(ide.disk->reads == 0);
}

TEST_CASE("IDE: who stops the bus master waits until the memory is its own again") {
    IdeFixture ide;
    ide.fill_disk(0, IdeFixture::pattern(1024, 1));
    ide.disk->hold = true;
    ide.disk->ignores_cancel = true;
    ide.set_table({{0x20000, 1024, true}});
    ide.command(0xC8, 0, 2);
    ide.master_command(0x09);
    ide.master_command(0x08);
    CHECK(ide.pause.paused == 1);
    CHECK(ide.alternate() == 0x80);
    ide.disk->fail_with = DiskError::cancelled;
    ide.disk->release();
    ide.settle();
    CHECK(ide.pause.paused == 0);
    CHECK(ide.lines[0].rises == 0);
    CHECK(ide.alternate() == 0x80);  // the drive waits for the master
    ide.disk->fail_with.reset();
    ide.set_table({{0x30000, 1024, true}});
    ide.master_command(0x09);
    CHECK(ide.master_status() == 0x04);
    CHECK(ide.memory_bytes(0x30000, 1024) == IdeFixture::pattern(1024, 1));
    CHECK(ide.memory_bytes(0x20000, 1024) == std::vector<u8>(1024));
}

TEST_CASE("IDE: a disk that never answers fails at the deadline, and the drive goes on") {
    IdeFixture ide;
    ide.disk->hold = true;
    ide.command(0x20, 0, 1);
    ide.time.pass(59 * nanoseconds_per_second);
    CHECK(ide.alternate() == 0x80);
    ide.time.pass(2 * nanoseconds_per_second);
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) == 0x04);
    ide.disk->release();
    CHECK(ide.identify()[47] == 0x8010);
}

TEST_CASE("IDE: registers and commands are not heard while a command is under way") {
    IdeFixture ide;
    ide.disk->hold = true;
    ide.command(0x20, 0x55, 1);
    ide.out(3, 0xAA);
    ide.out(7, 0xEC);
    ide.settle();
    CHECK(ide.alternate() == 0x80);
    ide.disk->release();
    ide.settle();
    CHECK(ide.in(3) == 0x55);
    CHECK(ide.status() == 0x58);
    // Device 1 cannot be selected while device 0 moves data.
    ide.out(6, 0x10);
    CHECK(ide.status() == 0x58);
    ide.read_data(512);
    CHECK(ide.status() == 0x50);
}

TEST_CASE("IDE: a table without an end is followed for 64 KiB") {
    IdeFixture ide;
    for (u64 entry = 0; entry < 8192 + 16; ++entry) {
        ide.memory.put<u32>(0x20000 + 8 * entry, 0x100000 + static_cast<u32>(entry) * 4);
        ide.memory.put<u32>(0x20000 + 8 * entry + 4, 2);
    }
    ide.controller->write_bar(4, 4, AccessSize::dword, 0x20000);
    ide.command(0xC8, 0, 64);  // 32 KiB; the table has 16
    ide.master_command(0x09);
    CHECK(ide.master_status() == 0x00);
    CHECK(ide.alternate() == 0x80);
    CHECK(ide.lines[0].rises == 0);
    // A sector of 4096 bytes in regions of two.
    IdeFixture large(ide_disk(100, 4096));
    large.fill_disk(0, IdeFixture::pattern(8192, 4));
    for (u64 entry = 0; entry < 4096; ++entry) {
        large.memory.put<u32>(0x20000 + 8 * entry, 0x100000 + static_cast<u32>(entry) * 4);
        large.memory.put<u32>(0x20000 + 8 * entry + 4, entry == 4095 ? 0x8000'0002 : 2);
    }
    large.controller->write_bar(4, 4, AccessSize::dword, 0x20000);
    large.command(0xC8, 0, 2);
    large.master_command(0x09);
    CHECK(large.master_status() == 0x04);
    std::vector<u8> wanted = IdeFixture::pattern(8192, 4);
    for (usize entry = 0; entry < 4096; ++entry) {
        REQUIRE(large.memory.get<u8>(0x100000 + entry * 4) == wanted[2 * entry]);
        REQUIRE(large.memory.get<u8>(0x100000 + entry * 4 + 1) == wanted[2 * entry + 1]);
    }
}

TEST_CASE("IDE: a disk that shrinks under a command") {
    IdeFixture ide;
    REQUIRE(ide.disk->inner().resize(100));
    ide.command(0x20, 100, 1);
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) == 0x10);
    ide.command(0x20, 99, 1);
    CHECK(ide.status() == 0x58);
    ide.read_data(512);
    CHECK((ide.identify()[60]) == 100);
}

TEST_CASE("IDE: data port accesses of any size, and string accesses across blocks") {
    IdeFixture ide;
    std::vector<u8> data = IdeFixture::pattern(2 * 512, 3);
    ide.fill_disk(0, data);
    ide.command(0x20, 0, 2);
    std::vector<std::byte> got(1100);
    ide.bus.read_port_string(0x1F0, AccessSize::word, got);
    CHECK(std::memcmp(got.data(), data.data(), 1024) == 0);
    CHECK(got[1024] == std::byte{0xFF});
    CHECK(ide.status() == 0x50);
    ide.command(0x20, 0, 1);
    for (usize at = 0; at < 512; at += 4) {
        u32 wanted = 0;
        std::memcpy(&wanted, data.data() + at, 4);
        REQUIRE(ide.bus.read_port(0x1F0, AccessSize::dword) == wanted);
    }
    CHECK(ide.status() == 0x50);
    ide.command(0x30, 9, 1);
    ide.bus.write_port_string(0x1F0, AccessSize::dword, std::as_bytes(std::span(data)).first(512));
    ide.settle();
    CHECK(ide.status() == 0x50);
    CHECK(ide.disk_bytes(9, 512) == std::vector<u8>(data.begin(), data.begin() + 512));
}

}  // namespace
}  // namespace undercroft::test
