// Several hosts and one medium: what each type of reservation refuses, and who may take it from whom.
#include "storage/layers/reservations_disk.hpp"

#include <catch2/catch.hpp>

#include "hostsim/platform/virtual_platform.hpp"
#include "kernel/async/task_group.hpp"
#include "storage/backends/ram_disk.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft {
namespace {

using enum ReservationType;

/// Keeps what it is given, as a disk of the host would; fails when told to.
class FakeStore final : public ReservationStore {
public:
    std::optional<ReservationState> saved;
    std::optional<DiskError> error;
    Task<DiskResult<void>> save(ReservationState state, CancelToken) override {
        if (error) {
            return Task<DiskResult<void>>::ready(fail(*error));
        }
        if (!saved || saved->version < state.version) {
            saved = state;
        }
        return Task<DiskResult<void>>::ready({});
    }
};

/// Three hosts, of which the first two are registered under 1 and 2.
struct Hosts {
    explicit Hosts(ReservationStore* store = nullptr, const ReservationState& before = {})
        : registry(std::make_shared<ReservationRegistry>(store, before)) {
        auto ram = RamDisk::create({.sectors = 64, .sector_size = 512, .id = {}}).value();
        held = std::make_shared<test::HeldDisk>(Disk::create(ram).value());
        held->released.set();
        for (u8 index = 0; index < 3; ++index) {
            auto host = ReservationsDisk::create(Disk::create(held).value(), registry, {std::byte{index}});
            disks.push_back(Disk::create(host).value());
        }
    }
    void register_two() {
        REQUIRE(change(0, [](auto& r) { return r.register_key({.new_key = 1}, {}); }) == std::nullopt);
        REQUIRE(change(1, [](auto& r) { return r.register_key({.new_key = 2}, {}); }) == std::nullopt);
    }
    template <typename Change>
    std::optional<DiskError> change(usize host, Change make) {
        DiskResult<void> result = processors.run(make(*disks[host].reservations()));
        return result ? std::nullopt : std::optional(result.error());
    }
    ReservationReport report(std::span<Registrant> registrants = {}) {
        return processors.run(disks[0].reservations()->report(registrants, {})).value();
    }
    bool can_read(usize host) {
        DiskResult<void> result = processors.run(disks[host].read(0, {&segment, 1}));
        CHECK((result || result.error() == DiskError::reservation_conflict));
        CHECK(processors.run(disks[host].compare(0, {&segment, 1})).has_value() == result.has_value());
        CHECK(processors.run(disks[host].block_status({.start = 0, .count = 1})).has_value() == result.has_value());
        return result.has_value();
    }
    bool can_write(usize host) {
        DiskResult<void> result = processors.run(disks[host].write(0, {&segment, 1}));
        CHECK((result || result.error() == DiskError::reservation_conflict));
        bool can = result.has_value();
        CHECK(processors.run(disks[host].flush()).has_value() == can);
        CHECK(processors.run(disks[host].unmap({.start = 0, .count = 1})).has_value() == can);
        CHECK(processors.run(disks[host].write_zeroes({.start = 0, .count = 1}, true)).has_value() == can);
        DiskError ejecting = processors.run(disks[host].eject()).error();
        CHECK((ejecting == DiskError::reservation_conflict) == !can);
        return can;
    }

    SimulatedProcessors processors{1};
    std::shared_ptr<ReservationRegistry> registry;
    std::shared_ptr<test::HeldDisk> held;
    std::vector<Disk> disks;
    std::array<std::byte, 512> bytes{};
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
};

auto reserve(ReservationKey key, ReservationType type) {
    return [=](PersistentReservations& reservations) { return reservations.reserve(key, type, {}); };
}
auto release(ReservationKey key, ReservationType type) {
    return [=](PersistentReservations& reservations) { return reservations.release(key, type, {}); };
}
auto register_key(RegisterRequest request) {
    return [=](PersistentReservations& reservations) { return reservations.register_key(request, {}); };
}
auto preempt(ReservationKey key, ReservationKey victim, ReservationType type, AbortTasks abort = AbortTasks::no) {
    return [=](PersistentReservations& reservations) { return reservations.preempt(key, victim, type, abort, {}); };
}

}  // namespace

TEST_CASE("each type of reservation refuses what SPC-4 table 46 says") {
    struct Row {
        ReservationType type;
        bool registrant_reads;
        bool registrant_writes;
        bool stranger_reads;
    };
    const Row rows[] = {
        {write_exclusive, true, false, true},
        {exclusive_access, false, false, false},
        {write_exclusive_registrants_only, true, true, true},
        {exclusive_access_registrants_only, true, true, false},
        {write_exclusive_all_registrants, true, true, true},
        {exclusive_access_all_registrants, true, true, false},
    };
    for (const Row& row : rows) {
        CAPTURE(static_cast<int>(row.type));
        Hosts hosts;
        CHECK(hosts.can_write(2));
        hosts.register_two();
        CHECK(hosts.can_write(2));
        REQUIRE(hosts.change(0, reserve(1, row.type)) == std::nullopt);
        CHECK(hosts.can_read(0));
        CHECK(hosts.can_write(0));
        CHECK(hosts.can_read(1) == row.registrant_reads);
        CHECK(hosts.can_write(1) == row.registrant_writes);
        CHECK(hosts.can_read(2) == row.stranger_reads);
        CHECK_FALSE(hosts.can_write(2));
        REQUIRE(hosts.change(0, release(1, row.type)) == std::nullopt);
        CHECK(hosts.can_write(1));
        CHECK(hosts.can_write(2));
    }
}

