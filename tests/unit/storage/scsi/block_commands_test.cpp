// The commands of a block device that compare, erase, or only tell, and its mode and log pages. Expected bytes are from
// SBC-3's and SPC-4's tables.
#include "tests/unit/storage/scsi/initiator.hpp"

using namespace undercroft;
using namespace undercroft::test;

namespace {

Bytes blocks_of(std::initializer_list<u8> values, usize block_bytes = 512) {
    Bytes data;
    for (u8 value : values) {
        data.insert(data.end(), block_bytes, value);
    }
    return data;
}

struct Unit : BlockRig {
    using BlockRig::BlockRig;
    void put(u64 lba, const Bytes& data) {
        Bytes cdb = with(with(with(Bytes(16), 0, 1, 0x8a), 2, 8, lba), 10, 4, data.size() / 512);
        REQUIRE(host.send(cdb, 0, data).status == 0);
    }
    Bytes get(u64 lba, usize blocks) {
        return host.send(with(with(with(Bytes(16), 0, 1, 0x88), 2, 8, lba), 10, 4, blocks), blocks * 512).data;
    }
};

}  // namespace

TEST_CASE("VERIFY reads, or compares what it is given") {
    Unit unit;
    unit.put(4, blocks_of({1, 2, 3}));
    for (Bytes cdb : {Bytes{0x2f, 0, 0, 0, 0, 4, 0, 0, 3, 0}, Bytes{0xaf, 0, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0},
                      Bytes{0x8f, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 3, 0, 0}}) {
        CHECK(unit.host.send(cdb).status == 0);
        cdb[1] = 0x02;
        CHECK(unit.host.send(cdb, 0, blocks_of({1, 2, 3})).status == 0);
        Bytes other = blocks_of({1, 2, 3});
        other[700] = 9;
        Answer answer = unit.host.send(cdb, 0, other);
        CHECK(answer.error() == 0x0e'1d'00);
        CHECK(answer.sense[0] == 0xf0);
        CHECK(big_endian(answer.sense, 3, 4) == 700);
        CHECK(unit.host.send(cdb, 0, blocks_of({1, 2})).delivery == scsi::Delivery::overrun);
        cdb[1] = 0x06;  // one block against each
        CHECK(big_endian(unit.host.send(cdb, 0, blocks_of({1})).sense, 3, 4) == 512);
        cdb[1] = 0x04;
        CHECK(unit.host.send(cdb, 0, blocks_of({1})).error() == 0x05'24'00);
    }
    CHECK(unit.host.send({0x2f, 0, 0, 0, 0x08, 0, 0, 0, 1, 0}).error() == 0x05'21'00);
}

TEST_CASE("WRITE AND VERIFY writes") {
    Unit unit;
    u8 value = 1;
    for (Bytes cdb : {Bytes{0x2e, 0, 0, 0, 0, 4, 0, 0, 2, 0}, Bytes{0xae, 0, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0},
                      Bytes{0x8e, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 2, 0, 0}}) {
        for (u8 check : {u8{0}, u8{2}}) {
            cdb[1] = check;
            Bytes data = blocks_of({value, static_cast<u8>(value + 1)});
            ++value;
            CHECK(unit.host.send(cdb, 0, data).status == 0);
            CHECK(unit.get(4, 2) == data);
        }
    }
}

TEST_CASE("COMPARE AND WRITE writes where all is as expected, and nothing where it is not") {
    Unit unit;
    unit.put(8, blocks_of({1, 2}));
    Bytes cdb{0x89, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 2, 0, 0};
    Answer answer = unit.host.send(cdb, 0, blocks_of({1, 9, 5, 6}));
    CHECK(answer.error() == 0x0e'1d'00);
    CHECK(big_endian(answer.sense, 3, 4) == 512);
    CHECK(unit.get(8, 2) == blocks_of({1, 2}));
    CHECK(unit.host.send(cdb, 0, blocks_of({1, 2, 5, 6})).status == 0);
    CHECK(unit.get(8, 2) == blocks_of({5, 6}));
    CHECK(unit.host.send(cdb, 0, blocks_of({1, 2, 5})).delivery == scsi::Delivery::overrun);
    cdb[13] = 0;
    CHECK(unit.host.send(cdb).status == 0);
}

