// Sectors by PIO and by bus master, TRIM, durability, and the enlightened INT 13h.
#include <catch2/catch.hpp>

#include "tests/unit/storage/frontends/ide/ide_fixture.hpp"

namespace undercroft::test {
namespace {

TEST_CASE("IDE: READ SECTORS interrupts for each sector, before it is taken") {
    IdeFixture ide;
    std::vector<u8> data = IdeFixture::pattern(3 * 512, 1);
    ide.fill_disk(1000, data);
    ide.command(0x20, 1000, 3);
    std::vector<u8> got;
    for (int sector = 0; sector < 3; ++sector) {
        CHECK(ide.lines[0].rises == sector + 1);
        CHECK(ide.status() == 0x58);
        std::vector<u8> piece = ide.read_data(512);
        got.insert(got.end(), piece.begin(), piece.end());
    }
    CHECK(got == data);
    CHECK(ide.lines[0].rises == 3);
    CHECK(ide.status() == 0x50);
    CHECK(ide.bus.read_port(0x1F0, AccessSize::word) == 0xFFFF);
}

TEST_CASE("IDE: a count of 0 is 256 sectors, of an EXT command 65536") {
    IdeFixture ide;
    ide.command(0x40, 0, 0);  // READ VERIFY: no data, one interrupt
    CHECK(ide.status() == 0x50);
    CHECK(ide.disk->reads == 2);  // 128 KiB, in pieces of 64
    ide.command(0x20, 0, 0);
    CHECK(ide.read_data(256 * 512).size() == 256 * 512);
    CHECK(ide.status() == 0x50);
    ide.command_ext(0x42, 0, 0);
    CHECK(ide.status() == 0x50);
    ide.command_ext(0x42, (1 << 20) - 65536, 0);
    CHECK(ide.status() == 0x50);
    ide.command_ext(0x42, (1 << 20) - 65535, 0);
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) == 0x10);
}

TEST_CASE("IDE: WRITE SECTORS takes the first sector without an interrupt, and ends when the disk has it") {
    IdeFixture ide;
    std::vector<u8> data = IdeFixture::pattern(2 * 512, 2);
    ide.command(0x30, 77, 2);
    CHECK(ide.lines[0].rises == 0);
    CHECK(ide.status() == 0x58);
    ide.write_data(std::span(data).first(512));
    CHECK(ide.lines[0].rises == 1);
    CHECK(ide.status() == 0x58);
    ide.disk->hold = true;
    ide.write_data(std::span(data).subspan(512));
    CHECK(ide.alternate() == 0x80);
    CHECK(ide.lines[0].rises == 1);
    ide.disk->release();
    ide.settle();
    CHECK(ide.lines[0].rises == 2);
    CHECK(ide.status() == 0x50);
    CHECK(ide.disk_bytes(77, 1024) == data);
}

TEST_CASE("IDE: long PIO writes go through the buffer more than once") {
    IdeFixture ide;
    std::vector<u8> data = IdeFixture::pattern(200 * 512, 5);
    ide.command(0x30, 4, 200);
    ide.write_data(data);
    CHECK(ide.status() == 0x50);
    CHECK(ide.disk_bytes(4, data.size()) == data);
    CHECK(ide.disk->writes == 2);
    ide.command(0x20, 4, 200);
    CHECK(ide.read_data(200 * 512) == data);
}

TEST_CASE("IDE: MULTIPLE moves blocks, the last of what is left") {
    IdeFixture ide;
    ide.command(0xC4, 0, 4);
    CHECK(ide.status() == 0x51);  // not set yet
    ide.command(0xC6, 0, 3);
    CHECK(ide.status() == 0x51);  // no power of two
    ide.command(0xC6, 0, 32);
    CHECK(ide.status() == 0x51);  // more than word 47 says
    ide.command(0xC6, 0, 4);
    CHECK(ide.status() == 0x50);
    CHECK(ide.identify()[59] == 0x0104);
    std::vector<u8> data = IdeFixture::pattern(6 * 512, 9);
    int rises = ide.lines[0].rises;
    ide.command(0xC5, 10, 6);
    ide.write_data(data);
    CHECK(ide.lines[0].rises == rises + 1);  // the line stays up: nobody read the status between
    CHECK(ide.status() == 0x50);
    CHECK(ide.disk_bytes(10, data.size()) == data);
    ide.command_ext(0x29, 10, 6);
    CHECK(ide.status() == 0x58);
    rises = ide.lines[0].rises;
    std::vector<u8> got = ide.read_data(4 * 512);
    CHECK(ide.lines[0].rises == rises + 1);
    CHECK(ide.status() == 0x58);
    std::vector<u8> rest = ide.read_data(2 * 512);
    got.insert(got.end(), rest.begin(), rest.end());
    CHECK(got == data);
    CHECK(ide.status() == 0x50);
}

