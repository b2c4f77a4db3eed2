// A vhost-user session against frontends of every kind: one that works, one that takes its memory away, and those that
// make no sense.
#include "hostsim/servers/vhost_user/session.hpp"

#include <catch2/catch.hpp>
#include <thread>

#include "hostsim/platform/executor_threads.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/frontends/virtio/block_device.hpp"
#include "tests/support/vhost_frontend.hpp"
#include "tests/unit/storage/frontends/virtio/virtio_driver.hpp"

using namespace undercroft;
using namespace undercroft::vhost_user;
using virtio::FakeDriver;

namespace {

constexpr u64 user_base = 0x7000'0000'0000;
constexpr u16 ring_size = 8;
constexpr u64 status_at = 0x9000;
constexpr u64 buffer_at = 0x10000;

Task<bool> serve(Session& session, CancelToken cancel) {
    co_await session.serve(cancel);
    co_return true;
}

/// A server of a RAM disk, and a guest whose frontend is driven from a thread of its own.
struct Rig {
    /// Runs a session while `frontend_part` runs; false where it said so.
    bool with_session(auto&& frontend_part) {
        Frontend frontend;
        Session session(frontend.take_server_end(), device, &record);
        bool result = false;
        std::thread thread([&] {
            result = frontend_part(frontend);
            frontend.end();
        });
        threads->run(serve(session, {}));
        thread.join();
        return result;
    }
    /// Everything up to a running ring.
    bool start(Frontend& frontend, FakeDriver& driver, u64 features, u16 base = 0) const {
        bool fine = frontend.ask<u64>(Message::get_features).has_value() &&
                    frontend.send(Message::set_features, features | virtio::feature_version_1 | feature_protocol) &&
                    frontend.send(Message::set_protocol_features, protocol_queues | protocol_inflight);
        MemoryTableMessage table;
        table.region = {
            .guest_address = 0, .size_bytes = FakeDriver::memory_bytes, .user_address = user_base, .map_offset = 0};
        RingAddresses places{.index = 0,
                             .flags = 0,
                             .descriptors = user_base + driver.setup_.descriptors,
                             .used = user_base + driver.setup_.device_area,
                             .available = user_base + driver.setup_.driver_area,
                             .log = 0};
        u32 start = (features & virtio::feature_packed) != 0 ? 0x8000'8000U : base;
        return fine && frontend.send(Message::set_memory_table, table, {memory.file()}) &&
               frontend.send(Message::set_ring_size, RingState{.index = 0, .value = ring_size}) &&
               frontend.send(Message::set_ring_base, RingState{.index = 0, .value = start}) &&
               frontend.send(Message::set_ring_addresses, places) &&
               frontend.send(Message::set_ring_call, u64{0}, {call.get()}) &&
               frontend.send(Message::set_ring_kick, u64{0}, {kick.get()}) &&
               frontend.send(Message::set_ring_enable, RingState{.index = 0, .value = 1});
    }
    void add_read(FakeDriver& driver, u64 sector = 0) const {
        add_read_silently(driver, sector);
        u64 one = 1;
        REQUIRE(write(kick.get(), &one, sizeof(one)) == sizeof(one));
    }
    void add_read_silently(FakeDriver& driver, u64 sector = 0) const {
        driver.put(FakeDriver::data_at, virtio::BlockRequestHeader{.type = 0, .reserved = 0, .sector = sector});
        driver.put(status_at, u8{0xee});
        driver.add({{FakeDriver::data_at, 16, false}, {buffer_at, 512, true}, {status_at, 1, true}});
    }
    bool was_called() const {
        u64 count = 0;
        return read(call.get(), &count, sizeof(count)) == sizeof(count);  // waits
    }

    inspect::KindTotals totals(inspect::IoKind kind) const {
        inspect::IoTotals all;
        record.activity.add_to(all);
        return all.kinds[static_cast<usize>(kind)];
    }

