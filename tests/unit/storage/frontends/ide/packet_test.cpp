// ATAPI: the packet protocol by PIO and by bus master, over an optical unit.
#include <catch2/catch.hpp>

#include "storage/scsi/optical_unit.hpp"
#include "tests/unit/storage/frontends/ide/ide_fixture.hpp"

namespace undercroft::test {
namespace {

using Bytes = std::vector<u8>;

/// A DVD drive as device 1 of the first channel, whose device 0 is a disk.
class PacketFixture : public IdeFixture {
public:
    PacketFixture() : medium(std::make_shared<FakeDisk>(ide_disk(4096))) {
        scsi::OpticalUnitConfig config{.medium = *Disk::create(medium), .is_atapi = true};
        unit = std::make_shared<scsi::OpticalUnit>(std::move(config));
        attached = controller->attach_packet(0, 1, unit, {.model = "A DVD drive"}).has_value();
        out(6, 0x10);
    }
    /// Sends a packet; what follows is the caller's.
    void packet(Bytes cdb, u16 limit = 0xFFFE, u8 features = 0) {
        cdb.resize(12);
        out(1, features);
        out(4, limit & 0xFF);
        out(5, limit >> 8);
        out(7, 0xA0);
        settle();
        CHECK(alternate() == 0x58);
        CHECK(in(2) == 0x01);
        write_data(cdb);
        settle();
    }
    /// Takes blocks until the command is over.
    Bytes take() {
        Bytes all;
        while ((status() & 0x08) != 0 && all.size() < 1 * mib) {
            CHECK(in(2) == 0x02);
            Bytes block = read_data(in(4) | (in(5) << 8));
            all.insert(all.end(), block.begin(), block.end());
            settle();
        }
        return all;
    }
    void fill_medium(const Bytes& data) {
        Bytes copy = data;
        MemorySegment segment{reinterpret_cast<std::byte*>(copy.data()), copy.size()};
        std::optional<DiskResult<void>> outcome;
        detail::run_root(medium->inner().write(0, {&segment, 1}, ForceUnitAccess::no, {}), outcome);
    }
    /// The first command after power-on is told of it.
    void clear_attentions() {
        for (int count = 0; count < 3; ++count) {
            packet({0x00});
            packet({0x03, 0, 0, 0, 18});
            take();
        }
    }

    std::shared_ptr<FakeDisk> medium;
    std::shared_ptr<scsi::OpticalUnit> unit;
    bool attached = false;
};

TEST_CASE("ATAPI: signature, identity, and what only disks have") {
    PacketFixture ide;
    REQUIRE(ide.attached);
    CHECK(ide.alternate() == 0x00);
    CHECK(ide.in(4) == 0x14);
    CHECK(ide.in(5) == 0xEB);
    ide.out(7, 0xEC);
    ide.settle();
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) == 0x04);
    CHECK(ide.in(4) == 0x14);
    CHECK(ide.in(5) == 0xEB);
    ide.out(6, 0x10);
    ide.out(7, 0xA1);
    ide.settle();
    CHECK(ide.status() == 0x58);
    Bytes data = ide.read_data(512);
    CHECK((data[0] | (data[1] << 8)) == 0x85C0);
    CHECK((data[98 + 1] & 0x03) == 0x03);  // word 49: LBA and DMA
    CHECK(data[510] == 0xA5);
    ide.out(7, 0x08);  // DEVICE RESET: the signature, and no interrupt; still selected
    ide.settle();
    CHECK(ide.alternate() == 0x00);
    CHECK((ide.in(6) & 0x10) == 0x10);
    CHECK(ide.in(5) == 0xEB);
    ide.out(7, 0x08);  // and a reset of both drives before it has ended, which selects the first
    out8(ide.bus, 0x3F6, 0x04);
    ide.settle();
    out8(ide.bus, 0x3F6, 0x00);
    ide.settle();
    CHECK((ide.in(6) & 0x10) == 0);
}

