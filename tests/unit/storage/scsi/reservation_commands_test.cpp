// PERSISTENT RESERVE IN and OUT between three initiators: two of one unit, one with another unit over the same medium.
// Expected bytes and outcomes are from SPC-4's tables.
#include "storage/layers/reservations_disk.hpp"
#include "tests/unit/storage/scsi/initiator.hpp"

using namespace undercroft;
using namespace undercroft::test;

namespace {

enum Action : u8 { enroll, reserve, release, clear, preempt, preempt_and_abort, enroll_anyway };
constexpr u8 write_exclusive = 1;
constexpr u8 exclusive_access = 3;
constexpr u8 write_exclusive_registrants = 5;
constexpr u8 exclusive_access_all = 8;

struct Cluster {
    Cluster() {
        for (u32 nexus : {0U, 1U}) {
            first.nexus = nexus;
            first.settle();
        }
        second.settle();
    }
    Disk disk_of(u8 host) const {
        return *Disk::create(
            ReservationsDisk::create(*Disk::create(ram), registry, {std::byte{host}, std::byte{0x77}}));
    }
    /// Host 0 and 1 are the nexuses of the first unit, 2 has the other.
    Answer send(u32 host, const Bytes& cdb, usize in = 0, const Bytes& out = {}) {
        first.nexus = host & 1;
        return (host == 2 ? second : first).send(cdb, in, out);
    }
    u8 out(u32 host, Action action, u64 key, u64 other = 0, u8 type = 0, u8 flags = 0) {
        return out_answer(host, action, key, other, type, flags).status;
    }
    Answer out_answer(u32 host, Action action, u64 key, u64 other = 0, u8 type = 0, u8 flags = 0) {
        Bytes list = with(with(with(Bytes(24), 0, 8, key), 8, 8, other), 20, 1, flags);
        return send(host, {0x5f, action, type, 0, 0, 0, 0, 0, 24, 0}, 0, list);
    }
    Bytes in(u32 host, u8 action) { return send(host, {0x5e, action, 0, 0, 0, 0, 0, 4, 0, 0}, 1024).data; }
    u8 read(u32 host) { return send(host, {0x28, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 512).status; }
    u8 write(u32 host) { return send(host, {0x2a, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 0, Bytes(512)).status; }
    u32 attention(u32 host) { return send(host, {0, 0, 0, 0, 0, 0}).error(); }

    std::shared_ptr<RamDisk> ram = *RamDisk::create({.sectors = 64, .sector_size = 512, .id = {}});
    std::shared_ptr<ReservationRegistry> registry = std::make_shared<ReservationRegistry>();
    scsi::BlockUnit unit{{.disk = disk_of(0), .identity = {.nexuses = 2}, .nexus_disks = {disk_of(0), disk_of(1)}}};
    scsi::BlockUnit other_unit{{.disk = disk_of(2)}};
    Initiator first{unit};
    Initiator second{other_unit};
};

constexpr u8 good = 0;
constexpr u8 conflict = 0x18;

}  // namespace

TEST_CASE("keys, reservation, capabilities and full status are as SPC-4 6.15 lays them out") {
    Cluster cluster;
    CHECK(cluster.in(0, 0) == Bytes{0, 0, 0, 0, 0, 0, 0, 0});
    CHECK(cluster.out(0, enroll, 0, 0x1111) == good);
    CHECK(cluster.out(2, enroll, 0, 0x2222) == good);
    CHECK(cluster.in(1, 0) ==
          Bytes{0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0x11, 0x11, 0, 0, 0, 0, 0, 0, 0x22, 0x22});
    CHECK(cluster.in(0, 1) == Bytes{0, 0, 0, 2, 0, 0, 0, 0});
    CHECK(cluster.out(2, reserve, 0x2222, 0, write_exclusive) == good);
    CHECK(cluster.in(0, 1) == Bytes{0, 0, 0, 2, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0x22, 0x22, 0, 0, 0, 0, 0, 1, 0, 0});
    CHECK(cluster.in(0, 2) == Bytes{0, 8, 0, 0x80, 0xea, 0x01, 0, 0});
    Bytes full = cluster.in(0, 3);
    REQUIRE(full.size() == 8 + 2 * 48);
    CHECK(big_endian(full, 4, 4) == 2 * 48);
    CHECK(big_endian(full, 8, 8) == 0x1111);
    CHECK(full[8 + 12] == 0);
    CHECK(big_endian(full, 56, 8) == 0x2222);
    CHECK(full[56 + 12] == 1);
    CHECK(full[56 + 13] == write_exclusive);
    CHECK(big_endian(full, 56 + 18, 2) == 1);
    CHECK(big_endian(full, 56 + 20, 4) == 24);
    CHECK(full[56 + 24] == 0x06);
    CHECK(full[56 + 28] == 2);
    CHECK(cluster.send(0, {0x5e, 3, 0, 0, 0, 0, 0, 0, 8, 0}, 1024).data.size() == 8);
}

TEST_CASE("write exclusive keeps writers out, exclusive access readers too, on every way to the medium") {
    Cluster cluster;
    CHECK(cluster.out(0, enroll, 0, 1) == good);
    CHECK(cluster.out(1, enroll, 0, 2) == good);
    CHECK(cluster.out(0, reserve, 1, 0, write_exclusive) == good);
    CHECK(cluster.write(0) == good);
    for (u32 host : {1U, 2U}) {
        CHECK(cluster.read(host) == good);
        CHECK(cluster.write(host) == conflict);
        CHECK(cluster.send(host, {0x15, 0x10, 0, 0, 0, 0}).status == conflict);  // MODE SELECT
        CHECK(cluster.send(host, {0x1a, 0, 8, 0, 255, 0}, 255).status == good);  // MODE SENSE
        CHECK(cluster.send(host, {0x1b, 0, 0, 0, 0, 0}).status == conflict);     // stop
        CHECK(cluster.send(host, {0x1b, 0, 0, 0, 1, 0}).status == good);         // start
        CHECK(cluster.send(host, {0x12, 0, 0, 0, 96, 0}, 96).status == good);
        CHECK(cluster.send(host, {0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 8).status == good);
        CHECK(cluster.send(host, {0, 0, 0, 0, 0, 0}).status == good);
        CHECK(cluster.send(host, {0x16, 0, 0, 0, 0, 0}).status == conflict);  // RESERVE (6)
    }
    CHECK(cluster.out(0, release, 1, 0, write_exclusive) == good);
    CHECK(cluster.out(0, reserve, 1, 0, exclusive_access) == good);
    CHECK(cluster.read(1) == conflict);
    CHECK(cluster.send(1, {0x1a, 0, 8, 0, 255, 0}, 255).status == conflict);
    CHECK(cluster.out(0, release, 1, 0, exclusive_access) == good);
    CHECK(cluster.out(0, reserve, 1, 0, write_exclusive_registrants) == good);
    CHECK(cluster.write(1) == good);
    CHECK(cluster.write(2) == conflict);
}

TEST_CASE("keys that are not the initiator's, and lists that are malformed, are refused") {
    Cluster cluster;
    CHECK(cluster.out(0, enroll, 5, 1) == conflict);
    CHECK(cluster.out(0, enroll, 0, 0) == good);
    CHECK(big_endian(cluster.in(0, 0), 0, 4) == 0);  // it was nothing
    CHECK(cluster.out(0, reserve, 1, 0, write_exclusive) == conflict);
    CHECK(cluster.out(0, enroll_anyway, 99, 1) == good);
    CHECK(cluster.out_answer(0, reserve, 1, 0, 2).error() == 0x05'24'00);       // no such type
    CHECK(cluster.out_answer(0, reserve, 1, 0, 0x11).error() == 0x05'24'00);    // no such scope
    CHECK(cluster.out_answer(0, enroll, 1, 1, 0, 0x08).error() == 0x05'26'00);  // SPEC_I_PT
    CHECK(cluster.out_answer(0, enroll, 1, 1, 0, 0x01).error() == 0x05'26'00);  // APTPL without a store
    CHECK(cluster.out(0, reserve, 1, 0, write_exclusive) == good);
    CHECK(cluster.out_answer(0, release, 1, 0, exclusive_access).error() == 0x05'26'04);
    CHECK(cluster.send(0, {0x5f, 0, 0, 0, 0, 0, 0, 0, 23, 0}, 0, Bytes(23)).error() == 0x05'1a'00);
    CHECK(cluster.send(0, {0x5f, 8, 0, 0, 0, 0, 0, 0, 24, 0}, 0, Bytes(24)).error() == 0x05'24'00);
    BlockRig plain;
    CHECK(plain.host.send({0x5e, 0, 0, 0, 0, 0, 0, 0, 8, 0}, 8).error() == 0x05'20'00);
}

TEST_CASE("each initiator hears what became of its registration and of the reservation, once") {
    Cluster cluster;
    for (u32 host : {0U, 1U, 2U}) {
        CHECK(cluster.out(host, enroll, 0, host + 1) == good);
    }
    CHECK(cluster.out(0, reserve, 1, 0, write_exclusive_registrants) == good);
    CHECK(cluster.read(1) == good);
    CHECK(cluster.read(2) == good);
    CHECK(cluster.out(0, release, 1, 0, write_exclusive_registrants) == good);
    CHECK(cluster.attention(0) == 0);
    CHECK(cluster.attention(1) == 0x06'2a'04);
    CHECK(cluster.attention(2) == 0x06'2a'04);
    CHECK(cluster.attention(1) == 0);
    CHECK(cluster.out(0, reserve, 1, 0, exclusive_access_all) == good);
    CHECK(cluster.read(2) == good);
    CHECK(cluster.out(0, preempt, 1, 3, write_exclusive) == good);
    CHECK(cluster.attention(2) == 0x06'2a'05);
    CHECK(cluster.attention(2) == 0);
    CHECK(cluster.attention(1) == 0);
    CHECK(cluster.out(1, clear, 2) == good);
    CHECK(cluster.attention(0) == 0x06'2a'03);
    CHECK(cluster.attention(1) == 0);
}

TEST_CASE("RESERVE and persistent reservations exclude each other") {
    Cluster cluster;
    CHECK(cluster.send(0, {0x16, 0, 0, 0, 0, 0}).status == good);
    CHECK(cluster.out(0, enroll, 0, 1) == conflict);
    CHECK(cluster.send(1, {0x5e, 0, 0, 0, 0, 0, 0, 0, 8, 0}, 8).status == conflict);
    CHECK(cluster.send(0, {0x17, 0, 0, 0, 0, 0}).status == good);
    CHECK(cluster.out(0, enroll, 0, 1) == good);
    CHECK(cluster.send(0, {0x16, 0, 0, 0, 0, 0}).status == conflict);
}

TEST_CASE("REGISTER AND MOVE hands the reservation to another host, registered or not, as SPC-4 5.13.8 says") {
    Cluster cluster;
    // The host with the first byte `to`; its address is the rest of what READ FULL STATUS shows.
    auto list = [](u64 key, u64 new_key, u8 to, u8 flags = 0) {
        Bytes bytes = with(with(Bytes(48), 0, 8, key), 8, 8, new_key);
        bytes[17] = flags;
        bytes[19] = 1;
        bytes[23] = 24;
        bytes[24] = 0x06;
        bytes[28] = to;
        bytes[29] = 0x77;
        return bytes;
    };
    const Bytes cdb{0x5f, 7, 0, 0, 0, 0, 0, 0, 48, 0};
    CHECK(cluster.send(0, cdb, 0, list(1, 9, 2)).status == conflict);  // not registered
    CHECK(cluster.out(0, enroll, 0, 1) == good);
    CHECK(cluster.send(0, cdb, 0, list(1, 9, 2)).error() == 0x05'24'00);  // nothing to move
    CHECK(cluster.out(0, reserve, 1, 0, write_exclusive) == good);
    CHECK(cluster.send(0, cdb, 0, list(5, 9, 2)).status == conflict);                        // not its key
    CHECK(cluster.send(0, cdb, 0, list(1, 0, 2)).error() == 0x05'26'00);                     // under no key
    CHECK(cluster.send(0, cdb, 0, list(1, 9, 0)).error() == 0x05'26'00);                     // to itself
    CHECK(cluster.send(0, cdb, 0, list(1, 9, 2, 0x01)).error() == 0x05'26'00);               // APTPL without a store
    CHECK(cluster.send(0, cdb, 0, with(list(1, 9, 2), 18, 2, 2)).error() == 0x05'26'00);     // no such port
    CHECK(cluster.send(0, cdb, 0, with(list(1, 9, 2), 24, 1, 0x05)).error() == 0x05'26'00);  // iSCSI
    CHECK(cluster.send(0, cdb, 0, with(list(1, 9, 2), 20, 4, 23)).error() == 0x05'26'00);
    CHECK(cluster.send(0, with(cdb, 8, 1, 24), 0, Bytes(24)).error() == 0x05'1a'00);
    CHECK(cluster.write(2) == conflict);
    u64 generation = big_endian(cluster.in(0, 0), 0, 4);
    CHECK(cluster.send(0, cdb, 0, list(1, 9, 2)).status == good);
    CHECK(big_endian(cluster.in(0, 1), 0, 4) == generation + 1);
    CHECK(big_endian(cluster.in(0, 1), 8, 8) == 9);
    CHECK(cluster.in(0, 1).at(21) == write_exclusive);
    CHECK(cluster.attention(0) == 0);
    CHECK(cluster.write(2) == good);
    CHECK(cluster.write(0) == conflict);
    CHECK(big_endian(cluster.in(0, 0), 4, 4) == 2 * 8);
    CHECK(cluster.send(0, cdb, 0, list(1, 9, 2)).status == conflict);  // no longer the holder
    // With UNREG the mover's own registration goes; a host that is registered gets the new key.
    CHECK(cluster.send(2, cdb, 0, list(9, 0x55, 0, 0x02)).status == good);
    CHECK(cluster.in(0, 0) == Bytes{0, 0, 0, static_cast<u8>(generation + 2), 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0x55});
    CHECK(cluster.attention(2) == 0);
    CHECK(cluster.write(0) == good);
    CHECK(cluster.write(2) == conflict);
    CHECK(cluster.out(0, release, 0x55, 0, write_exclusive) == good);
    CHECK(cluster.out(0, reserve, 0x55, 0, exclusive_access_all) == good);
    CHECK(cluster.send(0, cdb, 0, list(0x55, 9, 2)).status == conflict);
}

TEST_CASE("an address is that of the host it names exactly, else of the only one that has it") {
    constexpr ReservationAddress address{std::byte{7}};
    auto host = [](u8 second_half) {
        ReservationHostId id{std::byte{7}};
        id[15] = std::byte{second_half};
        return id;
    };
    constexpr ReservationHostId mover{std::byte{1}};
    ReservationRegistry registry;
    VirtualTimePlatform platform;
    Executor executor{platform};
    auto enroll_as = [&](const ReservationHostId& id) {
        REQUIRE(run_blocking(executor, registry.register_key(id, {.new_key = 1}, {})));
    };
    auto move_from = [&](const ReservationHostId& id) {
        return run_blocking(executor, registry.move(id, {.key = 1, .new_key = 9, .to = address}, {}));
    };
    auto take = [&](const ReservationHostId& id) {
        REQUIRE(run_blocking(executor, registry.reserve(id, 1, ReservationType::write_exclusive, {})));
    };
    enroll_as(mover);
    take(mover);
    enroll_as(host(1));
    SECTION("one has it") {
        CHECK(move_from(mover));
        CHECK(registry.standing(host(1)).is_holder);
    }
    SECTION("two have it") {
        enroll_as(host(2));
        DiskResult<void> moved = move_from(mover);
        REQUIRE_FALSE(moved);
        CHECK(moved.error() == DiskError::invalid_input);
        CHECK(registry.standing(mover).is_holder);
    }
    SECTION("one of those that have it is named") {
        enroll_as(host(0));
        CHECK(move_from(mover));
        CHECK(registry.standing(host(0)).is_holder);
        CHECK_FALSE(registry.standing(host(1)).is_holder);
    }
    SECTION("the mover has it, but another is named") {
        enroll_as(host(0));
        REQUIRE(run_blocking(executor, registry.release(mover, 1, ReservationType::write_exclusive, {})));
        take(host(1));
        CHECK(move_from(host(1)));
        CHECK(registry.standing(host(0)).is_holder);
    }
}
