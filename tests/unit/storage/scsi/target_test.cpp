// Units by number, those that are not there, and task management.
#include "tests/unit/storage/scsi/initiator.hpp"

using namespace undercroft;
using namespace undercroft::test;
using scsi::TaskManagement;
using scsi::TaskManagementResponse;
using scsi::UnitEvent;

namespace {

struct Listener final : scsi::UnitListener {
    void unit_event(u32 lun, UnitEvent event) override { events.emplace_back(lun, event); }
    std::vector<std::pair<u32, UnitEvent>> events;
};

struct TargetRig {
    TargetRig() {
        CurrentExecutorScope scope(host.executor);
        REQUIRE(target.add(0, make(ram)));
        REQUIRE(target.add(3, make(other)));
    }
    ~TargetRig() {
        held->released.set();
        run_blocking(host.executor, target.close());
    }
    static std::shared_ptr<RamDisk> disk() { return *RamDisk::create({.sectors = 64, .sector_size = 512, .id = {}}); }
    std::shared_ptr<scsi::BlockUnit> make(const std::shared_ptr<DiskInterface>& over) {
        return std::make_shared<scsi::BlockUnit>(
            scsi::BlockUnitConfig{.disk = *Disk::create(over), .identity = {.nexuses = 2}});
    }
    TaskManagementResponse manage(u32 lun, TaskManagement function, u32 nexus = 0, u64 tag = 0) {
        return run_blocking(host.executor, target.manage(lun, function, nexus, tag));
    }
    std::shared_ptr<RamDisk> ram = disk();
    std::shared_ptr<RamDisk> other = disk();
    std::shared_ptr<HeldDisk> held = std::make_shared<HeldDisk>(*Disk::create(disk()));
    Listener listener;
    scsi::Target target{&listener, 2};
    Initiator host{target, 0};
    Initiator missing{target, 7};
};

const Bytes read_one{0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0};
const Bytes test_unit_ready{0, 0, 0, 0, 0, 0};

}  // namespace

TEST_CASE("a LUN is decoded as SAM-5 4.7 says") {
    auto decode = [](std::array<u8, 8> address) { return scsi::decode_lun(address); };
    CHECK(decode({0, 5, 0, 0, 0, 0, 0, 0}) == 5);
    CHECK(decode({0x40, 5, 0, 0, 0, 0, 0, 0}) == 5);
    CHECK(decode({0x41, 5, 0, 0, 0, 0, 0, 0}) == 0x105);
    CHECK(decode({0xd2, 0, 0, 5, 0, 0, 0, 0}) == 5);
    CHECK(decode({0xc1, 1, 0, 0, 0, 0, 0, 0}) == scsi::report_luns_unit);
    CHECK(decode({0x01, 5, 0, 0, 0, 0, 0, 0}) == scsi::no_lun);
    CHECK(decode({0, 5, 0, 1, 0, 0, 0, 0}) == scsi::no_lun);
    CHECK(decode({0x80, 0, 0, 0, 0, 0, 0, 0}) == scsi::no_lun);
}

