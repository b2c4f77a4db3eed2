// The virtio SCSI host: commands, task management and events, from chain to chain.
#include "storage/frontends/virtio/scsi_device.hpp"

#include <catch2/catch.hpp>

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/scsi/block_unit.hpp"
#include "tests/unit/storage/frontends/virtio/virtio_driver.hpp"

using namespace undercroft;
using namespace undercroft::virtio;

namespace {

constexpr u64 request_at = FakeDriver::data_at;
constexpr u64 response_at = 0x9000;
constexpr u64 data_at = 0x10000;
constexpr u32 response_bytes = sizeof(ScsiCommandResponse) + scsi_sense_bytes_default;

struct Rig {
    Rig() {
        CurrentExecutorScope scope(executor);
        device.accept_features(feature_scsi_hotplug | feature_scsi_change);
        REQUIRE(device.target().add(
            0, std::make_shared<scsi::BlockUnit>(scsi::BlockUnitConfig{.disk = *Disk::create(ram)})));
        executor.run_ready();
        take_all_events();
        command({0}, 0, 0);  // the unit attention of power on
    }
    ~Rig() {
        CurrentExecutorScope scope(executor);
        cancel.cancel();
        executor.run_ready();
        run_blocking(executor, device.close());
    }
    /// Starts what is in the ring of a queue.
    void start(u16 queue) {
        CurrentExecutorScope scope(executor);
        Chain chain;
        while (*ring.take(chain)) {
            running.spawn(one(queue, chain));
        }
        executor.run_ready();
    }
    Task<void> one(u16 queue, Chain chain) {
        Result<u32> written = co_await device.process(queue, chain, cancel.token());
        if (written) {
            ring.complete(chain, *written);
        } else {
            error = written.error();
        }
    }
    /// One command with `out` and `in` bytes of data; the answer.
    ScsiCommandResponse command(std::vector<u8> cdb, u32 out, u32 in, ScsiLun lun = {.bytes = {1, 0, 0x40, 0}}) {
        ScsiCommand header{.lun = lun, .tag = ++tag};
        driver.put(request_at, header);
        std::memset(driver.at(request_at + sizeof(header)), 0, scsi_cdb_bytes_default);
        std::memcpy(driver.at(request_at + sizeof(header)), cdb.data(), cdb.size());
        std::vector<FakeDriver::Buffer> buffers{{request_at, sizeof(header) + scsi_cdb_bytes_default, false}};
        if (out > 0) {
            buffers.push_back({data_at, out, false});
        }
        buffers.push_back({response_at, response_bytes, true});
        if (in > 0) {
            buffers.push_back({data_at, in, true});
        }
        driver.add(buffers);
        start(scsi_first_request_queue);
        std::optional<std::pair<u16, u32>> done = driver.completed();
        REQUIRE(done);
        written = done->second;
        return driver.get<ScsiCommandResponse>(response_at);
    }
    ScsiResponse manage(u32 function, ScsiLun lun) {
        driver.put(request_at, ScsiTaskManagement{.type = 0U, .function = function, .lun = lun, .tag = 1ULL});
        driver.add({{request_at, sizeof(ScsiTaskManagement), false}, {response_at, 1, true}});
        start(scsi_control_queue);
        REQUIRE(driver.completed());
        return driver.get<ScsiResponse>(response_at);
    }
    /// Gives the device room for one event.
    void offer_event() {
        driver.add({{response_at, sizeof(ScsiEvent), true}});
        start(scsi_event_queue);
    }
    std::optional<ScsiEvent> event() {
        CurrentExecutorScope scope(executor);
        executor.run_ready();
        return driver.completed() ? std::optional(driver.get<ScsiEvent>(response_at)) : std::nullopt;
    }
    void take_all_events() {
        for (offer_event(); event(); offer_event()) {
        }
        cancel_events();
    }
    void cancel_events() {
        cancel.cancel();
        executor.run_ready();
        std::destroy_at(&cancel);
        std::construct_at(&cancel);
    }

    VirtualTimePlatform platform;
    Executor executor{platform};
    std::shared_ptr<RamDisk> ram = *RamDisk::create({.sectors = 2048, .id = {}});
    FakeDriver driver{16, false};
    Queue ring = driver.make_queue();
    CancelSource cancel;
    TaskGroup running;
    ScsiDevice device{2};
    std::optional<Error> error;
    u32 written = 0;
    u64 tag = 0;
};

constexpr ScsiLun first_unit{.bytes = {1, 0, 0x40, 0}};

}  // namespace