TEST_CASE("IDE: cylinder, head, sector") {
    IdeFixture ide;
    ide.fill_disk(1 * 16 * 63 + 2 * 63 + 4, IdeFixture::pattern(512, 8));
    ide.out(6, 0xA2);
    ide.out(2, 1);
    ide.out(3, 5);
    ide.out(4, 1);
    ide.out(5, 0);
    ide.out(7, 0x20);
    ide.settle();
    CHECK(ide.read_data(512) == IdeFixture::pattern(512, 8));
    ide.out(3, 0);  // sectors count from 1
    ide.out(7, 0x20);
    ide.settle();
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) == 0x10);
    ide.command(0x91, 0, 32, 0, 0x07);  // 8 heads, 32 sectors
    CHECK(ide.status() == 0x50);
    std::vector<u16> words = ide.identify();
    CHECK(words[55] == 8);
    CHECK(words[56] == 32);
    ide.command(0x91, 0, 0);
    CHECK(ide.status() == 0x51);
}

TEST_CASE("IDE: a bus master read and write in regions of any shape") {
    IdeFixture ide;
    std::vector<u8> data = IdeFixture::pattern(8 * 512, 4);
    ide.fill_disk(50, data);
    ide.set_table({{0x20002, 1022}, {0x30000, 2}, {0x40000, 8 * 512 - 1024, true}});
    ide.command(0xC8, 50, 8);
    CHECK(ide.alternate() == 0x80);
    CHECK(ide.lines[0].rises == 0);
    ide.master_command(0x09);
    CHECK(ide.lines[0].rises == 1);
    CHECK(ide.master_status() == 0x04);  // interrupt, not active
    CHECK(ide.status() == 0x50);
    ide.master_command(0x00);
    std::vector<u8> got = ide.memory_bytes(0x20002, 1022);
    for (auto [address, bytes] : {std::pair{0x30000, 2}, std::pair{0x40000, 8 * 512 - 1024}}) {
        std::vector<u8> piece = ide.memory_bytes(static_cast<u64>(address), static_cast<usize>(bytes));
        got.insert(got.end(), piece.begin(), piece.end());
    }
    CHECK(got == data);
    // The other direction, started before the command.
    ide.controller->write_bar(4, 2, AccessSize::byte, 0x04);
    CHECK(ide.master_status() == 0x00);
    ide.set_table({{0x20002, 1022}, {0x30000, 2}, {0x40000, 8 * 512 - 1024, true}});
    ide.master_command(0x01);
    CHECK(ide.master_status() == 0x01);
    ide.command_ext(0x35, 900, 8);
    CHECK(ide.master_status() == 0x04);
    CHECK(ide.status() == 0x50);
    CHECK(ide.disk_bytes(900, data.size()) == data);
}