TEST_CASE("REPORT LUNS lists the units and, when asked, the well-known one") {
    TargetRig rig;
    Bytes units{0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0};
    CHECK(rig.host.send({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256).data == units);
    CHECK(rig.missing.send({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256).data == units);
    CHECK(rig.host.send({0xa0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256).data ==
          Bytes{0, 0, 0, 8, 0, 0, 0, 0, 0xc1, 1, 0, 0, 0, 0, 0, 0});
    CHECK(rig.host.send({0xa0, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256).data.size() == 8 + 3 * 8);
    CHECK(rig.host.send({0xa0, 0, 3, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256).error() == 0x05'24'00);
    CHECK(rig.host.send({0xa0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0}, 256).data == Bytes{0, 0, 0, 16});
}

TEST_CASE("a LUN that is not there answers as SPC-4 says") {
    TargetRig rig;
    Bytes inquiry = rig.missing.send({0x12, 0, 0, 0, 96, 0}, 96).data;
    CHECK(inquiry.at(0) == 0x7f);
    CHECK(rig.missing.send(test_unit_ready).error() == 0x05'25'00);
    CHECK(rig.missing.send(read_one, 512).error() == 0x05'25'00);
    Answer sense = rig.missing.send({0x03, 0, 0, 0, 18, 0}, 18);
    CHECK(sense.status == 0);
    CHECK(sense.data.at(2) == 5);
    CHECK(sense.data.at(12) == 0x25);
}

TEST_CASE("the first command of each initiator is told of power on, once; INQUIRY is not") {
    TargetRig rig;
    for (u32 nexus : {0U, 1U}) {
        rig.host.nexus = nexus;
        CHECK(rig.host.send({0x12, 0, 0, 0, 96, 0}, 96).status == 0);
        CHECK(rig.host.send(read_one, 512).error() == 0x06'29'01);
    }
    rig.host.settle();
    CHECK(rig.host.send(read_one, 512).status == 0);
}

TEST_CASE("a new size is a unit attention for every initiator, and an event") {
    TargetRig rig;
    rig.host.settle();
    rig.listener.events.clear();
    {
        CurrentExecutorScope scope(rig.host.executor);
        REQUIRE(rig.ram->resize(128));
        rig.host.executor.run_ready();
    }
    CHECK(rig.host.send(test_unit_ready).error() == 0x06'2a'09);
    CHECK(rig.host.send(test_unit_ready).status == 0);
    CHECK(big_endian(rig.host.send({0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8).data, 0, 4) == 127);
    REQUIRE(rig.listener.events.size() == 1);
    CHECK(rig.listener.events[0] == std::pair{0U, UnitEvent::capacity_changed});
}

TEST_CASE("units come and go under way; the others are told until they were asked for the list") {
    TargetRig rig;
    rig.host.settle();
    rig.listener.events.clear();
    {
        CurrentExecutorScope scope(rig.host.executor);
        CHECK(rig.target.add(7, rig.make(rig.held)));
        CHECK(rig.target.add(7, rig.make(rig.held)).error() == Error::busy);
        CHECK(rig.target.add(256, rig.make(rig.held)).error() == Error::out_of_range);
    }
    CHECK(rig.listener.events == std::vector<std::pair<u32, UnitEvent>>{{7, UnitEvent::added}});
    CHECK(rig.host.send(test_unit_ready).error() == 0x06'3f'0e);
    CHECK(run_blocking(rig.host.executor, rig.target.remove(7)));
    CHECK(run_blocking(rig.host.executor, rig.target.remove(7)).error() == Error::not_found);
    CHECK(rig.host.send({0xa0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0}, 256).status == 0);
    CHECK(rig.host.send(test_unit_ready).status == 0);
    CHECK(rig.missing.send(test_unit_ready).error() == 0x05'25'00);
}

TEST_CASE("a held command is found and aborted by its tag, and by a reset, and has ended by then") {
    for (TaskManagement function :
         {TaskManagement::abort_task, TaskManagement::abort_task_set, TaskManagement::clear_task_set,
          TaskManagement::logical_unit_reset, TaskManagement::target_reset, TaskManagement::i_t_nexus_reset}) {
        TargetRig rig;
        {
            CurrentExecutorScope scope(rig.host.executor);
            REQUIRE(rig.target.add(5, rig.make(rig.held)));
        }
        Initiator slow(rig.target, 5);
        CHECK(run_blocking(rig.host.executor, slow.send_task(test_unit_ready, 0, {})).status == 2);
        std::optional<Answer> answer;
        {
            CurrentExecutorScope scope(rig.host.executor);
            slow.tag = 77;
            detail::run_root(slow.send_task(read_one, 512, {}), answer);
            rig.host.executor.run_ready();
        }
        CHECK(rig.held->held == 1);
        CHECK(rig.manage(5, TaskManagement::query_task, 0, 77) == TaskManagementResponse::succeeded);
        CHECK(rig.manage(5, TaskManagement::query_task, 1, 77) == TaskManagementResponse::complete);
        CHECK(rig.manage(5, TaskManagement::abort_task, 0, 78) == TaskManagementResponse::complete);
        CHECK_FALSE(answer);
        CHECK(rig.manage(5, function, 0, 77) == TaskManagementResponse::complete);
        REQUIRE(answer);
        CHECK(rig.held->held == 0);
        bool is_reset = function == TaskManagement::logical_unit_reset || function == TaskManagement::target_reset;
        CHECK(answer->delivery == (is_reset ? scsi::Delivery::reset : scsi::Delivery::aborted));
        CHECK(answer->status == 0x40);
        CHECK(rig.manage(5, TaskManagement::query_task_set) == TaskManagementResponse::complete);
        u32 expected = function == TaskManagement::logical_unit_reset ? 0x06'29'03
                       : function == TaskManagement::target_reset     ? 0x06'29'02
                       : function == TaskManagement::i_t_nexus_reset  ? 0x06'29'07
                                                                      : 0;
        CHECK(run_blocking(rig.host.executor, slow.send_task(test_unit_ready, 0, {})).error() == expected);
    }
}

TEST_CASE("task management of a LUN that is not there, and of what does not exist") {
    TargetRig rig;
    CHECK(rig.manage(9, TaskManagement::abort_task) == TaskManagementResponse::incorrect_lun);
    CHECK(rig.manage(0, TaskManagement::clear_aca) == TaskManagementResponse::rejected);
    CHECK(rig.manage(0, TaskManagement::abort_task, 5) == TaskManagementResponse::rejected);
}

TEST_CASE("inspect shows each unit, its state and what it is at") {
    TargetRig rig;
    auto value = [&](const char* path) {
        inspect::Walk walk({.path = path}, 4096);
        return walk.run([&](inspect::Node& node) { rig.target.describe(node); }).value_or("none");
    };
    CHECK(value("units/0/state") == "\"ready\"");
    CHECK(value("units/3/kind") == "\"block\"");
    CHECK(value("units/1") == "none");
    rig.host.settle();
    CHECK(rig.host.send({0x16, 0, 0, 0, 0, 0}).status == 0);
    CHECK(rig.host.send({0x1b, 0, 0, 0, 0, 0}).status == 0);
    CHECK(value("units/0/state") == "\"stopped\"");
    CHECK(value("units/0/reserved") == "true");
    {
        CurrentExecutorScope scope(rig.host.executor);
        REQUIRE(rig.target.add(5, rig.make(rig.held)));
    }
    Initiator slow(rig.target, 5);
    CHECK(run_blocking(rig.host.executor, slow.send_task(test_unit_ready, 0, {})).status == 2);
    std::optional<Answer> answer;
    {
        CurrentExecutorScope scope(rig.host.executor);
        detail::run_root(slow.send_task(read_one, 512, {}), answer);
        rig.host.executor.run_ready();
    }
    CHECK(value("units/5/in_flight") == "1");
    rig.manage(5, TaskManagement::logical_unit_reset);
    CHECK(value("units/5/in_flight") == "0");
}