TEST_CASE("only a holder releases, and only what is held") {
    Hosts hosts;
    hosts.register_two();
    CHECK(hosts.change(2, reserve(1, write_exclusive)) == DiskError::reservation_conflict);
    CHECK(hosts.change(0, reserve(2, write_exclusive)) == DiskError::reservation_conflict);
    CHECK(hosts.change(0, reserve(1, write_exclusive)) == std::nullopt);
    CHECK(hosts.change(1, reserve(2, write_exclusive)) == DiskError::reservation_conflict);
    CHECK(hosts.change(1, release(2, write_exclusive)) == std::nullopt);
    CHECK(hosts.report().type == write_exclusive);
    CHECK(hosts.change(0, release(1, exclusive_access)) == DiskError::invalid_input);
    CHECK(hosts.change(0, reserve(1, static_cast<ReservationType>(7))) == DiskError::invalid_input);
    CHECK(hosts.report().holder_key == 1);
}

TEST_CASE("a reservation goes with its holder's registration, or with the last where all hold it") {
    Hosts hosts;
    hosts.register_two();
    REQUIRE(hosts.change(0, reserve(1, write_exclusive_registrants_only)) == std::nullopt);
    REQUIRE(hosts.change(0, register_key({.new_key = 0})) == std::nullopt);
    CHECK(hosts.report().type == none);
    REQUIRE(hosts.change(0, register_key({.current_key = 0, .new_key = 1})) == std::nullopt);
    REQUIRE(hosts.change(0, reserve(1, write_exclusive_all_registrants)) == std::nullopt);
    CHECK(hosts.report().holder_key == 0);
    REQUIRE(hosts.change(0, register_key({.current_key = 1, .new_key = 0})) == std::nullopt);
    CHECK(hosts.report().type == write_exclusive_all_registrants);
    REQUIRE(hosts.change(2, register_key({.new_key = 3})) == std::nullopt);
    CHECK(hosts.can_write(2));
    REQUIRE(hosts.change(1, release(2, write_exclusive_all_registrants)) == std::nullopt);
    REQUIRE(hosts.change(2, reserve(3, exclusive_access_all_registrants)) == std::nullopt);
    REQUIRE(hosts.change(1, register_key({.new_key = 0})) == std::nullopt);
    REQUIRE(hosts.change(2, register_key({.new_key = 0})) == std::nullopt);
    CHECK(hosts.report().type == none);
    CHECK(hosts.registry->is_quiet());
}

TEST_CASE("preempting takes over from the holder, and removes registrations") {
    Hosts hosts;
    hosts.register_two();
    REQUIRE(hosts.change(0, reserve(1, write_exclusive)) == std::nullopt);
    CHECK(hosts.change(2, preempt(3, 1, write_exclusive)) == DiskError::reservation_conflict);
    CHECK(hosts.change(1, preempt(2, 9, exclusive_access)) == DiskError::reservation_conflict);
    CHECK(hosts.change(1, preempt(2, 0, exclusive_access)) == DiskError::invalid_input);
    CHECK(hosts.change(1, preempt(2, 1, none)) == DiskError::invalid_input);
    u32 generation = hosts.report().generation;
    CHECK(hosts.change(1, preempt(2, 1, exclusive_access)) == std::nullopt);
    std::array<Registrant, 4> registrants;
    ReservationReport report = hosts.report(registrants);
    CHECK(report.generation == generation + 1);
    CHECK(report.registrants == 1);
    CHECK(report.holder_key == 2);
    CHECK(report.type == exclusive_access);
    CHECK(registrants[0].host == ReservationHostId{std::byte{1}});
    CHECK_FALSE(hosts.can_read(0));
    // Its own key: the reservation is made anew with another type, and it stays registered.
    CHECK(hosts.change(1, preempt(2, 2, write_exclusive)) == std::nullopt);
    CHECK(hosts.can_read(0));
    CHECK(hosts.can_write(1));
}