TEST_CASE("IDE: a region of 0 bytes is 64 KiB; more than a MiB goes in pieces") {
    IdeFixture ide;
    std::vector<u8> data = IdeFixture::pattern(3 * mib, 6);
    ide.fill_disk(0, data);
    u64 entry = 0x1000;
    for (u32 index = 0; index < 48; ++index, entry += 8) {
        ide.memory.put<u32>(entry, 0x100000 + index * 0x10000);
        ide.memory.put<u32>(entry + 4, index == 47 ? 0x8000'0000 : 0);
    }
    ide.controller->write_bar(4, 4, AccessSize::dword, 0x1000);
    ide.command_ext(0x25, 0, 3 * mib / 512);
    ide.master_command(0x09);
    CHECK(ide.master_status() == 0x04);
    CHECK(ide.memory_bytes(0x100000, data.size()) == data);
    CHECK(ide.disk->reads == 3);
}

TEST_CASE("IDE: a table longer than the transfer leaves the master active, a shorter one the drive waiting") {
    IdeFixture ide;
    ide.fill_disk(0, IdeFixture::pattern(4 * 512, 7));
    ide.set_table({{0x20000, 4096, true}});
    ide.command(0xC8, 0, 1);
    ide.master_command(0x09);
    CHECK(ide.master_status() == 0x05);  // interrupt, and regions are left
    CHECK(ide.status() == 0x50);
    ide.master_command(0x00);
    CHECK((ide.master_status() & 0x01) == 0);
    CHECK(ide.pause.paused == 0);
    // Too short: inactive without an interrupt. The drive goes on with a further table.
    int rises = ide.lines[0].rises;
    ide.set_table({{0x20000, 1024, true}});
    ide.command(0xC8, 0, 4);
    ide.master_command(0x09);
    CHECK(ide.master_status() == 0x00);
    CHECK(ide.alternate() == 0x80);
    CHECK(ide.lines[0].rises == rises);
    ide.master_command(0x00);
    ide.set_table({{0x20400, 1024, true}});
    ide.master_command(0x09);
    CHECK(ide.master_status() == 0x04);
    CHECK(ide.memory_bytes(0x20000, 4 * 512) == IdeFixture::pattern(4 * 512, 7));
}

TEST_CASE("IDE: regions and tables that are no memory are the bus master's error") {
    IdeFixture ide;
    ide.set_table({{0xF000'0000, 512, true}});
    ide.command(0xC8, 0, 1);
    ide.master_command(0x09);
    CHECK(ide.master_status() == 0x06);
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) == 0x04);
    ide.master_command(0x00);
    ide.controller->write_bar(4, 2, AccessSize::byte, 0x06);
    ide.controller->write_bar(4, 4, AccessSize::dword, 0xE000'0000);
    ide.command(0xCA, 0, 1);
    ide.master_command(0x01);
    CHECK(ide.master_status() == 0x06);
    CHECK(ide.status() == 0x51);
    // Without bus master enable nothing moves.
    ide.master_command(0x00);
    ide.controller->write_config(0x04, 0x0001, 0xFFFF);
    ide.controller->write_bar(4, 2, AccessSize::byte, 0x06);
    ide.command(0xC8, 0, 1);
    ide.master_command(0x09);
    CHECK(ide.master_status() == 0x02);
    CHECK(ide.alternate() == 0x80);
}

TEST_CASE("IDE: FUA and a write cache that is off make writes durable") {
    for (bool has_fua : {true, false}) {
        IdeFixture ide(ide_disk(1 << 20), has_fua);
        auto write = [&](u8 opcode) {
            ide.set_table({{0x20000, 512, true}});
            ide.master_command(0x00);
            ide.command_ext(opcode, 3, 1);
            ide.master_command(0x01);
            CHECK(ide.status() == 0x50);
            return ide.disk->fua_writes + ide.disk->flushes;
        };
        usize before = ide.disk->fua_writes + ide.disk->flushes;
        CHECK(write(0x35) == before);
        CHECK(write(0x3D) == before + 1);
        CHECK((has_fua ? ide.disk->fua_writes : ide.disk->flushes) == 1);
        ide.command(0xEF, 0, 0, 0x82);
        before = ide.disk->fua_writes + ide.disk->flushes;
        CHECK(write(0x35) == before + 1);
        ide.command(0xE7);
        ide.command_ext(0xEA, 0, 0);
        CHECK(ide.status() == 0x50);
        CHECK(ide.disk->fua_writes + ide.disk->flushes == before + 3);
    }
}

TEST_CASE("IDE: TRIM") {
    IdeFixture ide;
    ide.fill_disk(0, IdeFixture::pattern(64 * 512, 3));
    std::memset(ide.memory.at(0x20000), 0, 512);
    ide.memory.put<u64>(0x20000, 8 | (u64{4} << 48));
    ide.memory.put<u64>(0x20008, 12 | (u64{4} << 48));
    ide.memory.put<u64>(0x20010, 40 | (u64{2} << 48));
    ide.set_table({{0x20000, 512, true}});
    ide.command_ext(0x06, 0, 1, 1);
    ide.master_command(0x01);
    CHECK(ide.status() == 0x50);
    CHECK(ide.disk_bytes(8, 8 * 512) == std::vector<u8>(8 * 512));
    CHECK(ide.disk_bytes(40, 2 * 512) == std::vector<u8>(2 * 512));
    std::vector<u8> kept = IdeFixture::pattern(64 * 512, 3);
    CHECK(ide.disk_bytes(7, 512) == std::vector<u8>(kept.begin() + 7 * 512, kept.begin() + 8 * 512));
    CHECK(ide.disk_bytes(16, 512) == std::vector<u8>(kept.begin() + 16 * 512, kept.begin() + 17 * 512));
    // One range past the end: nothing is given up.
    usize unmaps = ide.disk->unmaps;
    ide.memory.put<u64>(0x20010, ((1 << 20) - 1) | (u64{2} << 48));
    ide.set_table({{0x20000, 512, true}});
    ide.master_command(0x00);
    ide.command_ext(0x06, 0, 1, 1);
    ide.master_command(0x01);
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) == 0x10);
    CHECK(ide.disk->unmaps == unmaps);
    // No blocks, too many, no TRIM bit.
    ide.command_ext(0x06, 0, 0, 1);
    CHECK(ide.status() == 0x51);
    ide.command_ext(0x06, 0, 9, 1);
    CHECK(ide.status() == 0x51);
    ide.command_ext(0x06, 0, 1, 0);
    CHECK(ide.status() == 0x51);
}

TEST_CASE("IDE: every error of a disk has its place in the registers") {
    struct Row {
        DiskError error;
        u8 status;
        u8 reported;
    };
    constexpr Row rows[] = {
        {DiskError::aborted_by_preempt, 0x51, 0x04},
        {DiskError::illegal_block, 0x51, 0x10},
        {DiskError::invalid_input, 0x51, 0x04},
        {DiskError::io, 0x51, 0x04},
        {DiskError::medium_guard, 0x51, 0x40},
        {DiskError::medium_reference_tag, 0x51, 0x40},
        {DiskError::medium_application_tag, 0x51, 0x40},
        {DiskError::medium_read, 0x51, 0x40},
        {DiskError::medium_write, 0x71, 0x04},
        {DiskError::memory_access, 0x51, 0x04},
        {DiskError::read_only, 0x51, 0x04},
        {DiskError::reservation_conflict, 0x51, 0x04},
        {DiskError::unsupported_eject, 0x51, 0x04},
        {DiskError::timed_out, 0x51, 0x04},
        {DiskError::gone, 0x71, 0x04},
        {DiskError::cancelled, 0x51, 0x04},
    };
    static_assert(std::size(rows) == disk_error_count);
    IdeFixture ide;
    for (const Row& row : rows) {
        INFO(to_string(row.error));
        ide.disk->fail_with = row.error;
        ide.command(0x20, 0x0ABCDE, 1);
        CHECK(ide.lines[0].is_high);
        CHECK(ide.status() == row.status);
        CHECK(ide.in(1) == row.reported);
        CHECK((ide.in(3) | (ide.in(4) << 8) | (ide.in(5) << 16)) == 0x0ABCDE);
    }
}

TEST_CASE("IDE: INT 13h moves sectors with one port write") {
    IdeFixture ide;
    ide.fill_disk(0x1234, IdeFixture::pattern(8 * 512, 2));
    constexpr u64 packet = 0x5000;
    auto call = [&](u8 command, u8 device, u64 lba, u16 count) {
        ide.memory.put<u8>(packet, command);
        ide.memory.put<u8>(packet + 1, device);
        ide.memory.put<u8>(packet + 2, u8{0});
        ide.memory.put<u8>(packet + 3, u8{0xEE});
        ide.memory.put<u32>(packet + 4, static_cast<u32>(lba));
        ide.memory.put<u16>(packet + 8, static_cast<u16>(lba >> 32));
        ide.memory.put<u16>(packet + 10, count);
        ide.memory.put<u32>(packet + 12, count * 512u);
        ide.memory.put<u32>(packet + 16, 0x1000);
        ide.bus.write_port(0x1E0, AccessSize::dword, packet);
        ide.settle();
        return ide.memory.get<u8>(packet + 3);
    };
    ide.set_table({{0x20000, 8 * 512, true}});
    CHECK(call(0x25, 0xE0, 0x1234, 8) == 0x50);
    CHECK(ide.memory_bytes(0x20000, 8 * 512) == IdeFixture::pattern(8 * 512, 2));
    CHECK(ide.lines[0].rises == 0);
    CHECK(ide.pause.paused == 0);
    CHECK(call(0xCA, 0xE0, 0x2000, 8) == 0x50);
    CHECK(ide.disk_bytes(0x2000, 8 * 512) == IdeFixture::pattern(8 * 512, 2));
    CHECK((call(0x25, 0xE0, 1 << 20, 1) & 0x01) == 0x01);  // past the end
    CHECK((call(0x20, 0xE0, 0, 1) & 0x01) == 0x01);        // not one of those it carries out
    CHECK((call(0xC8, 0xF0, 0, 1) & 0x01) == 0x01);        // device 1 is not there
    CHECK((call(0xC8, 0xE0, 0, 16) & 0x01) == 0x01);       // more than the table has
    // The processor waits for as long as the disk takes; the ports are busy meanwhile.
    ide.disk->hold = true;
    call(0xC8, 0xE0, 0x1234, 8);
    CHECK(ide.pause.paused == 1);
    CHECK(ide.memory.get<u8>(packet + 3) == 0xEE);
    ide.disk->release();
    ide.settle();
    CHECK(ide.pause.paused == 0);
    CHECK(ide.memory.get<u8>(packet + 3) == 0x50);
    // A packet that is no memory.
    ide.bus.write_port(0x1E0, AccessSize::dword, 0xFFFF'FFF0);
    ide.settle();
    CHECK(ide.pause.paused == 0);
    CHECK(ide.pause.wrong_names == 0);
    CHECK(ide.identify()[47] == 0x8010);
}

}  // namespace
}  // namespace undercroft::test