TEST_CASE("a SCSI host says what it has", "[virtio]") {
    Rig rig;
    ScsiConfig config;
    rig.device.read_configuration(0, std::as_writable_bytes(std::span(&config, 1)));
    CHECK(config.request_queues == 2);
    CHECK(config.cdb_bytes == scsi_cdb_bytes_default);
    CHECK(config.lun_max == 255);
    CHECK(rig.device.queue_count() == 4);
    Le<u32> cdb = 16U;
    rig.device.write_configuration(offsetof(ScsiConfig, cdb_bytes), std::as_bytes(std::span(&cdb, 1)));
    rig.device.read_configuration(0, std::as_writable_bytes(std::span(&config, 1)));
    CHECK(config.cdb_bytes == 16);
    cdb = 5000U;
    rig.device.write_configuration(offsetof(ScsiConfig, cdb_bytes), std::as_bytes(std::span(&cdb, 1)));
    rig.device.reset();
    rig.device.read_configuration(0, std::as_writable_bytes(std::span(&config, 1)));
    CHECK(config.cdb_bytes == scsi_cdb_bytes_default);
}

TEST_CASE("commands reach their unit, and data go both ways", "[virtio]") {
    Rig rig;
    std::memset(rig.driver.at(data_at), 0x5a, 1024);
    ScsiCommandResponse written = rig.command({0x2a, 0, 0, 0, 0, 8, 0, 0, 2, 0}, 1024, 0);
    CHECK(written.response == ScsiResponse::ok);
    CHECK(written.status == 0);
    CHECK(rig.written == sizeof(ScsiCommandResponse));
    std::memset(rig.driver.at(data_at), 0, 1024);
    std::memset(rig.driver.at(response_at), 0xee, response_bytes);
    ScsiCommandResponse read = rig.command({0x28, 0, 0, 0, 0, 8, 0, 0, 2, 0}, 0, 1024);
    CHECK(read.status == 0);
    CHECK(rig.written == response_bytes + 1024);
    CHECK(rig.driver.get<u8>(data_at + 1023) == 0x5a);
    // What is counted as written has been written.
    for (u64 at = sizeof(ScsiCommandResponse); at < response_bytes; ++at) {
        CHECK(rig.driver.get<u8>(response_at + at) == 0);
    }
    ScsiCommandResponse inquiry = rig.command({0x12, 0, 0, 0, 96, 0}, 0, 255);
    CHECK(inquiry.status == 0);
    CHECK(inquiry.residual >= 255 - 96);
    CHECK(std::memcmp(rig.driver.at(data_at + 8), "UNDRCRFT", 8) == 0);
}

TEST_CASE("what goes wrong comes with sense, or with a response of its own", "[virtio]") {
    Rig rig;
    ScsiCommandResponse past_end = rig.command({0x28, 0, 0, 1, 0, 0, 0, 0, 1, 0}, 0, 512);
    CHECK(past_end.response == ScsiResponse::ok);
    CHECK(past_end.status == 2);
    CHECK(past_end.sense_length >= 14);
    CHECK(rig.written == sizeof(ScsiCommandResponse) + past_end.sense_length);
    CHECK(rig.driver.get<u8>(response_at + sizeof(ScsiCommandResponse) + 12) == 0x21);
    ScsiCommandResponse missing = rig.command({0x00}, 0, 0, {.bytes = {1, 0, 0x40, 9}});
    CHECK(missing.status == 2);
    CHECK(rig.driver.get<u8>(response_at + sizeof(ScsiCommandResponse) + 12) == 0x25);
    CHECK(rig.command({0x00}, 0, 0, {.bytes = {1, 3, 0x40, 0}}).response == ScsiResponse::bad_target);
    CHECK(rig.written == sizeof(ScsiCommandResponse));
    CHECK(rig.command({0x28, 0, 0, 0, 0, 0, 0, 0, 4, 0}, 0, 512).response == ScsiResponse::overrun);
}