TEST_CASE("where all hold, key 0 preempts everybody else, and another key only its registrants") {
    Hosts hosts;
    hosts.register_two();
    REQUIRE(hosts.change(2, register_key({.new_key = 3})) == std::nullopt);
    REQUIRE(hosts.change(0, reserve(1, exclusive_access_all_registrants)) == std::nullopt);
    REQUIRE(hosts.change(0, preempt(1, 2, none)) == std::nullopt);
    CHECK(hosts.report().registrants == 2);
    CHECK(hosts.report().type == exclusive_access_all_registrants);
    CHECK_FALSE(hosts.can_read(1));
    REQUIRE(hosts.change(2, preempt(3, 0, write_exclusive)) == std::nullopt);
    CHECK(hosts.report().registrants == 1);
    CHECK(hosts.report().holder_key == 3);
}

namespace {

Task<void> write_into(const Disk& disk, MemorySegment segment, std::optional<DiskResult<void>>& result) {
    result = co_await disk.write(0, {&segment, 1});
}
Task<DiskResult<void>> preempt_while_writing(Hosts& hosts, std::optional<DiskResult<void>>& victims,
                                             std::optional<DiskResult<void>>& others, AbortTasks abort) {
    TaskGroup group;
    group.spawn(write_into(hosts.disks[0], hosts.segment, victims));
    group.spawn(write_into(hosts.disks[1], hosts.segment, others));
    co_await yield();
    DiskResult<void> result = co_await hosts.disks[1].reservations()->preempt(2, 1, write_exclusive, abort, {});
    usize held_after = hosts.held->held;
    hosts.held->released.set();
    (void)co_await group.join();
    if (held_after != (abort == AbortTasks::yes ? 1u : 2u)) {
        co_return fail(DiskError::io);
    }
    co_return result;
}

}  // namespace

TEST_CASE("preempting with abort ends what the victim has in flight, and nothing else") {
    for (AbortTasks abort : {AbortTasks::yes, AbortTasks::no}) {
        Hosts hosts;
        hosts.register_two();
        hosts.held->released.reset();
        std::optional<DiskResult<void>> victims;
        std::optional<DiskResult<void>> others;
        REQUIRE(hosts.processors.run(preempt_while_writing(hosts, victims, others, abort)).has_value());
        REQUIRE((victims && others));
        CHECK(others->has_value());
        if (abort == AbortTasks::yes) {
            CHECK(victims->error() == DiskError::aborted_by_preempt);
        } else {
            CHECK(victims->has_value());
        }
    }
}

TEST_CASE("an operation of a registered host can be cancelled before it begins") {
    Hosts hosts;
    hosts.register_two();
    hosts.held->released.reset();
    CancelSource source;
    source.cancel();
    CHECK(hosts.processors.run(hosts.disks[0].read(0, {&hosts.segment, 1}, source.token())).error() ==
          DiskError::cancelled);
}

TEST_CASE("reservations persist through a loss of power where that was asked for") {
    Hosts without;
    CHECK_FALSE(without.disks[0].reservations()->capabilities().persist_through_power_loss);
    CHECK(without.change(0, register_key({.new_key = 1, .persist_through_power_loss = true})) ==
          DiskError::invalid_input);

    FakeStore store;
    {
        Hosts hosts(&store);
        CHECK(hosts.disks[0].reservations()->capabilities().persist_through_power_loss);
        REQUIRE(hosts.change(0, register_key({.new_key = 1, .persist_through_power_loss = true})) == std::nullopt);
        REQUIRE(hosts.change(1, register_key({.new_key = 2})) == std::nullopt);
        REQUIRE(hosts.change(0, reserve(1, exclusive_access)) == std::nullopt);
        store.error = DiskError::medium_write;
        CHECK(hosts.change(0, release(1, exclusive_access)) == DiskError::medium_write);
        CHECK(hosts.report().type == none);
        store.error = std::nullopt;
    }
    REQUIRE(store.saved);
    {
        Hosts hosts(&store, *store.saved);
        CHECK(hosts.report().holder_key == 1);
        CHECK(hosts.report().persists_through_power_loss);
        CHECK_FALSE(hosts.can_read(1));
        REQUIRE(hosts.change(1, register_key({.new_key = 2, .persist_through_power_loss = false})) == std::nullopt);
    }
    Hosts hosts(&store, *store.saved);
    CHECK(hosts.report().registrants == 0);
}

TEST_CASE("there is an end to registrants") {
    auto registry = std::make_shared<ReservationRegistry>();
    SimulatedProcessors processors{1};
    for (usize index = 0; index <= ReservationState::registrants_max; ++index) {
        ReservationHostId host{static_cast<std::byte>(index)};
        DiskResult<void> result = processors.run(registry->register_key(host, {.new_key = 1}, {}));
        CHECK(result.has_value() == (index < ReservationState::registrants_max));
    }
}

TEST_CASE("SCSI's codes of the types lead there and back") {
    for (u8 code = 0; code < 16; ++code) {
        std::optional<ReservationType> type = reservation_type_of_scsi(code);
        bool exists = code == 1 || code == 3 || (code >= 5 && code <= 8);
        CHECK(type.has_value() == exists);
        CHECK((!type || scsi_code(*type) == code));
    }
}

}  // namespace undercroft
