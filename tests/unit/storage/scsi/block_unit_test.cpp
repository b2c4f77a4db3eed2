// A block device by its CDBs: reading, writing, size. Expected bytes are from SBC-3's tables.
#include "tests/unit/storage/scsi/initiator.hpp"

using namespace undercroft;
using namespace undercroft::test;

namespace {

Bytes pattern(usize size, u8 seed) {
    Bytes bytes(size);
    for (usize at = 0; at < size; ++at) {
        bytes[at] = static_cast<u8>(seed + at * 7 + at / 256);
    }
    return bytes;
}

struct Form {
    u8 opcode;
    usize length;
    usize lba_at;
    usize lba_bytes;
    usize count_at;
    usize count_bytes;
    Bytes cdb(u64 lba, u64 count) const {
        return with(with(with(Bytes(length), 0, 1, opcode), lba_at, lba_bytes, lba), count_at, count_bytes, count);
    }
};
constexpr Form reads[] = {
    {0x08, 6, 2, 2, 4, 1}, {0x28, 10, 2, 4, 7, 2}, {0xa8, 12, 2, 4, 6, 4}, {0x88, 16, 2, 8, 10, 4}};
constexpr Form writes[] = {
    {0x0a, 6, 2, 2, 4, 1}, {0x2a, 10, 2, 4, 7, 2}, {0xaa, 12, 2, 4, 6, 4}, {0x8a, 16, 2, 8, 10, 4}};

}  // namespace

TEST_CASE("what one form of WRITE wrote, every form of READ reads") {
    for (u32 sector_size : {512U, 4096U}) {
        BlockRig rig(sector_size);
        u8 seed = 1;
        for (const Form& write : writes) {
            Bytes data = pattern(3 * sector_size, seed++);
            CHECK(rig.host.send(write.cdb(5, 3), 0, data).status == 0);
            for (const Form& read : reads) {
                Answer answer = rig.host.send(read.cdb(5, 3), 3 * sector_size);
                CHECK(answer.status == 0);
                CHECK(answer.data == data);
            }
        }
    }
}

TEST_CASE("a length of 0 is nothing, and 256 blocks in six bytes") {
    BlockRig rig;
    for (const Form& form : {reads[1], reads[2], reads[3], writes[1], writes[2], writes[3]}) {
        CHECK(rig.host.send(form.cdb(0, 0)).status == 0);
        CHECK(rig.host.send(form.cdb(2048, 0)).status == 0);  // at the end
        CHECK(rig.host.send(form.cdb(2049, 0)).error() == 0x05'21'00);
    }
    CHECK(rig.host.send(reads[0].cdb(0, 0), 256 * 512).data.size() == 256 * 512);
    CHECK(rig.host.send(reads[0].cdb(2048 - 255, 0), 256 * 512).error() == 0x05'21'00);
}

