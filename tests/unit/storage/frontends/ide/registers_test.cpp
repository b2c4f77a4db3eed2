// Registers, identity and the commands that move no sectors.
#include <catch2/catch.hpp>

#include "tests/unit/storage/frontends/ide/ide_fixture.hpp"

namespace undercroft::test {
namespace {

std::string text_of(const std::vector<u16>& words, usize first, usize count) {
    std::string text;
    for (usize index = first; index < first + count; ++index) {
        text += static_cast<char>(words[index] >> 8);
        text += static_cast<char>(words[index] & 0xFF);
    }
    return text;
}

TEST_CASE("IDE: the PCI function is a PIIX4's") {
    IdeFixture ide;
    CHECK(ide.controller->read_config(0x00) == 0x7111'8086);
    CHECK(ide.controller->read_config(0x08) >> 8 == 0x010180);
    CHECK(ide.controller->bar(4).size_bytes == 16);
    CHECK(ide.controller->bar(4).is_io);
    CHECK(ide.controller->bar(0).size_bytes == 0);
    // Both channels decode, as firmware leaves them; the bits can be written, and switch the ports off.
    CHECK(ide.controller->read_config(0x40) == 0x8000'8000);
    ide.controller->write_config(0x40, 0x0000'0000, 0x0000'FFFF);
    CHECK(ide.status() == 0xFF);
    ide.controller->write_config(0x40, 0x0000'A307, 0x0000'FFFF);
    CHECK(ide.controller->read_config(0x40) == 0x8000'A307);
    CHECK(ide.status() == 0x50);
    ide.controller->write_config(0x48, 0xFFFF'FFFF, 0xFFFF'FFFF);
    CHECK(ide.controller->read_config(0x48) == 0x3333'000F);
}

TEST_CASE("IDE: signature after power-on, software reset and diagnostic") {
    IdeFixture ide;
    auto check_signature = [&] {
        CHECK(ide.alternate() == 0x50);
        CHECK(ide.in(1) == 0x01);
        CHECK(ide.in(2) == 0x01);
        CHECK(ide.in(3) == 0x01);
        CHECK(ide.in(4) == 0x00);
        CHECK(ide.in(5) == 0x00);
        CHECK((ide.in(6) & 0x1F) == 0);
    };
    check_signature();
    ide.command(0xEC);
    out8(ide.bus, 0x3F6, 0x04);
    ide.settle();
    CHECK(ide.alternate() == 0x80);  // busy for as long as SRST is set
    out8(ide.bus, 0x3F6, 0x00);
    ide.settle();
    check_signature();
    CHECK_FALSE(ide.lines[0].is_high);
    ide.out(3, 0x77);
    ide.command(0x90);
    CHECK(ide.lines[0].is_high);
    check_signature();
}

TEST_CASE("IDE: what is not there reads as hardware lets it read") {
    IdeFixture ide;
    // A channel without drives floats, with DD7 pulled down.
    CHECK(in8(ide.bus, 0x177) == 0x7F);
    CHECK(in8(ide.bus, 0x376) == 0x7F);
    out8(ide.bus, 0x172, 0x55);
    CHECK(in8(ide.bus, 0x172) != 0x55);
    out8(ide.bus, 0x177, 0xEC);
    ide.settle();
    CHECK(in8(ide.bus, 0x177) == 0x7F);
    // A lone device 0 answers for device 1 with a status of 0, and runs none of its commands.
    ide.out(6, 0x10);
    CHECK(ide.status() == 0x00);
    CHECK(ide.alternate() == 0x00);
    ide.out(7, 0xEC);
    ide.settle();
    CHECK(ide.status() == 0x00);
    CHECK_FALSE(ide.lines[0].is_high);
    ide.out(6, 0x00);
    CHECK(ide.status() == 0x50);
}

TEST_CASE("IDE: IDENTIFY DEVICE says what ACS-2 asks") {
    IdeFixture ide;
    std::vector<u16> words = ide.identify();
    CHECK((words[0] & 0x8000) == 0);  // an ATA device
    CHECK(text_of(words, 10, 10) == "12345               ");
    CHECK(text_of(words, 27, 20).substr(0, 10) == "A model   ");
    CHECK((words[47] & 0xFF00) == 0x8000);
    CHECK((words[49] & 0x0300) == 0x0300);  // LBA and DMA
    CHECK((words[50] & 0xC000) == 0x4000);
    CHECK((words[53] & 0x0006) == 0x0006);
    CHECK((words[60] | (u32{words[61]} << 16)) == 1 << 20);
    CHECK((words[63] & 0x0007) == 0x0007);
    CHECK((words[80] & 0x0040) != 0);       // ATA/ATAPI-6: 48-bit addresses
    CHECK((words[82] & 0x0021) == 0x0021);  // SMART, write cache
    CHECK((words[82] & 0x0002) == 0);       // no security
    CHECK((words[83] & 0xC000) == 0x4000);
    CHECK((words[83] & 0x3400) == 0x3400);  // FLUSH CACHE EXT, FLUSH CACHE, 48-bit
    CHECK((words[84] & 0x0040) != 0);       // WRITE DMA FUA EXT
    CHECK((words[86] & 0x3400) == 0x3400);
    CHECK((words[87] & 0xC000) == 0x4000);
    CHECK((words[88] & 0x0007) == 0x0007);
    CHECK((words[88] & 0x0700) == 0x0400);  // UDMA 2 is selected
    CHECK((words[100] | (u32{words[101]} << 16)) == 1 << 20);
    CHECK((words[106] & 0xC000) == 0x4000);
    CHECK(words[169] == 1);
    CHECK((words[69] & 0x4020) == 0x4020);
    CHECK((words[255] & 0xFF) == 0xA5);
    unsigned sum = 0;
    for (u16 word : words) {
        sum += (word & 0xFF) + (word >> 8);
    }
    CHECK((sum & 0xFF) == 0);
    // Geometry: sectors * heads * cylinders reach no further than the disk.
    CHECK(u64{words[1]} * words[3] * words[6] <= u64{1} << 20);
    CHECK(words[3] == 16);
    CHECK(words[6] == 63);
}

TEST_CASE("IDE: a disk of 4096-byte sectors says so") {
    IdeFixture ide(ide_disk(1000, 4096));
    std::vector<u16> words = ide.identify();
    CHECK((words[106] & 0xD000) == 0x5000);
    CHECK((words[117] | (u32{words[118]} << 16)) == 2048);
    CHECK((words[60] | (u32{words[61]} << 16)) == 1000);
    ide.fill_disk(5, IdeFixture::pattern(4096, 3));
    ide.command(0x20, 5, 1);
    CHECK(ide.read_data(4096) == IdeFixture::pattern(4096, 3));
    CHECK(ide.status() == 0x50);
}

TEST_CASE("IDE: sectors of more than 4096 bytes are refused") {
    IdeFixture ide;
    auto large = std::make_shared<FakeDisk>(ide_disk(100, 8192));
    CHECK(ide.controller->attach_disk(0, 1, *Disk::create(large), {}).error() == Error::invalid_argument);
    CHECK(ide.controller->attach_disk(0, 0, *Disk::create(ide.disk), {}).error() == Error::busy);
    CHECK(ide.controller->attach_disk(2, 0, *Disk::create(ide.disk), {}).error() == Error::invalid_argument);
}

TEST_CASE("IDE: the interrupt is cleared by the status register, kept by the alternate, and held back by nIEN") {
    IdeFixture ide;
    ide.command(0xE1);
    CHECK(ide.lines[0].is_high);
    CHECK(ide.alternate() == 0x50);
    CHECK(ide.lines[0].is_high);
    CHECK(ide.status() == 0x50);
    CHECK_FALSE(ide.lines[0].is_high);
    out8(ide.bus, 0x3F6, 0x02);
    ide.command(0xE1);
    CHECK_FALSE(ide.lines[0].is_high);
    out8(ide.bus, 0x3F6, 0x00);
    CHECK(ide.lines[0].is_high);
}

TEST_CASE("IDE: the high order byte is read with HOB") {
    IdeFixture ide;
    ide.out(2, 0x12);
    ide.out(2, 0x34);
    CHECK(ide.in(2) == 0x34);
    out8(ide.bus, 0x3F6, 0x80);
    CHECK(ide.in(2) == 0x12);
    ide.out(3, 0);  // a write to the command block clears HOB
    CHECK(ide.in(2) == 0x34);
}

TEST_CASE("IDE: SET FEATURES") {
    IdeFixture ide;
    ide.command(0xEF, 0, 0x22, 0x03);  // multiword DMA 2
    CHECK(ide.status() == 0x50);
    std::vector<u16> words = ide.identify();
    CHECK(words[63] == 0x0407);
    CHECK(words[88] == 0x0007);
    ide.command(0xEF, 0, 0x45, 0x03);  // ultra DMA 5: a PIIX4 has none
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) == 0x04);
    usize flushes = ide.disk->flushes;
    ide.command(0xEF, 0, 0, 0x82);
    CHECK(ide.status() == 0x50);
    CHECK(ide.disk->flushes == flushes + 1);  // what the cache held is durable when it is off
    CHECK((ide.identify()[85] & 0x0020) == 0);
    ide.command(0xEF, 0, 0, 0x02);
    CHECK((ide.identify()[85] & 0x0020) != 0);
    ide.command(0xEF, 0, 0, 0x55);
    CHECK((ide.identify()[85] & 0x0040) == 0);
    ide.command(0xEF, 0, 0, 0x77);
    CHECK(ide.status() == 0x51);
}

TEST_CASE("IDE: power modes") {
    IdeFixture ide;
    ide.command(0xE5);
    CHECK(ide.in(2) == 0xFF);
    usize flushes = ide.disk->flushes;
    ide.command(0xE0);
    CHECK(ide.status() == 0x50);
    CHECK(ide.disk->flushes == flushes + 1);
    ide.command(0xE5);
    CHECK(ide.in(2) == 0x00);
    ide.command(0x20, 0, 1);  // an access wakes it
    ide.read_data(512);
    ide.command(0x98);
    CHECK(ide.in(2) == 0xFF);
    ide.command(0xE6);
    CHECK(ide.status() == 0x50);
    ide.command(0xEC);  // asleep: only a reset is heard
    CHECK(ide.status() == 0x50);
    CHECK_FALSE(ide.lines[0].is_high);
    out8(ide.bus, 0x3F6, 0x04);
    out8(ide.bus, 0x3F6, 0x00);
    ide.settle();
    CHECK(ide.identify()[47] == 0x8010);
}

TEST_CASE("IDE: SMART is enabled and healthy") {
    IdeFixture ide;
    ide.command(0xB0, 0xC24F00, 0, 0xDA);
    CHECK(ide.status() == 0x50);
    CHECK(ide.in(4) == 0x4F);
    CHECK(ide.in(5) == 0xC2);
    ide.command(0xB0, 0xC24F00, 1, 0xD0);
    std::vector<u8> data = ide.read_data(512);
    unsigned sum = 0;
    for (u8 value : data) {
        sum += value;
    }
    CHECK((sum & 0xFF) == 0);
    ide.command(0xB0, 0x000000, 0, 0xDA);  // without its key
    CHECK(ide.status() == 0x51);
    ide.command(0xB0, 0xC24F00, 0, 0xD9);
    CHECK(ide.status() == 0x50);
    ide.command(0xB0, 0xC24F00, 0, 0xDA);
    CHECK(ide.status() == 0x51);
    ide.command(0xB0, 0xC24F00, 0, 0xD8);
    CHECK(ide.status() == 0x50);
    ide.command(0xB0, 0xC24F00, 0, 0xD5);  // logs: none
    CHECK(ide.status() == 0x51);
}

TEST_CASE("IDE: READ NATIVE MAX, SEEK, RECALIBRATE, NOP, security and what is unknown") {
    IdeFixture ide;
    ide.command(0xF8);
    CHECK((ide.in(3) | (ide.in(4) << 8) | (ide.in(5) << 16)) == (1 << 20) - 1);
    ide.command_ext(0x27, 0, 0);
    CHECK((ide.in(3) | (ide.in(4) << 8) | (ide.in(5) << 16)) == (1 << 20) - 1);
    ide.command(0x70, 100);
    CHECK(ide.status() == 0x50);
    ide.command(0x70, 0x0FFF'FFFF);
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) == 0x10);
    for (u8 recalibrate : {0x10, 0x1F}) {
        ide.command(recalibrate);
        CHECK(ide.status() == 0x50);
    }
    // NOP, DEVICE RESET of a disk, security (6), IDENTIFY PACKET DEVICE, PACKET, SET MAX, READ LOG EXT, vendor's.
    for (u8 refused : {0x00, 0x08, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xA1, 0xA0, 0xF9, 0x2F, 0x80, 0xFF}) {
        INFO("command " << int{refused});
        ide.command(refused);
        CHECK(ide.status() == 0x51);
        CHECK(ide.in(1) == 0x04);
    }
}

}  // namespace
}  // namespace undercroft::test