TEST_CASE("ATAPI: sense is kept for REQUEST SENSE") {
    PacketFixture ide;
    ide.packet({0x00});
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) >> 4 == 0x06);  // UNIT ATTENTION
    CHECK(ide.in(2) == 0x03);
    ide.packet({0x03, 0, 0, 0, 18});
    Bytes sense = ide.take();
    REQUIRE(sense.size() == 18);
    CHECK((sense[2] & 0x0F) == 0x06);
    CHECK(sense[12] == 0x29);
    CHECK(ide.status() == 0x50);
    ide.clear_attentions();
    ide.packet({0x00});
    CHECK(ide.status() == 0x50);
    ide.packet({0xC7});
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) >> 4 == 0x05);
}

TEST_CASE("ATAPI: READ by PIO in blocks of the limit, and by bus master") {
    PacketFixture ide;
    ide.clear_attentions();
    Bytes data = IdeFixture::pattern(100 * 2048, 3);
    ide.fill_medium(data);
    int rises = ide.lines[0].rises;
    ide.packet({0x28, 0, 0, 0, 0, 1, 0, 0, 2}, 2048);
    CHECK(ide.lines[0].rises == rises + 1);
    CHECK(ide.in(4) == 0x00);
    CHECK(ide.in(5) == 0x08);
    CHECK(ide.take() == Bytes(data.begin() + 2048, data.begin() + 3 * 2048));
    CHECK(ide.lines[0].rises == rises + 3);  // each block, and the end
    CHECK(ide.status() == 0x50);
    CHECK(ide.in(2) == 0x03);
    // More than the buffer holds, and READ(12).
    ide.packet({0x28, 0, 0, 0, 0, 0, 0, 0, 100});
    CHECK(ide.take() == data);
    ide.packet({0xA8, 0, 0, 0, 0, 0, 0, 0, 0, 100});
    CHECK(ide.take() == data);
    ide.set_table({{0x20000, 2048}, {0x30000, 2048, true}});
    ide.packet({0x28, 0, 0, 0, 0, 5, 0, 0, 2}, 0, 1);
    CHECK(ide.alternate() == 0x80);
    ide.master_command(0x09);
    CHECK(ide.master_status() == 0x04);
    CHECK(ide.status() == 0x50);
    CHECK(ide.memory_bytes(0x30000, 2048) == Bytes(data.begin() + 6 * 2048, data.begin() + 7 * 2048));
    ide.master_command(0x00);
    // Past the end.
    ide.packet({0x28, 0, 0, 1, 0, 0, 0, 0, 1});
    CHECK(ide.status() == 0x51);
    CHECK(ide.in(1) >> 4 == 0x05);
}

TEST_CASE("ATAPI: no medium, a new one, and a reset in flight") {
    PacketFixture ide;
    ide.clear_attentions();
    REQUIRE(ide.unit->remove());
    ide.packet({0x25});
    CHECK((ide.status() & 0x01) == 0x01);
    ide.clear_attentions();
    ide.packet({0x00});
    CHECK(ide.in(1) >> 4 == 0x02);  // NOT READY
    ide.status();
    REQUIRE(ide.unit->insert(*Disk::create(ide.medium)));
    ide.packet({0x00});
    CHECK(ide.in(1) >> 4 == 0x06);
    ide.clear_attentions();
    ide.medium->hold = true;
    ide.packet({0x28, 0, 0, 0, 0, 0, 0, 0, 1});
    CHECK(ide.alternate() == 0x80);
    ide.out(7, 0x08);
    ide.settle();
    CHECK(ide.alternate() == 0x00);
    CHECK(ide.in(5) == 0xEB);
    ide.medium->release();
    ide.packet({0x28, 0, 0, 0, 0, 0, 0, 0, 1});
    CHECK(ide.take().size() == 2048);
}

}  // namespace
}  // namespace undercroft::test