TEST_CASE("past the end, and where LBA and length overflow, is LBA OUT OF RANGE") {
    BlockRig rig;
    for (const Form& form : {reads[1], reads[2], reads[3]}) {
        CHECK(rig.host.send(form.cdb(2047, 1), 512).status == 0);
        CHECK(rig.host.send(form.cdb(2047, 2), 1024).error() == 0x05'21'00);
        CHECK(rig.host.send(form.cdb(0xffff'ffff, 1), 512).error() == 0x05'21'00);
    }
    CHECK(rig.host.send(reads[3].cdb(~u64{0}, 1), 512).error() == 0x05'21'00);
    CHECK(rig.host.send(writes[3].cdb(~u64{0} - 1, 0xffff'ffff), 0, Bytes(512)).error() == 0x05'21'00);
}

TEST_CASE("blocks beyond 2 TiB are reached, and READ CAPACITY (10) says to ask the other") {
    auto ram = *RamDisk::create({.sectors = u64{1} << 33, .sector_size = 512, .id = {}});
    BlockRig rig(*Disk::create(ram));
    Bytes data = pattern(512, 9);
    CHECK(rig.host.send(writes[3].cdb((u64{1} << 33) - 1, 1), 0, data).status == 0);
    CHECK(rig.host.send(reads[3].cdb((u64{1} << 33) - 1, 1), 512).data == data);
    CHECK(rig.host.send({0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8).data == Bytes{0xff, 0xff, 0xff, 0xff, 0, 0, 2, 0});
    Answer answer = rig.host.send({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, 32);
    CHECK(answer.data.size() == 32);
    CHECK(big_endian(answer.data, 0, 8) == (u64{1} << 33) - 1);
    CHECK(big_endian(answer.data, 8, 4) == 512);
}

TEST_CASE("a buffer larger than the command leaves a residual; a smaller one is an overrun, and nothing is done") {
    BlockRig rig;
    Answer more = rig.host.send(reads[1].cdb(0, 1), 700);
    CHECK(more.status == 0);
    CHECK(more.residual == 188);
    CHECK(rig.host.send(writes[1].cdb(0, 1), 0, Bytes(1024, 0x55)).residual == 512);
    CHECK(rig.host.send(reads[1].cdb(1, 1), 512).data == Bytes(512, 0));
    Answer less = rig.host.send(reads[1].cdb(0, 2), 512);
    CHECK(less.delivery == scsi::Delivery::overrun);
    CHECK(less.error() == 0x05'24'00);
    CHECK(rig.host.send(writes[1].cdb(8, 2), 0, Bytes(512, 0x66)).delivery == scsi::Delivery::overrun);
    CHECK(rig.host.send(reads[1].cdb(8, 1), 512).data == Bytes(512, 0));
}

TEST_CASE("FUA is a write that is durable by itself, or a flush after it; on a read, a flush before") {
    auto ram = *RamDisk::create({.sectors = 64, .sector_size = 512, .id = {}});
    auto held = std::make_shared<HeldDisk>(*Disk::create(ram));
    held->released.set();
    BlockRig rig(*Disk::create(held));
    Bytes fua = writes[1].cdb(0, 1);
    fua[1] = 0x08;
    CHECK(rig.host.send(fua, 0, Bytes(512)).status == 0);
    CHECK(held->flushes + held->fua_writes == 1);
    Bytes read = reads[1].cdb(0, 1);
    read[1] = 0x08;
    usize before = held->flushes;
    CHECK(rig.host.send(read, 512).status == 0);
    CHECK(held->flushes == before + 1);
    CHECK(rig.host.send({0x35, 0, 0, 0, 0, 0, 0, 0, 0, 0}).status == 0);
    CHECK(held->flushes == before + 2);
}

TEST_CASE("a write-protected unit answers DATA PROTECT") {
    BlockRig rig(512, {.read_only = true});
    CHECK(rig.host.send(writes[1].cdb(0, 1), 0, Bytes(512)).error() == 0x07'27'00);
    CHECK(rig.host.send(writes[1].cdb(0, 0)).error() == 0x07'27'00);
    CHECK(rig.host.send(reads[1].cdb(0, 1), 512).status == 0);
}

TEST_CASE("bits that a command has no use for are refused, and their byte is named") {
    BlockRig rig;
    Bytes cdb = reads[1].cdb(0, 1);
    cdb[1] = 0x20;  // RDPROTECT without protection information
    Answer answer = rig.host.send(cdb, 512);
    CHECK(answer.error() == 0x05'24'00);
    CHECK(answer.sense[15] == 0xc0);
    CHECK(big_endian(answer.sense, 16, 2) == 1);
    cdb = reads[1].cdb(0, 1);
    cdb[9] = 0x04;  // NACA
    CHECK(big_endian(rig.host.send(cdb, 512).sense, 16, 2) == 9);
    CHECK(rig.host.send({0xc1, 0, 0, 0, 0, 0}).error() == 0x05'20'00);
    CHECK(rig.host.send({0x28, 0, 0, 0, 0, 0}).error() == 0x05'24'00);  // ends too early
    CHECK(rig.host.send({0x9e, 0x1f, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}).error() == 0x05'24'00);
    CHECK(rig.host.send({}).error() == 0x05'24'00);
}