TEST_CASE("task management is answered", "[virtio]") {
    Rig rig;
    CHECK(rig.manage(5, first_unit) == ScsiResponse::ok);  // LOGICAL UNIT RESET
    CHECK(rig.command({0}, 0, 0).status == 2);             // the unit attention of that
    CHECK(rig.command({0}, 0, 0).status == 0);
    CHECK(rig.manage(6, first_unit) == ScsiResponse::ok);  // QUERY TASK: there is none
    CHECK(rig.manage(0, {.bytes = {1, 0, 0x40, 7}}) == ScsiResponse::incorrect_lun);
    CHECK(rig.manage(0, {.bytes = {1, 1, 0x40, 0}}) == ScsiResponse::bad_target);
    CHECK(rig.manage(99, first_unit) == ScsiResponse::function_rejected);
    rig.driver.put(request_at, ScsiNotifications{.type = 2U, .lun = first_unit, .wanted = 4U});
    rig.driver.add({{request_at, sizeof(ScsiNotifications), false}, {response_at, 5, true}});
    rig.start(scsi_control_queue);
    CHECK(rig.driver.completed());
    CHECK(rig.driver.get<ScsiNotificationsResponse>(response_at).got == 0);
}

TEST_CASE("a new size and units that come and go are events", "[virtio]") {
    Rig rig;
    rig.offer_event();
    CHECK_FALSE(rig.event());
    REQUIRE(rig.ram->resize(4096));
    std::optional<ScsiEvent> grown = rig.event();
    REQUIRE(grown);
    CHECK(grown->event == scsi_event_parameter_change);
    CHECK(grown->reason == (0x2a | 0x09 << 8));
    constexpr ScsiLun as_linux_looks_for_it{.bytes = {1, 0, 0, 0}};
    CHECK(std::memcmp(grown->lun.bytes, as_linux_looks_for_it.bytes, 8) == 0);
    // What nobody has given room for waits.
    {
        CurrentExecutorScope scope(rig.executor);
        REQUIRE(rig.device.target().add(
            3, std::make_shared<scsi::BlockUnit>(scsi::BlockUnitConfig{.disk = *Disk::create(rig.ram)})));
        REQUIRE(run_blocking(rig.executor, rig.device.target().remove(3)));
    }
    rig.offer_event();
    std::optional<ScsiEvent> added = rig.event();
    REQUIRE(added);
    CHECK((added->event == scsi_event_transport_reset && added->reason == scsi_reset_rescan));
    CHECK(added->lun.bytes[3] == 3);
    rig.offer_event();
    std::optional<ScsiEvent> removed = rig.event();
    REQUIRE(removed);
    CHECK((removed->event == scsi_event_transport_reset && removed->reason == scsi_reset_removed));
}

TEST_CASE("requests that are no requests break their queue", "[virtio]") {
    for (u16 queue : {scsi_control_queue, scsi_event_queue, scsi_first_request_queue}) {
        Rig rig;
        rig.driver.add({{request_at, 3, false}, {response_at, 3, true}});
        rig.start(queue);
        CHECK(rig.error == Error::malformed);
    }
    Rig rig;
    rig.offer_event();
    rig.cancel_events();
    CHECK(rig.error == Error::cancelled);
}

TEST_CASE("a reset of the device forgets what its driver reserved, prevented and set", "[virtio]") {
    // The next driver is another one (a kernel after its boot loader): a RESERVE of the last must not keep it out.
    Rig rig;
    constexpr u8 good = 0;
    CHECK(rig.command({0x16, 0, 0, 0, 0, 0}, 0, 0).status == good);  // RESERVE (6)
    CHECK(rig.command({0x1e, 0, 0, 0, 1, 0}, 0, 0).status == good);  // PREVENT
    const u8 cache_off[24] = {0, 0, 0, 0, 0x08, 18};
    std::memcpy(rig.driver.at(data_at), cache_off, sizeof(cache_off));
    CHECK(rig.command({0x15, 0x10, 0, 0, 24, 0}, 24, 0).status == good);  // MODE SELECT (6)
    CHECK(rig.command({0x1a, 0x08, 0x08, 0, 255, 0}, 0, 255).status == good);
    CHECK((*rig.driver.at(data_at + 4 + 2) & std::byte{0x04}) == std::byte{0});
    rig.device.reset();
    CHECK(rig.command({0}, 0, 0).status == 2);  // told of the reset
    CHECK(rig.driver.get<u8>(response_at + sizeof(ScsiCommandResponse) + 12) == 0x29);
    CHECK(rig.command({0x1a, 0x08, 0x08, 0, 255, 0}, 0, 255).status == good);
    CHECK((*rig.driver.at(data_at + 4 + 2) & std::byte{0x04}) != std::byte{0});
}