TEST_CASE("of two COMPARE AND WRITE that expect the same, side by side, one writes and the other finds a difference") {
    auto ram = *RamDisk::create({.sectors = 64, .sector_size = 512, .id = {}});
    for (u64 seed = 1; seed < 8; ++seed) {
        BlockRig rig(*Disk::create(std::make_shared<SlowDisk>(*Disk::create(ram), seed)));
        u8 before = rig.host.send({0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 512).data.at(0);
        Bytes cdb{0x89, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0};
        std::optional<Answer> answers[2];
        CurrentExecutorScope scope(rig.host.executor);
        for (u8 index = 0; index < 2; ++index) {
            u8 next = static_cast<u8>(before + 1 + index);
            detail::run_root(rig.host.send_task(cdb, 0, blocks_of({before, next})), answers[index]);
        }
        rig.host.executor.run_until([&] { return answers[0] && answers[1]; });
        u32 errors[] = {answers[0]->error(), answers[1]->error()};
        CHECK(std::min(errors[0], errors[1]) == 0);
        CHECK(std::max(errors[0], errors[1]) == 0x0e'1d'00);
        u8 winner = static_cast<u8>(before + (errors[0] == 0 ? 1 : 2));
        CHECK(rig.host.send({0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 512).data == blocks_of({winner}));
    }
}

TEST_CASE("WRITE SAME repeats a block, or makes holes") {
    Unit unit;
    Bytes same_10{0x41, 0, 0, 0, 0, 16, 0, 1, 0, 0};
    CHECK(unit.host.send(same_10, 0, blocks_of({7})).status == 0);
    CHECK(unit.get(16, 256) == Bytes(256 * 512, 7));
    CHECK(unit.get(15, 1) == blocks_of({0}));
    CHECK(unit.get(272, 1) == blocks_of({0}));
    Bytes same_16{0x93, 0x08, 0, 0, 0, 0, 0, 0, 0, 16, 0, 0, 0, 8, 0, 0};
    CHECK(unit.host.send(same_16, 0, blocks_of({0})).status == 0);
    same_16[1] = 0x09;  // UNMAP, NDOB
    same_16[9] = 24;
    CHECK(unit.host.send(same_16).status == 0);
    CHECK(unit.get(16, 17) == [] {
        Bytes data = Bytes(16 * 512, 0);
        data.insert(data.end(), 512, 7);
        return data;
    }());
    same_10[8] = same_10[7] = 0;
    CHECK(unit.host.send(same_10, 0, blocks_of({7})).error() == 0x05'24'00);  // WSNZ
}

TEST_CASE("UNMAP: its list's lengths are checked, its ranges read as zeros, and are told as deallocated") {
    Unit unit;
    unit.put(0, Bytes(64 * 512, 3));
    auto unmap = [&](Bytes list) {
        return unit.host.send(with(with(Bytes(10), 0, 1, 0x42), 7, 2, list.size()), 0, list);
    };
    Bytes list(8 + 32);
    list = with(with(list, 0, 2, 38), 2, 2, 32);
    list = with(with(with(with(list, 8, 8, 8), 16, 4, 8), 24, 8, 32), 32, 4, 16);
    CHECK(unmap(list).status == 0);
    CHECK(unit.get(8, 8) == Bytes(8 * 512, 0));
    CHECK(unit.get(16, 1) == blocks_of({3}));
    Bytes status = unit.host.send({0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256).data;
    CHECK(big_endian(status, 0, 4) == status.size() - 4);
    // From 0: data, hole, data, hole, data, and the rest of the disk that nobody wrote.
    const u64 expected[][3] = {{0, 8, 0}, {8, 8, 1}, {16, 16, 0}, {32, 16, 1}, {48, 16, 0}, {64, 2048 - 64, 1}};
    REQUIRE(status.size() == 8 + 16 * std::size(expected));
    for (usize index = 0; index < std::size(expected); ++index) {
        CHECK(big_endian(status, 8 + 16 * index, 8) == expected[index][0]);
        CHECK(big_endian(status, 16 + 16 * index, 4) == expected[index][1]);
        CHECK(status[20 + 16 * index] == expected[index][2]);
    }
    CHECK(unit.host.send({0x9e, 0x12, 0, 0, 0, 0, 0, 0, 0x08, 0, 0, 0, 1, 0, 0, 0}, 256).error() == 0x05'21'00);
    CHECK(unmap({}).status == 0);
    CHECK(unmap(Bytes(7)).error() == 0x05'1a'00);
    CHECK(unmap(with(list, 2, 2, 48)).error() == 0x05'1a'00);
    CHECK(unmap(with(list, 8, 8, 2048)).error() == 0x05'21'00);
    CHECK(unmap(with(Bytes(8 + 257 * 16), 2, 2, 257 * 16)).error() == 0x05'26'00);
    CHECK(unmap(with(Bytes(8), 0, 2, 6)).status == 0);
}

TEST_CASE("a disk that ignores unmap says so, and has no UNMAP") {
    BlockRig rig(*Disk::create(std::make_shared<NullDisk>(1024)));
    Bytes capacity = rig.host.send({0x9e, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 32, 0, 0}, 32).data;
    CHECK((capacity.at(14) & 0xc0) == 0);
    CHECK(rig.host.send({0x42, 0, 0, 0, 0, 0, 0, 0, 0, 0}).error() == 0x05'20'00);
    CHECK(rig.host.send({0xa3, 0x0c, 1, 0x42, 0, 0, 0, 0, 1, 0, 0, 0}, 256).data.at(1) == 1);
    CHECK(rig.host.send({0x93, 0x08, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 0, Bytes(4096)).error() == 0x05'24'00);
    CHECK(big_endian(rig.host.send({0x12, 1, 0xb0, 0, 255, 0}, 255).data, 20, 4) == 0);
}

TEST_CASE("limits and provisioning are told as they are (SBC-3 tables 206 and 215)") {
    Unit unit;
    Bytes limits = unit.host.send({0x12, 1, 0xb0, 0, 255, 0}, 255).data;
    REQUIRE(limits.size() == 64);
    CHECK(limits[4] == 1);                           // WSNZ
    CHECK(limits[5] == 255);                         // COMPARE AND WRITE
    CHECK(big_endian(limits, 20, 4) == 0xffffffff);  // unmap
    CHECK(big_endian(limits, 24, 4) == 256);
    CHECK(big_endian(limits, 28, 4) >= 1);
    CHECK((limits[32] & 0x80) == 0x80);
    CHECK(big_endian(limits, 44, 4) == 1);  // atomic: one block
    Bytes provisioning = unit.host.send({0x12, 1, 0xb2, 0, 255, 0}, 255).data;
    CHECK(provisioning == Bytes{0, 0xb2, 0, 4, 0, 0xe4, 2, 0});
    CHECK(big_endian(unit.host.send({0x12, 1, 0xb1, 0, 255, 0}, 255).data, 4, 2) == 1);
    Bytes atomic{0x9c, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0};
    CHECK(unit.host.send(atomic, 0, blocks_of({9})).status == 0);
    CHECK(unit.get(2, 1) == blocks_of({9}));
    atomic[13] = 2;
    CHECK(unit.host.send(atomic, 0, blocks_of({9, 9})).error() == 0x05'24'00);
}

TEST_CASE("MODE SENSE: header, block descriptor and pages of both lengths; saved values are refused") {
    Unit unit;
    Bytes six = unit.host.send({0x1a, 0, 0x3f, 0, 255, 0}, 255).data;
    REQUIRE(six.size() == 4 + 8 + 20 + 12 + 12);
    CHECK(six[0] == six.size() - 1);
    CHECK(six[2] == 0x10);  // DPOFUA
    CHECK(six[3] == 8);
    CHECK(big_endian(six, 4, 4) == 2048);
    CHECK(big_endian(six, 8, 4) == 512);
    CHECK(Bytes(six.begin() + 12, six.begin() + 15) == Bytes{0x08, 18, 0x04});
    Bytes ten = unit.host.send({0x5a, 0x10, 0x08, 0, 0, 0, 0, 1, 0, 0}, 256).data;
    REQUIRE(ten.size() == 8 + 16 + 20);
    CHECK(big_endian(ten, 0, 2) == ten.size() - 2);
    CHECK(ten[4] == 1);
    CHECK(big_endian(ten, 6, 2) == 16);
    CHECK(big_endian(ten, 8, 8) == 2048);
    CHECK(big_endian(ten, 20, 4) == 512);
    CHECK(unit.host.send({0x1a, 0x08, 0x0a, 0, 255, 0}, 255).data.size() == 4 + 12);
    Bytes changeable = unit.host.send({0x1a, 0x08, 0x48, 0, 255, 0}, 255).data;
    CHECK(changeable == with(with(with(Bytes(24), 0, 4, 0x17001000), 4, 2, 0x0812), 6, 1, 0x04));
    CHECK(unit.host.send({0x1a, 0, 0xc8, 0, 255, 0}, 255).error() == 0x05'39'00);
    CHECK(unit.host.send({0x1a, 0, 0x05, 0, 255, 0}, 255).error() == 0x05'24'00);
    CHECK(unit.host.send({0x1a, 0, 0x0a, 1, 255, 0}, 255).error() == 0x05'24'00);
    CHECK(unit.host.send({0x1a, 0, 0x3f, 0xff, 255, 0}, 255).status == 0);
}

TEST_CASE("MODE SELECT switches the cache off, descriptor sense on and writes off; other initiators are told") {
    auto ram = *RamDisk::create({.sectors = 64, .sector_size = 512, .id = {}});
    auto held = std::make_shared<HeldDisk>(*Disk::create(ram));
    held->released.set();
    BlockRig rig(*Disk::create(held), {.nexuses = 2});
    rig.host.nexus = 1;
    rig.host.settle();
    rig.host.nexus = 0;
    auto select = [&](Bytes list) {
        return rig.host.send(with(Bytes{0x15, 0x10, 0, 0, 0, 0}, 4, 1, list.size()), 0, list);
    };
    Bytes caching = rig.host.send({0x1a, 0x08, 0x08, 0, 255, 0}, 255).data;
    caching[0] = caching[2] = 0;
    caching[6] = 0;
    CHECK(select(caching).status == 0);
    CHECK(rig.host.send({0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 0, Bytes(512)).status == 0);
    CHECK(held->flushes + held->fua_writes == 1);
    rig.host.nexus = 1;
    CHECK(rig.host.send({0, 0, 0, 0, 0, 0}).error() == 0x06'2a'01);
    rig.host.nexus = 0;
    Bytes control = rig.host.send({0x1a, 0x08, 0x0a, 0, 255, 0}, 255).data;
    control[0] = control[2] = 0;
    Bytes wrong = control;
    wrong[4 + 3] ^= 0x10;  // QUEUE ALGORITHM MODIFIER
    Answer answer = select(wrong);
    CHECK(answer.error() == 0x05'26'00);
    CHECK(answer.sense[15] == 0x80);
    CHECK(big_endian(answer.sense, 16, 2) == 7);
    control[4 + 2] |= 0x04;
    control[4 + 4] |= 0x08;
    CHECK(select(control).status == 0);
    CHECK(rig.host.send({0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 0, Bytes(512)).sense == Bytes{0x72, 7, 0x27, 0, 0, 0, 0, 0});
    CHECK((rig.host.send({0x1a, 0x08, 0x0a, 0, 255, 0}, 255).data.at(2) & 0x80) == 0x80);
    rig.unit.reset(scsi::UnitAttention::device_reset);
    rig.host.settle();
    CHECK(rig.host.send({0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 0, Bytes(512)).status == 0);
    CHECK(select({0, 0, 0}).error() == 0x05'1a'00);
    CHECK(select({0, 0, 0, 0, 0x08, 18, 0}).error() == 0x05'1a'00);
    CHECK(select({0, 0, 0, 0, 0x05, 2, 0, 0}).error() == 0x05'26'00);
    CHECK(select({0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 4, 0}).error() == 0x05'26'00);  // another block length
    CHECK(select({0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0}).status == 0);
    CHECK(rig.host.send({0x15, 0x11, 0, 0, 4, 0}, 0, Bytes(4)).error() == 0x05'24'00);  // SP
    CHECK(select({}).status == 0);
}

TEST_CASE("LOG SENSE lists its pages and has each") {
    Unit unit;
    Bytes list = unit.host.send({0x4d, 0, 0x40, 0, 0, 0, 0, 1, 0, 0}, 256).data;
    CHECK(list == Bytes{0, 0, 0, 4, 0x00, 0x0d, 0x10, 0x2f});
    CHECK(unit.host.send({0x4d, 0, 0x40, 0xff, 0, 0, 0, 1, 0, 0}, 256).data ==
          Bytes{0x40, 0xff, 0, 8, 0x00, 0, 0x0d, 0, 0x10, 0, 0x2f, 0});
    CHECK(unit.host.send({0x4d, 0, 0x4d, 0, 0, 0, 0, 1, 0, 0}, 256).data ==
          Bytes{0x0d, 0, 0, 12, 0, 0, 3, 2, 0, 0xff, 0, 1, 3, 2, 0, 0xff});
    CHECK(unit.host.send({0x4d, 0, 0x6f, 0, 0, 0, 0, 1, 0, 0}, 256).data ==
          Bytes{0x2f, 0, 0, 8, 0, 0, 3, 4, 0, 0, 0xff, 0});
    Bytes tests = unit.host.send({0x4d, 0, 0x50, 0, 0, 0, 0, 2, 0, 0}, 512).data;
    CHECK(tests.size() == 4 + 20 * 20);
    CHECK(unit.host.send({0x4d, 0, 0x71, 0, 0, 0, 0, 2, 0, 0}, 512).error() == 0x05'24'00);
}

TEST_CASE("a stopped unit is NOT READY until it is started, and INQUIRY answers") {
    Unit unit;
    CHECK(unit.host.send({0x1b, 0, 0, 0, 0, 0}).status == 0);
    CHECK(unit.host.send({0, 0, 0, 0, 0, 0}).error() == 0x02'04'02);
    CHECK(unit.host.send({0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 512).error() == 0x02'04'02);
    CHECK(unit.host.send({0x12, 0, 0, 0, 96, 0}, 96).status == 0);
    CHECK(unit.host.send({0x1b, 0, 0, 0, 1, 0}).status == 0);
    CHECK(unit.host.send({0, 0, 0, 0, 0, 0}).status == 0);
    CHECK(unit.host.send({0x1b, 0, 0, 0, 2, 0}).error() == 0x05'24'00);  // a fixed disk does not eject
}

TEST_CASE("RESERVE keeps other initiators out, until RELEASE or a reset") {
    BlockRig rig(512, {.nexuses = 2});
    rig.host.nexus = 1;
    rig.host.settle();
    rig.host.nexus = 0;
    CHECK(rig.host.send({0x16, 0, 0, 0, 0, 0}).status == 0);
    CHECK(rig.host.send({0x56, 0, 0, 0, 0, 0, 0, 0, 0, 0}).status == 0);
    rig.host.nexus = 1;
    CHECK(rig.host.send({0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 512).status == 0x18);
    CHECK(rig.host.send({0x16, 0, 0, 0, 0, 0}).status == 0x18);
    CHECK(rig.host.send({0x17, 0, 0, 0, 0, 0}).status == 0);  // of one that it has not: nothing
    CHECK(rig.host.send({0x12, 0, 0, 0, 96, 0}, 96).status == 0);
    CHECK(rig.host.send({0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 512).status == 0x18);
    rig.host.nexus = 0;
    CHECK(rig.host.send({0x57, 0, 0, 0, 0, 0, 0, 0, 0, 0}).status == 0);
    rig.host.nexus = 1;
    CHECK(rig.host.send({0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 512).status == 0);
}

TEST_CASE("FORMAT UNIT and SEND DIAGNOSTIC do what can be done, and refuse the rest") {
    Unit unit;
    unit.put(0, blocks_of({5}));
    CHECK(unit.host.send({0x04, 0x18, 0, 0, 0, 0}, 0, {0, 0x82, 0, 0}).status == 0);
    CHECK(unit.get(0, 1) == blocks_of({0}));
    CHECK(unit.host.send({0x04, 0, 0, 0, 0, 0}).status == 0);
    CHECK(unit.host.send({0x04, 0x10, 0, 0, 0, 0}, 0, {0, 0x08, 0, 0}).error() == 0x05'26'00);
    CHECK(unit.host.send({0x04, 0x10, 0, 0, 0, 0}, 0, {0, 0, 0, 4}).error() == 0x05'26'00);
    CHECK(unit.host.send({0x1d, 0x04, 0, 0, 0, 0}).status == 0);
    CHECK(unit.host.send({0x1d, 0x64, 0, 0, 0, 0}).error() == 0x05'24'00);
    CHECK(unit.host.send({0x1d, 0xa0, 0, 0, 0, 0}).status == 0);
    CHECK(unit.host.send({0x1d, 0x10, 0, 0, 4, 0}, 0, Bytes(4)).error() == 0x05'24'00);
}