    DeviceRecord record;
    std::unique_ptr<ExecutorThreads> threads = std::move(*ExecutorThreads::create(1));
    SharedMemory memory{FakeDriver::memory_bytes};
    Descriptor kick{eventfd(0, EFD_NONBLOCK)};
    Descriptor call{eventfd(0, 0)};
    virtio::BlockDevice device{*Disk::create(*RamDisk::create({.sectors = 2048, .id = {}})),
                               {.serial = "x", .queues = 2}};
};

}  // namespace

TEST_CASE("a frontend's requests are carried out on both kinds of ring", "[vhost]") {
    for (bool packed : {false, true}) {
        Rig rig;
        FakeDriver driver(rig.memory.data(), ring_size, packed);
        CHECK(rig.with_session([&](Frontend& frontend) {
            bool fine = rig.start(frontend, driver, packed ? virtio::feature_packed : 0);
            for (int count = 0; fine && count < 20; ++count) {
                rig.add_read(driver);
                fine = rig.was_called() && driver.completed() && driver.get<u8>(status_at) == 0;
            }
            return fine && frontend.send(Message::get_ring_base, RingState{.index = 0, .value = 0}) &&
                   frontend.received<RingState>().has_value();
        }));
    }
}

TEST_CASE("while its thread looks out for work, a ring is served without being told", "[vhost]") {
    for (bool packed : {false, true}) {
        Rig rig;
        rig.threads->ring(0).set_spin_ns(5 * nanoseconds_per_second);  // far longer than the test
        FakeDriver driver(rig.memory.data(), ring_size, packed);
        CHECK(rig.with_session([&](Frontend& frontend) {
            bool fine = rig.start(frontend, driver, packed ? virtio::feature_packed : 0);
            rig.add_read(driver);
            fine = fine && rig.was_called() && driver.completed();
            for (int count = 0; fine && count < 20; ++count) {
                rig.add_read_silently(driver);
                fine =
                    !driver.should_notify() && rig.was_called() && driver.completed() && driver.get<u8>(status_at) == 0;
            }
            return fine;
        }));
    }
}

TEST_CASE("a ring's requests are counted, while that is wanted", "[vhost]") {
    Rig rig;
    FakeDriver driver(rig.memory.data(), ring_size, false);
    CHECK(rig.with_session([&](Frontend& frontend) {
        bool fine = rig.start(frontend, driver, 0);
        for (u64 sector : {0U, 5U, 1U << 20}) {  // the last lies behind the end
            rig.add_read(driver, sector);
            fine = fine && rig.was_called() && driver.completed();
        }
        rig.record.is_counting = false;
        rig.add_read(driver);
        return fine && rig.was_called() && driver.completed();
    }));
    inspect::KindTotals reads = rig.totals(inspect::IoKind::read);
    CHECK(reads.ended() == 3);
    CHECK(reads.bytes == 3 * 512);
    CHECK(reads.failures == 1);
    CHECK(rig.totals(inspect::IoKind::write).ended() == 0);
    CHECK(rig.record.activity.in_flight() == 0);
}

TEST_CASE("in-flight memory is given for both kinds of ring, and taken back", "[vhost]") {
    for (bool packed : {false, true}) {
        Rig rig;
        FakeDriver driver(rig.memory.data(), ring_size, packed);
        Descriptor file;
        Inflight layout{.map_bytes = 0, .map_offset = 0, .queues = 2, .queue_size = ring_size};
        u64 features = packed ? virtio::feature_packed : 0;
        CHECK(rig.with_session([&](Frontend& frontend) {
            frontend.send(Message::get_inflight, layout);
            std::optional<std::vector<std::byte>> reply = frontend.receive(&file);
            if (!reply || reply->size() < sizeof(layout) || !file.is_valid()) {
                return false;
            }
            memcpy(&layout, reply->data(), sizeof(layout));
            bool fine = layout.map_bytes > 0 && frontend.send(Message::set_inflight, layout, {file.get()}) &&
                        rig.start(frontend, driver, features);
            rig.add_read(driver);
            return fine && rig.was_called() && driver.completed().has_value();
        }));
        // The next server goes on from there, although it is told to begin anywhere.
        CHECK(rig.with_session([&](Frontend& frontend) {
            bool fine =
                frontend.send(Message::set_inflight, layout, {file.get()}) && rig.start(frontend, driver, features, 17);
            rig.add_read(driver);
            return fine && rig.was_called() && driver.completed() && driver.get<u8>(status_at) == 0;
        }));
    }
}

