// Media of an optical and of a floppy drive, changed as settings; what the guest is told is expected as MMC-6 has it.
#include "storage/inspect/media_changer.hpp"

#include "storage/frontends/floppy/removable_drive.hpp"
#include "storage/scsi/optical_unit.hpp"
#include "tests/unit/kernel/guest/guest_fixture.hpp"
#include "tests/unit/storage/scsi/initiator.hpp"

using namespace undercroft;
using namespace undercroft::test;

namespace {

std::vector<Disk> disks(std::initializer_list<u64> sectors) {
    std::vector<Disk> made;
    for (u64 count : sectors) {
        made.push_back(*Disk::create(*RamDisk::create({.sectors = count, .sector_size = 512, .id = {}})));
    }
    return made;
}

std::string look(MediaChanger& changer, std::string_view path) {
    inspect::Walk walk({.path = path}, 1 << 16);
    return walk.run([&](inspect::Node& node) { changer.describe(node); }).value_or("none");
}

/// What was wrong; empty where nothing was.
std::string set(MediaChanger& changer, const std::string& value) {
    inspect::Walk walk({.path = "medium", .value = &value}, 1 << 16);
    Result<std::string, std::string> done = walk.run([&](inspect::Node& node) { changer.describe(node); });
    return done ? "" : done.error();
}

const Bytes media_event{0x4a, 1, 0, 0, 0x10, 0, 0, 0, 8, 0};
const Bytes prevent{0x1e, 0, 0, 0, 1, 0};
const Bytes allow{0x1e, 0, 0, 0, 0, 0};
const Bytes eject{0x1b, 0, 0, 0, 2, 0};
const Bytes load{0x1b, 0, 0, 0, 3, 0};
const Bytes capacity{0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0};

struct OpticalRig {
    OpticalRig() { host.settle(); }
    std::vector<Disk> media = disks({4000, 8000});
    std::shared_ptr<scsi::OpticalUnit> unit = std::make_shared<scsi::OpticalUnit>(
        scsi::OpticalUnitConfig{.medium = media.front(), .identity = {.keeps_sense = true}, .is_atapi = true});
    Initiator host{*unit};
    MediaChanger changer{"drive", unit, media, 1};
};

}  // namespace

TEST_CASE("the media of an optical drive are changed from outside, and its guest is told") {
    OpticalRig rig;
    CHECK(look(rig.changer, "medium") == "\"1\"");
    CHECK(look(rig.changer, "media") == "2");
    CHECK(set(rig.changer, "2").empty());
    CHECK(look(rig.changer, "medium") == "\"2\"");
    CHECK(rig.host.send(media_event, 8).data == Bytes{0, 6, 4, 0x10, 2, 2, 0, 0});  // new media, present
    CHECK(rig.host.send(capacity, 8).error() == 0x06'28'00);
    CHECK(rig.host.send(capacity, 8).data == Bytes{0, 0, 0x07, 0xcf, 0, 0, 8, 0});
    CHECK(set(rig.changer, "eject").empty());
    CHECK(look(rig.changer, "medium") == "\"none\"");
    CHECK(rig.host.send(media_event, 8).data == Bytes{0, 6, 4, 0x10, 3, 0, 0, 0});  // removal
    CHECK(rig.host.send(capacity, 8).error() == 0x02'3a'01);
    CHECK(set(rig.changer, "eject").find("no medium") != std::string::npos);
    CHECK(set(rig.changer, "1").empty());
    CHECK(rig.host.send(capacity, 8).error() == 0x06'28'00);
    CHECK(rig.host.send(capacity, 8).data == Bytes{0, 0, 0x03, 0xe7, 0, 0, 8, 0});
}

TEST_CASE("a guest that prevents removal is asked, and overruled by force alone") {
    OpticalRig rig;
    rig.host.send(prevent);
    CHECK(look(rig.changer, "locked_by_guest") == "true");
    CHECK(set(rig.changer, "eject").find("locked") != std::string::npos);
    CHECK(rig.host.send(media_event, 8).data == Bytes{0, 6, 4, 0x10, 1, 2, 0, 0});  // somebody wants it out
    CHECK(set(rig.changer, "2").find("locked") != std::string::npos);
    CHECK(rig.host.send(capacity, 8).data == Bytes{0, 0, 0x03, 0xe7, 0, 0, 8, 0});
    CHECK(set(rig.changer, "force-eject").empty());
    CHECK(rig.host.send(capacity, 8).error() == 0x02'3a'01);
    rig.host.send(allow);
    CHECK(set(rig.changer, "2").empty());
    CHECK(set(rig.changer, "eject").empty());
}

TEST_CASE("what the guest ejects itself is seen from outside, and put back by either") {
    OpticalRig rig;
    rig.host.send(eject);
    CHECK(look(rig.changer, "medium") == "\"none\"");
    rig.host.send(load);
    CHECK(look(rig.changer, "medium") == "\"1\"");
    rig.host.send(eject);
    CHECK(set(rig.changer, "2").empty());
    CHECK(look(rig.changer, "medium") == "\"2\"");
}

TEST_CASE("what is no medium of the drive is refused with what there is") {
    OpticalRig rig;
    CHECK(set(rig.changer, "3").find("media 1 to 2") != std::string::npos);
    CHECK(set(rig.changer, "0").find("media 1 to 2") != std::string::npos);
    for (const char* nonsense : {"", "1x", "-1", "99999999999999999999999", "Eject"}) {
        CHECK(set(rig.changer, nonsense).find("no number") != std::string::npos);
    }
    CHECK(look(rig.changer, "medium") == "\"1\"");
    MediaChanger empty("empty", std::make_shared<scsi::OpticalUnit>(scsi::OpticalUnitConfig{}), {}, 0);
    CHECK(look(empty, "medium") == "\"none\"");
    CHECK(set(empty, "1").find("has no media") != std::string::npos);
}

TEST_CASE("a floppy's medium is changed from outside, and the change line says so") {
    TestTime time;
    TestMemory memory{1 * mib};
    GuestBus bus;
    struct Line : InterruptLine {
        void set_level(bool) override {}
    } line;
    floppy::DmaController dma{memory.guest()};
    floppy::Controller controller({.interrupt = line, .dma = dma, .executor = time.executor()});
    controller.add_drive(0);
    std::vector<Disk> media = disks({2880, 1440, 100});
    REQUIRE(controller.insert(0, media.front()));
    REQUIRE(controller.add_to(bus));
    MediaChanger changer("floppy-0", std::make_shared<floppy::FloppyDrive>(controller, 0), media, 1);
    auto change_line = [&] { return (in8(bus, 0x3F7) & 0x80) != 0; };
    // The line falls with the first step while a medium is in.
    auto step = [&] {
        for (u8 byte : {0x0F, 0x00, 0x01, 0x08}) {
            out8(bus, 0x3F5, byte);
        }
        in8(bus, 0x3F5);
        in8(bus, 0x3F5);
    };
    out8(bus, 0x3F2, 0x1C);
    CHECK(change_line());
    step();
    CHECK_FALSE(change_line());
    CHECK(set(changer, "2").empty());
    CHECK(change_line());
    step();
    CHECK_FALSE(change_line());
    CHECK(look(changer, "medium") == "\"2\"");
    CHECK(set(changer, "eject").empty());
    CHECK(look(changer, "medium") == "\"none\"");
    step();
    CHECK(change_line());
    CHECK(set(changer, "3").find("does not take") != std::string::npos);
    CHECK(set(changer, "1").empty());
    CHECK(look(changer, "locked_by_guest") == "false");
}
