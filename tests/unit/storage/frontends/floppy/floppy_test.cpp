// The 82077AA and the 8237, driven port by port. Numbers are those of the data sheets.
#include "tests/unit/storage/frontends/floppy/floppy_fixture.hpp"

namespace undercroft::test {
namespace {

TEST_CASE("Floppy: after a reset four drives report, and MSR is ready") {
    Fdc fdc;
    out8(fdc.bus, 0x3F2, 0x00);
    CHECK(fdc.status() == 0x00);
    out8(fdc.bus, 0x3F2, 0x0C);
    CHECK(fdc.status() == 0x80);
    CHECK(fdc.line.is_high);
    for (u8 drive = 0; drive < 4; ++drive) {
        CHECK(fdc.command({0x08}) == Bytes{static_cast<u8>(0xC0 | drive), 0});
    }
    CHECK_FALSE(fdc.line.is_high);
    CHECK(fdc.command({0x08}) == Bytes{0x80});
    CHECK(in8(fdc.bus, 0x3F0) == 0xFF);
}

TEST_CASE("Floppy: version, lock, configure, dump, and what the 82077AA has not got") {
    Fdc fdc;
    fdc.reset();
    CHECK(fdc.command({0x10}) == Bytes{0x90});
    CHECK(fdc.command({0x03, 0xDF, 0x02}).empty());
    CHECK(fdc.command({0x13, 0x00, 0x57, 0x05}).empty());
    CHECK(fdc.command({0x94}) == Bytes{0x10});
    fdc.command({0x12, 0x04});
    Bytes dump = fdc.command({0x0E});
    REQUIRE(dump.size() == 10);
    CHECK(dump[4] == 0xDF);
    CHECK(dump[5] == 0x02);
    CHECK(dump[7] == 0x84);
    CHECK(dump[8] == 0x57);
    CHECK(dump[9] == 0x05);
    // Locked: a software reset keeps what CONFIGURE set; polling is off, so no interrupt follows.
    out8(fdc.bus, 0x3F4, 0x80);
    CHECK(fdc.command({0x0E})[8] == 0x57);
    CHECK(fdc.command({0x08}) == Bytes{0x80});
    CHECK(fdc.command({0x14}) == Bytes{0x00});
    out8(fdc.bus, 0x3F4, 0x80);
    CHECK(fdc.command({0x0E})[8] == 0x20);
    // PART ID, SAVE, RESTORE, SCAN EQUAL, nonsense.
    for (u8 unknown : {0x18, 0x2E, 0x4E, 0x51, 0x00, 0x01, 0x0B, 0x1F, 0x33}) {
        INFO(int{unknown});
        CHECK(fdc.command({unknown}) == Bytes{0x80});
    }
}

TEST_CASE("Floppy: seek, recalibrate, relative seek, drive status") {
    Fdc fdc;
    fdc.reset();
    CHECK((in8(fdc.bus, 0x3F7) & 0x80) == 0x80);  // the change line, until a step
    CHECK(fdc.command({0x0F, 0x00, 17}).empty());
    CHECK(fdc.line.is_high);
    CHECK((fdc.status() & 0x01) == 0x01);
    CHECK(fdc.command({0x08}) == Bytes{0x20, 17});
    CHECK((fdc.status() & 0x0F) == 0);
    CHECK((in8(fdc.bus, 0x3F7) & 0x80) == 0x00);
    fdc.command({0xCF, 0x00, 3});
    CHECK(fdc.command({0x08}) == Bytes{0x20, 20});
    fdc.command({0x8F, 0x00, 5});
    CHECK(fdc.command({0x08}) == Bytes{0x20, 15});
    CHECK((fdc.command({0x04, 0x00})[0] & 0x10) == 0x00);
    fdc.command({0x07, 0x00});
    CHECK(fdc.command({0x08}) == Bytes{0x20, 0});
    CHECK((fdc.command({0x04, 0x04})[0] & 0x54) == 0x14);  // track 0, not protected, head 1
    fdc.command({0x07, 0x01});                             // no such drive: no track 0
    CHECK((fdc.command({0x08})[0] & 0xF3) == 0x71);
}

TEST_CASE("Floppy: READ DATA by DMA, to the count, across heads") {
    Fdc fdc;
    fdc.reset();
    Bytes data = Fdc::pattern(36 * 512, 5);
    fdc.fill(36, data);
    fdc.seek(1);
    fdc.program_dma(0x46, 0x20000, 1024);
    // C1 H0, sectors 3 and 4: terminal count, so no error; the result names the next sector.
    CHECK(fdc.read(1, 0, 3, 18) == Bytes{0x00, 0x00, 0x00, 1, 0, 5, 2});
    CHECK(fdc.memory_bytes(0x20000, 1024) == Bytes(data.begin() + 1024, data.begin() + 2048));
    fdc.program_dma(0x46, 0x20000, 36 * 512);
    CHECK(fdc.read(1, 0, 1, 18) == Bytes{0x00, 0x00, 0x00, 2, 0, 1, 2});
    CHECK(fdc.memory_bytes(0x20000, 36 * 512) == data);
    // Without MT the track's end comes before the count's: end of cylinder.
    fdc.program_dma(0x46, 0x20000, 36 * 512);
    CHECK(fdc.read(1, 0, 17, 18, 0x46) == Bytes{0x40, 0x80, 0x00, 2, 0, 1, 2});
    // READ TRACK begins at the index, whatever the sector.
    fdc.program_dma(0x46, 0x40000, 512);
    CHECK((fdc.read(1, 0, 9, 18, 0x42)[0] & 0xC0) == 0x00);
    CHECK(fdc.memory_bytes(0x40000, 512) == Bytes(data.begin(), data.begin() + 512));
}

TEST_CASE("Floppy: WRITE DATA, VERIFY and FORMAT TRACK") {
    Fdc fdc;
    fdc.reset();
    fdc.seek(2);
    Bytes data = Fdc::pattern(3 * 512, 9);
    std::memcpy(fdc.memory.at(0x30000), data.data(), data.size());
    fdc.program_dma(0x4A, 0x30000, 3 * 512);
    CHECK(fdc.read(2, 1, 1, 18, 0xC5) == Bytes{0x04, 0x00, 0x00, 2, 1, 4, 2});
    CHECK(fdc.medium(2 * 36 + 18, data.size()) == data);
    CHECK(fdc.disk->flushes == 1);
    // A count that ends within a sector fills the rest with zeros.
    fdc.program_dma(0x4A, 0x30000, 100);
    CHECK((fdc.read(2, 0, 5, 18, 0xC5)[0] & 0xC0) == 0x00);
    Bytes half = fdc.medium(2 * 36 + 4, 512);
    CHECK(Bytes(half.begin(), half.begin() + 100) == Bytes(data.begin(), data.begin() + 100));
    CHECK(Bytes(half.begin() + 100, half.end()) == Bytes(412));
    usize reads = fdc.disk->reads;
    CHECK((fdc.read(2, 0, 1, 18, 0x56)[0] & 0xC0) == 0x00);
    CHECK(fdc.disk->reads == reads + 1);
    fdc.program_dma(0x4A, 0x30000, 18 * 4);
    CHECK((fdc.command({0x4D, 0x04, 2, 18, 0x6C, 0xF6})[0] & 0xC0) == 0x00);
    CHECK(fdc.medium(2 * 36 + 18, 18 * 512) == Bytes(18 * 512, 0xF6));
    fdc.program_dma(0x4A, 0x30000, 18 * 4);
    CHECK((fdc.command({0x4D, 0x04, 2, 9, 0x6C, 0xF6})[0] & 0xC0) == 0x40);
}

TEST_CASE("Floppy: without DMA the data go through the FIFO") {
    Fdc fdc;
    fdc.reset();
    fdc.command({0x03, 0xDF, 0x03});
    fdc.fill(0, Fdc::pattern(512, 2));
    CHECK(fdc.read(0, 0, 1, 1, 0x46).empty());
    CHECK(fdc.line.is_high);
    Bytes got;
    while ((fdc.status() & 0xF0) == 0xF0) {
        got.push_back(in8(fdc.bus, 0x3F5));
    }
    CHECK(got == Fdc::pattern(512, 2));
    CHECK(fdc.line.is_high);
    CHECK(fdc.result() == Bytes{0x40, 0x80, 0x00, 1, 0, 1, 2});  // no terminal count without DMA
    CHECK(fdc.read(0, 0, 2, 2, 0x45).empty());
    for (u8 byte : Fdc::pattern(512, 4)) {
        CHECK((fdc.status() & 0xF0) == 0xB0);
        out8(fdc.bus, 0x3F5, byte);
    }
    fdc.time.pass(1000);
    CHECK(fdc.result().size() == 7);
    CHECK(fdc.medium(1, 512) == Fdc::pattern(512, 4));
}

TEST_CASE("Floppy: what is not found is said with the right bits") {
    Fdc fdc;
    fdc.reset();
    fdc.program_dma(0x46, 0x20000, 512);
    CHECK(fdc.read(3, 0, 1, 18)[2] == 0x10);   // the heads are elsewhere: wrong cylinder
    CHECK(fdc.read(0, 0, 19, 19)[1] == 0x04);  // no such sector: no data
    CHECK(fdc.read(0, 0, 0, 18)[1] == 0x04);
    out8(fdc.bus, 0x3F7, 2);
    CHECK(fdc.read(0, 0, 1, 18)[1] == 0x01);  // the wrong data rate: no address mark
    CHECK(fdc.command({0x4A, 0x00})[1] == 0x01);
    out8(fdc.bus, 0x3F7, 0);
    CHECK(fdc.command({0x4A, 0x04}) == Bytes{0x04, 0x00, 0x00, 0, 1, 1, 2});
    CHECK(fdc.command({0x0A, 0x00})[1] == 0x01);  // FM
    fdc.disk->fail_with = DiskError::medium_read;
    CHECK(fdc.read(0, 0, 1, 18) == Bytes{0x40, 0x20, 0x20, 0, 0, 1, 2});
    REQUIRE(fdc.controller.remove(0));
    CHECK(fdc.read(0, 0, 1, 18)[1] == 0x01);
    CHECK((in8(fdc.bus, 0x3F7) & 0x80) == 0x80);
    Fdc read_only(2880, true);
    read_only.reset();
    read_only.program_dma(0x4A, 0x30000, 512);
    CHECK(read_only.read(0, 0, 1, 18, 0xC5)[1] == 0x02);
    CHECK((read_only.command({0x04, 0x00})[0] & 0x40) == 0x40);
}

TEST_CASE("Floppy: formats by size") {
    struct Row {
        u64 sectors;
        u8 cmos;
    };
    for (Row row : {Row{720, 1}, Row{1440, 3}, Row{2400, 2}, Row{2880, 4}, Row{3360, 4}, Row{3444, 4}}) {
        Fdc fdc(row.sectors);
        CHECK(fdc.inserted);
        CHECK(fdc.controller.cmos_type(0) == row.cmos);
        CHECK(fdc.controller.cmos_type(1) == 0);
    }
    for (u64 sectors : {0, 719, 2881, 5760}) {
        CHECK_FALSE(Fdc(sectors).inserted);
    }
}

TEST_CASE("Floppy: a reset forgets what a disk still does, and no memory is written after it") {
    Fdc fdc;
    fdc.reset();
    fdc.fill(0, Fdc::pattern(512, 2));
    fdc.disk->hold = true;
    fdc.disk->ignores_cancel = true;
    fdc.program_dma(0x46, 0x20000, 512);
    CHECK(fdc.read(0, 0, 1, 18).empty());
    CHECK(fdc.status() == 0x10);
    out8(fdc.bus, 0x3F2, 0x00);
    out8(fdc.bus, 0x3F2, 0x1C);
    fdc.time.pass(1000);
    CHECK(fdc.status() == 0x00);  // in reset for as long as the buffer is the disk's
    fdc.disk->release();
    fdc.time.pass(1000);
    CHECK(fdc.status() == 0x80);
    CHECK(fdc.line.is_high);
    CHECK(fdc.memory_bytes(0x20000, 512) == Bytes(512));
    fdc.disk->ignores_cancel = false;
    fdc.disk->hold = true;
    fdc.reset();
    fdc.read(0, 0, 1, 18);
    fdc.time.pass(11 * nanoseconds_per_second);  // a disk that never answers: an error at the deadline
    CHECK(fdc.result()[1] == 0x20);
}

TEST_CASE("Floppy: a reset by the data rate register does not end one by the output register") {
    Fdc fdc;
    out8(fdc.bus, 0x3F2, 0x00);
    out8(fdc.bus, 0x3F4, 0x80);
    CHECK(fdc.status() == 0x00);
    out8(fdc.bus, 0x3F2, 0x0C);
    CHECK(fdc.status() == 0x80);
}

TEST_CASE("Floppy: the FIFO takes no more than a command and gives no more than a result") {
    Fdc fdc;
    fdc.reset();
    for (int count = 0; count < 40; ++count) {
        out8(fdc.bus, 0x3F5, 0x46);
    }
    fdc.time.pass(1000);
    for (int count = 0; count < 40; ++count) {
        in8(fdc.bus, 0x3F5);
    }
    CHECK(fdc.command({0x10}) == Bytes{0x90});
}

TEST_CASE("8237: registers, byte pointer, wrap, autoinitialize and decrement") {
    Fdc fdc;
    fdc.program_dma(0x56, 0x1FFFE, 4);
    out8(fdc.bus, 0x0C, 0);
    CHECK(in8(fdc.bus, 0x04) == 0xFE);
    CHECK(in8(fdc.bus, 0x04) == 0xFF);
    CHECK(in8(fdc.bus, 0x05) == 0x03);
    CHECK(in8(fdc.bus, 0x05) == 0x00);
    CHECK(in8(fdc.bus, 0x81) == 0x01);
    Bytes data = {1, 2, 3, 4, 5, 6};
    auto moved = fdc.dma.to_memory(2, std::as_bytes(std::span(data)));
    CHECK(moved.bytes == 4);
    CHECK(moved.terminal_count);
    CHECK(fdc.memory_bytes(0x1FFFE, 2) == Bytes{1, 2});
    CHECK(fdc.memory_bytes(0x10000, 2) == Bytes{3, 4});  // within the page
    CHECK((in8(fdc.bus, 0x08) & 0x04) == 0x04);
    CHECK((in8(fdc.bus, 0x08) & 0x04) == 0x00);
    CHECK(fdc.dma.bytes_left(2) == 4);  // autoinitialized
    fdc.program_dma(0x66, 0x00102, 2);
    fdc.dma.to_memory(2, std::as_bytes(std::span(data)));
    CHECK(fdc.memory_bytes(0x101, 2) == Bytes{2, 1});
    CHECK(fdc.dma.bytes_left(2) == 0);  // masked at its terminal count
    fdc.program_dma(0x4A, 0xFFFFFF, 2);
    Bytes none(2);
    CHECK(fdc.dma.from_memory(2, std::as_writable_bytes(std::span(none))).bytes == 2);
    CHECK(none == Bytes{0xFF, 0xFF});
    out8(fdc.bus, 0x0D, 0);
    CHECK(fdc.dma.bytes_left(2) == 0);
}

}  // namespace
}  // namespace undercroft::test