TEST_CASE("a frontend that takes its memory away loses its connection, and nobody else does", "[vhost]") {
    {
        Rig rig;
        FakeDriver driver(rig.memory.data(), ring_size, false);
        CHECK(rig.with_session([&](Frontend& frontend) {
            bool fine = rig.start(frontend, driver, 0);
            rig.add_read(driver);
            fine = fine && rig.was_called();
            // Our own mapping is not touched after this.
            fine = fine && ftruncate(rig.memory.file(), 0) == 0;
            u64 one = 1;
            fine = fine && write(rig.kick.get(), &one, sizeof(one)) == sizeof(one);
            return fine && !frontend.receive();  // the end
        }));
    }
    Rig rig;
    FakeDriver driver(rig.memory.data(), ring_size, false);
    CHECK(rig.with_session([&](Frontend& frontend) {
        bool fine = rig.start(frontend, driver, 0);
        rig.add_read(driver);
        return fine && rig.was_called() && driver.completed().has_value();
    }));
}

TEST_CASE("messages that make no sense end the session", "[vhost]") {
    auto ends = [](auto&& say) {
        Rig rig;
        return rig.with_session([&](Frontend& frontend) {
            say(frontend, rig);
            frontend.end_writing();
            return true;
        });
    };
    constexpr RingState far{.index = 99, .value = 1};
    for (Message message : {Message::set_ring_size, Message::set_ring_base, Message::get_ring_base,
                            Message::set_ring_enable, Message::set_ring_addresses, Message::set_memory_table}) {
        CHECK(ends([&](Frontend& frontend, Rig&) { frontend.send(message, far); }));
        CHECK(ends([&](Frontend& frontend, Rig&) { frontend.send(static_cast<u32>(message), {}); }));
    }
    CHECK(ends([](Frontend& frontend, Rig&) { frontend.send(77, {}); }));
    CHECK(ends([](Frontend& frontend, Rig&) { frontend.send(1, {}, {}, flag_version, 100'000); }));
    CHECK(ends([](Frontend& frontend, Rig&) { frontend.send(1, {}, {}, 0); }));
    CHECK(ends([](Frontend& frontend, Rig&) { frontend.send(Message::set_features, ~u64{0}); }));
    CHECK(ends([](Frontend& frontend, Rig& rig) {  // larger than the file
        MemoryTableMessage table;
        table.region = {.guest_address = 0, .size_bytes = gib, .user_address = user_base, .map_offset = 0};
        frontend.send(Message::set_memory_table, table, {rig.memory.file()});
    }));
    CHECK(ends([](Frontend& frontend, Rig& rig) {  // overflow
        MemoryTableMessage table;
        table.region = {
            .guest_address = ~u64{0xfff}, .size_bytes = 0x2000, .user_address = ~u64{0xfff}, .map_offset = ~u64{0}};
        frontend.send(Message::set_memory_table, table, {rig.memory.file()});
    }));
    CHECK(ends([](Frontend& frontend, Rig& rig) {  // in-flight memory that is too small
        Inflight layout{.map_bytes = ~u64{63}, .map_offset = 4096, .queues = 2, .queue_size = 32768};
        frontend.send(Message::set_inflight, layout, {rig.memory.file()});
    }));
    CHECK(ends([](Frontend& frontend, Rig& rig) {  // more descriptors than any message has
        int files[12];
        std::ranges::fill(files, rig.memory.file());
        frontend.send(1, {}, files);
    }));
}
