// An optical drive by its CDBs. Expected bytes are from MMC-6's tables.
#include "storage/scsi/optical_unit.hpp"

#include <atomic>
#include <thread>

#include "tests/unit/storage/scsi/initiator.hpp"

using namespace undercroft;
using namespace undercroft::test;

namespace {

struct DriveRig {
    explicit DriveRig(u64 blocks = 1000, u32 sector_size = 512)
        : ram(*RamDisk::create({.sectors = blocks * 2048 / sector_size, .sector_size = sector_size, .id = {}})),
          disk(*Disk::create(ram)), unit({.medium = disk, .identity = {.keeps_sense = true}, .is_atapi = true}) {
        host.settle();
    }
    std::shared_ptr<RamDisk> ram;
    Disk disk;
    scsi::OpticalUnit unit;
    Initiator host{unit};
};

const Bytes test_unit_ready{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};  // twelve bytes, as ATAPI has them
const Bytes eject{0x1b, 0, 0, 0, 2, 0};
const Bytes load{0x1b, 0, 0, 0, 3, 0};
const Bytes prevent{0x1e, 0, 0, 0, 1, 0};
const Bytes allow{0x1e, 0, 0, 0, 0, 0};
const Bytes media_event{0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0};

}  // namespace

TEST_CASE("a drive reads blocks of 2048 bytes from a disk with smaller sectors") {
    for (u32 sector_size : {512U, 2048U}) {
        DriveRig rig(1000, sector_size);
        Bytes data(2048);
        for (usize at = 0; at < data.size(); ++at) {
            data[at] = static_cast<u8>(at * 5 + at / 256);
        }
        MemorySegment from{.data = reinterpret_cast<std::byte*>(data.data()), .size = data.size()};
        CHECK(run_blocking(rig.host.executor, rig.disk.write(7 * 2048 / sector_size, {&from, 1})));
        CHECK(rig.host.send({0x28, 0, 0, 0, 0, 7, 0, 0, 1, 0}, 2048).data == data);
        CHECK(rig.host.send({0xa8, 0, 0, 0, 0, 7, 0, 0, 0, 1, 0, 0}, 2048).data == data);
        CHECK(rig.host.send({0x28, 0xe0, 0, 0, 0, 7, 0, 0, 1, 0, 0, 0}, 2048).data == data);  // LUN bits of SCSI-2
        CHECK(rig.host.send({0x28, 0, 0, 0, 0x03, 0xe8, 0, 0, 1, 0}, 2048).error() == 0x05'21'00);
        CHECK(rig.host.send({0x28, 0, 0, 0, 0, 0, 0, 0, 0, 0}).status == 0);
        CHECK(rig.host.send({0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8).data == Bytes{0, 0, 0x03, 0xe7, 0, 0, 8, 0});
        CHECK(rig.host.send({0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 0, Bytes(2048)).error() == 0x05'20'00);
    }
}

TEST_CASE("INQUIRY says CD/DVD device, removable") {
    DriveRig rig;
    Bytes inquiry = rig.host.send({0x12, 0, 0, 0, 96, 0}, 96).data;
    CHECK(inquiry.at(0) == 0x05);
    CHECK(inquiry.at(1) == 0x80);
}

TEST_CASE("READ TOC: one data track and the lead-out, by address and by time, in all three formats") {
    DriveRig rig(1000);
    CHECK(rig.host.send({0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0}, 255).data ==
          Bytes{0, 18, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0, 0, 0x14, 0xaa, 0, 0, 0, 0x03, 0xe8});
    // 1000 frames and 150 of lead-in: 0 minutes, 15 seconds, 25 frames.
    CHECK(rig.host.send({0x43, 2, 0, 0, 0, 0, 0xaa, 0, 255, 0}, 255).data ==
          Bytes{0, 10, 1, 1, 0, 0x14, 0xaa, 0, 0, 0, 15, 25});
    CHECK(rig.host.send({0x43, 2, 1, 0, 0, 0, 0, 0, 255, 0}, 255).data ==
          Bytes{0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 2, 0});
    Bytes old_form{0x43, 0, 0, 0, 0, 0, 0, 0, 255, 0x40};
    CHECK(rig.host.send(old_form, 255).data == Bytes{0, 10, 1, 1, 0, 0x14, 1, 0, 0, 0, 0, 0});
    Bytes full = rig.host.send({0x43, 2, 2, 0, 0, 0, 0, 0, 255, 0}, 255).data;
    REQUIRE(full.size() == 4 + 4 * 11);
    CHECK(big_endian(full, 0, 2) == full.size() - 2);
    CHECK(Bytes(full.begin() + 26, full.begin() + 37) == Bytes{1, 0x14, 0, 0xa2, 0, 0, 0, 0, 0, 15, 25});
    CHECK(rig.host.send({0x43, 0, 0, 0, 0, 0, 2, 0, 255, 0}, 255).error() == 0x05'24'00);
    CHECK(rig.host.send({0x43, 0, 5, 0, 0, 0, 0, 0, 255, 0}, 255).error() == 0x05'24'00);
}

TEST_CASE("the profile is that of the medium's size; each feature has the length it says") {
    for (u64 blocks : {u64{1000}, u64{360'001}}) {
        DriveRig rig(blocks);
        Bytes all = rig.host.send({0x46, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 256).data;
        CHECK(big_endian(all, 0, 4) == all.size() - 4);
        CHECK(big_endian(all, 6, 2) == (blocks == 1000 ? 0x0008 : 0x0010));
        usize at = 8;
        u64 previous = 0;
        while (at < all.size()) {
            CHECK((at == 8 || big_endian(all, at, 2) > previous));
            previous = big_endian(all, at, 2);
            CHECK(all.at(at + 3) % 4 == 0);
            at += 4U + all.at(at + 3);
        }
        CHECK(at == all.size());
    }
    DriveRig rig;
    Bytes core = rig.host.send({0x46, 2, 0, 1, 0, 0, 0, 1, 0, 0}, 256).data;
    CHECK(core.size() == 20);
    CHECK(big_endian(core, 12, 4) == 2);  // ATAPI
    CHECK(rig.host.send({0x46, 2, 0x12, 0x34, 0, 0, 0, 1, 0, 0}, 256).data.size() == 8);
}

TEST_CASE("a guest ejects and loads, unless it is prevented") {
    DriveRig rig;
    CHECK(rig.host.send(prevent).status == 0);
    CHECK(rig.host.send(eject).error() == 0x05'53'02);
    CHECK(rig.unit.remove().error() == Error::busy);
    CHECK(rig.host.send(media_event, 8).data == Bytes{0, 6, 4, 0x10, 1, 2, 0, 0});  // somebody wants it out
    CHECK(rig.host.send(allow).status == 0);
    CHECK(rig.host.send(eject).status == 0);
    CHECK_FALSE(rig.unit.has_medium());
    CHECK(rig.host.send(test_unit_ready).error() == 0x02'3a'02);
    CHECK(rig.host.send({0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 2048).error() == 0x02'3a'02);
    CHECK(rig.host.send(media_event, 8).data == Bytes{0, 6, 4, 0x10, 3, 1, 0, 0});
    CHECK(rig.host.send({0xbd, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0, 0}, 8).data == Bytes{0, 0x10, 0, 0, 0, 0, 0, 0});
    CHECK(rig.host.send(load).status == 0);
    CHECK(rig.host.send(test_unit_ready).error() == 0x06'28'00);
    CHECK(rig.host.send(test_unit_ready).status == 0);
}

TEST_CASE("media change from outside: the guest is told, and what it asks in between is NOT READY") {
    DriveRig rig(1000);
    CHECK(rig.unit.remove());
    CHECK(rig.unit.remove().error() == Error::not_found);
    CHECK(rig.host.send(test_unit_ready).error() == 0x02'3a'01);
    CHECK(big_endian(rig.host.send({0x46, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 256).data, 6, 2) == 0);
    auto other = *Disk::create(*RamDisk::create({.sectors = 500, .sector_size = 2048, .id = {}}));
    CHECK(rig.unit.insert(other));
    CHECK(rig.host.send(test_unit_ready).error() == 0x06'28'00);
    CHECK(big_endian(rig.host.send({0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8).data, 0, 4) == 499);
    CHECK(rig.host.send(media_event, 8).data == Bytes{0, 6, 4, 0x10, 2, 2, 0, 0});
    CHECK(rig.host.send(media_event, 8).data == Bytes{0, 6, 4, 0x10, 0, 2, 0, 0});
    auto large = *Disk::create(*RamDisk::create({.sectors = 500, .sector_size = 4096, .id = {}}));
    CHECK(rig.unit.insert(large).error() == Error::invalid_argument);
}

TEST_CASE("whoever comes first, of two that move the medium: the unit is ready where there is one, and only there") {
    constexpr u32 rounds = 300;
    DriveRig rig;
    std::atomic<u32> round{0};
    std::atomic<u32> inserted{0};
    std::thread other([&] {
        for (u32 now = 1; now <= rounds; ++now) {
            while (round.load() < now) {
                std::this_thread::yield();
            }
            (void)rig.unit.insert(rig.disk);
            inserted = now;
        }
    });
    u32 wrong = 0;
    for (u32 now = 1; now <= rounds; ++now) {
        round = now;
        while (inserted.load() < now) {
            (void)rig.unit.remove_by_force();
        }
        rig.host.settle();
        bool is_ready = rig.host.send(test_unit_ready).status == 0;
        wrong += is_ready == rig.unit.has_medium() ? 0U : 1U;
    }
    other.join();
    CHECK(wrong == 0);
}

TEST_CASE("without autosense, the sense of a command waits for REQUEST SENSE, once") {
    DriveRig rig;
    CHECK(rig.host.send({0x28, 0, 0x7f, 0, 0, 0, 0, 0, 1, 0}, 2048).error() == 0x05'21'00);
    Bytes sense = rig.host.send({0x03, 0, 0, 0, 18, 0}, 18).data;
    CHECK(sense.at(2) == 5);
    CHECK(sense.at(12) == 0x21);
    CHECK(rig.host.send({0x03, 0, 0, 0, 18, 0}, 18).data.at(2) == 0);
    (void)rig.host.send({0x28, 0, 0x7f, 0, 0, 0, 0, 0, 1, 0}, 2048);
    CHECK(rig.host.send(test_unit_ready).status == 0);  // forgets it
    CHECK(rig.host.send({0x03, 0, 0, 0, 18, 0}, 18).data.at(2) == 0);
}

TEST_CASE("mode pages of a drive: those of MMC, nothing changeable, the lock as PREVENT left it") {
    DriveRig rig;
    Bytes all = rig.host.send({0x5a, 0, 0x3f, 0, 0, 0, 0, 1, 0, 0}, 256).data;
    CHECK(big_endian(all, 0, 2) == all.size() - 2);
    CHECK(big_endian(all, 6, 2) == 0);
    Bytes codes;
    for (usize at = 8; at < all.size(); at += 2U + all.at(at + 1)) {
        codes.push_back(all.at(at));
    }
    CHECK(codes == Bytes{0x01, 0x1a, 0x1d, 0x2a});
    auto lock = [&] { return rig.host.send({0x5a, 0, 0x2a, 0, 0, 0, 0, 1, 0, 0}, 256).data.at(8 + 6) & 2; };
    CHECK(lock() == 0);
    CHECK(rig.host.send(prevent).status == 0);
    CHECK(lock() == 2);
    CHECK(rig.host.send({0x5a, 0, 0xea, 0, 0, 0, 0, 1, 0, 0}, 256).error() == 0x05'39'00);
}

TEST_CASE("disc, track and structure information") {
    DriveRig rig(1000);
    Bytes disc = rig.host.send({0x51, 0, 0, 0, 0, 0, 0, 0, 64, 0}, 64).data;
    CHECK(disc.size() == 34);
    CHECK(big_endian(disc, 0, 2) == 32);
    CHECK((disc.at(2) & 0x0f) == 0x0e);
    Bytes track = rig.host.send({0x52, 1, 0, 0, 0, 1, 0, 0, 64, 0}, 64).data;
    CHECK(track.size() == 36);
    CHECK(big_endian(track, 24, 4) == 1000);
    CHECK(rig.host.send({0x52, 1, 0, 0, 0, 2, 0, 0, 64, 0}, 64).error() == 0x05'24'00);
    CHECK(rig.host.send({0xad, 0, 0, 0, 0, 0, 0, 0, 8, 8, 0, 0}, 2056).error() == 0x05'30'02);
    DriveRig dvd(400'000);
    Bytes structure = dvd.host.send({0xad, 0, 0, 0, 0, 0, 0, 0, 8, 8, 0, 0}, 2056).data;
    CHECK(structure.size() == 2052);
    CHECK(big_endian(structure, 0, 2) == 2050);
    CHECK(big_endian(structure, 12, 4) == 0x30000 + 400'000 - 1);
    Bytes performance = rig.host.send({0xac, 0x10, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0}, 24).data;
    CHECK(performance.size() == 24);
    CHECK(big_endian(performance, 16, 4) == 999);
    CHECK(rig.host.send({0xb6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 28, 0}, 0, Bytes(28)).status == 0);
}
