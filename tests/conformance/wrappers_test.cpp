// Every disk that stands on another, over one that fails, one that keeps books and one that is held: each operation
// arrives below, each error arrives above, and cancelling reaches what is in flight.
#include <catch2/catch.hpp>

#include "kernel/async/task_group.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/layers/fault_disk.hpp"
#include "storage/reservations.hpp"
#include "tests/conformance/suite.hpp"
#include "tests/support/test_disks.hpp"

namespace undercroft::test {
namespace {

Disk handle(std::shared_ptr<DiskInterface> implementation) { return Disk::create(std::move(implementation)).value(); }

std::shared_ptr<RamDisk> make_ram() { return RamDisk::create({.sectors = 512, .sector_size = 512, .id = {}}).value(); }

/// Reservations that nobody calls: only the pointer is looked at.
class SomeReservations final : public PersistentReservations {
public:
    ReservationCapabilities capabilities() const override { return {}; }
    u64 changes() const override { return 0; }
    ReservationStanding standing() const override { return {}; }
    Task<DiskResult<void>> register_key(RegisterRequest, CancelToken) override { return answer(); }
    Task<DiskResult<void>> reserve(ReservationKey, ReservationType, CancelToken) override { return answer(); }
    Task<DiskResult<void>> release(ReservationKey, ReservationType, CancelToken) override { return answer(); }
    Task<DiskResult<void>> clear(ReservationKey, CancelToken) override { return answer(); }
    Task<DiskResult<void>> preempt(ReservationKey, ReservationKey, ReservationType, AbortTasks, CancelToken) override {
        return answer();
    }
    Task<DiskResult<void>> move(MoveRequest, CancelToken) override { return answer(); }
    Task<DiskResult<ReservationReport>> report(std::span<Registrant>, CancelToken) override {
        return Task<DiskResult<ReservationReport>>::ready(ReservationReport{});
    }

private:
    static Task<DiskResult<void>> answer() { return Task<DiskResult<void>>::ready({}); }
};

/// Counts what arrives, and answers eject and resize as it is told.
class BookkeepingDisk final : public PassThroughDisk {
public:
    using PassThroughDisk::PassThroughDisk;
    DiskResult<void> eject_answer;
    std::optional<DiskError> resize_error;
    SomeReservations some_reservations;
    usize reads = 0;
    usize writes = 0;
    usize durable_writes = 0;
    usize flushes = 0;
    usize unmaps = 0;
    usize zeroes = 0;
    usize durable_zeroes = 0;
    usize statuses = 0;
    usize ejects = 0;

    Task<DiskResult<void>> read(u64 sector, SegmentList into, CancelToken cancel) override {
        ++reads;
        return below_.read(sector, into, cancel);
    }
    Task<DiskResult<void>> write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) override {
        ++writes;
        durable_writes += fua == ForceUnitAccess::yes ? 1 : 0;
        return below_.write(sector, from, fua, cancel);
    }
    Task<DiskResult<void>> flush(CancelToken cancel) override {
        ++flushes;
        return below_.flush(cancel);
    }
    Task<DiskResult<void>> unmap(SectorRange range, CancelToken cancel) override {
        ++unmaps;
        return below_.unmap(range, cancel);
    }
    Task<DiskResult<void>> write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                        CancelToken cancel) override {
        ++zeroes;
        durable_zeroes += fua == ForceUnitAccess::yes ? 1 : 0;
        return below_.write_zeroes(range, allow_unmap, fua, cancel);
    }
    Task<DiskResult<BlockStatus>> block_status(SectorRange range, CancelToken cancel) override {
        ++statuses;
        return below_.block_status(range, cancel);
    }
    Task<DiskResult<void>> eject() override {
        ++ejects;
        return Task<DiskResult<void>>::ready(eject_answer);
    }
    Task<DiskResult<u64>> wait_for_resize(u64 known_sectors, CancelToken cancel) override {
        if (resize_error) {
            return Task<DiskResult<u64>>::ready(fail(*resize_error));
        }
        return below_.wait_for_resize(known_sectors, cancel);
    }
    PersistentReservations* reservations() override { return &some_reservations; }
};

/// A wrapper over `below`, in virtual time.
class WrapperFixture final : public VirtualTimeFixture {
public:
    WrapperFixture(const DiskWrapper& wrapper, std::shared_ptr<DiskInterface> below) {
        disk = wrapper.wrap(handle(std::move(below)), bounce_.pool);
    }
    ~WrapperFixture() override { disk.reset(); }

private:
    BounceMemory bounce_{5};
};

struct OneSector {
    std::vector<std::byte> bytes = std::vector<std::byte>(512);
    MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
    SegmentList list() const { return {&segment, 1}; }
};

}  // namespace

TEST_CASE("every error of the disk below arrives above, from every operation") {
    for (const DiskWrapper& wrapper : all_wrappers()) {
        for (usize value = 0; value < disk_error_count; ++value) {
            auto error = static_cast<DiskError>(value);
            DYNAMIC_SECTION(wrapper.name << ": " << to_string(error)) {
                const FaultRule rule{.action = FaultAction::fail, .error = error};
                auto books = std::make_shared<BookkeepingDisk>(handle(make_ram()));
                auto below = FaultDisk::create(handle(books), {&rule, 1}).value();
                WrapperFixture fixture(wrapper, below);
                const Disk& disk = *fixture.disk;
                OneSector one;
                CHECK(error_of(fixture.run(disk.read(0, one.list()))) == error);
                CHECK(error_of(fixture.run(disk.write(0, one.list()))) == error);
                CHECK(error_of(fixture.run(disk.write(1, one.list(), ForceUnitAccess::yes))) == error);
                CHECK(error_of(fixture.run(disk.flush())) == error);
                CHECK(error_of(fixture.run(disk.unmap({.start = 2, .count = 3}))) == error);
                CHECK(error_of(fixture.run(disk.write_zeroes({.start = 2, .count = 3}, true))) == error);
                CHECK(error_of(fixture.run(disk.write_zeroes({.start = 2, .count = 3}, false))) == error);
                CHECK(error_of(fixture.run(disk.block_status({.start = 5, .count = 3}))) == error);
                CHECK(error_of(fixture.run(disk.compare(6, one.list()))) == error);
                books->eject_answer = fail(error);
                books->resize_error = error;
                CHECK(error_of(fixture.run(disk.eject())) == error);
                CHECK(error_of(fixture.run(disk.wait_for_resize(disk.sector_count()))) == error);
            }
        }
    }
}

TEST_CASE("every operation arrives below") {
    for (const DiskWrapper& wrapper : all_wrappers()) {
        DYNAMIC_SECTION(wrapper.name) {
            auto ram = make_ram();
            auto books = std::make_shared<BookkeepingDisk>(handle(ram));
            WrapperFixture fixture(wrapper, books);
            const Disk& disk = *fixture.disk;
            OneSector one;
            CHECK(fixture.run(disk.read(0, one.list())).has_value());
            CHECK(books->reads + books->statuses == 1);
            CHECK(fixture.run(disk.write(0, one.list())).has_value());
            CHECK(books->writes == 1);
            CHECK(books->durable_writes == 0);
            CHECK(fixture.run(disk.write(0, one.list(), ForceUnitAccess::yes)).has_value());
            CHECK(books->durable_writes == 1);
            CHECK(fixture.run(disk.flush()).has_value());
            CHECK(books->flushes == 1);
            CHECK(fixture.run(disk.unmap({.start = 0, .count = 1})).has_value());
            CHECK(books->unmaps + books->zeroes == 1);
            usize before = books->writes + books->unmaps + books->zeroes;
            CHECK(fixture.run(disk.write_zeroes({.start = 0, .count = 1}, true)).has_value());
            CHECK(books->writes + books->unmaps + books->zeroes == before + 1);
            usize durable = books->durable_writes + books->durable_zeroes + books->flushes;
            CHECK(fixture.run(disk.write_zeroes({.start = 0, .count = 1}, false, ForceUnitAccess::yes)).has_value());
            CHECK(books->durable_writes + books->durable_zeroes + books->flushes == durable + 1);
            before = books->statuses;
            CHECK(fixture.run(disk.block_status({.start = 4, .count = 1})).has_value());
            CHECK(books->statuses == before + 1);
            CHECK(fixture.run(disk.eject()).has_value() == (wrapper.name.find("striped") == std::string::npos));
            CHECK(books->ejects == 1);
            CHECK((disk.reservations() == &books->some_reservations) == wrapper.forwards_reservations);
        }
    }
}

namespace {

Task<void> cancel_soon(CancelSource& source) {
    for (usize turn = 0; turn < 20; ++turn) {
        (void)co_await sleep_for(nanoseconds_per_millisecond);
    }
    source.cancel();
}

Task<DiskResult<void>> cancelled_in_flight(Task<DiskResult<void>> operation, CancelSource& source) {
    TaskGroup group;
    group.spawn(cancel_soon(source));
    DiskResult<void> result = co_await std::move(operation);
    (void)co_await group.join();
    co_return result;
}

}  // namespace

TEST_CASE("cancelling reaches what the disk below holds") {
    for (const DiskWrapper& wrapper : all_wrappers()) {
        DYNAMIC_SECTION(wrapper.name) {
            const FaultRule rule{.action = FaultAction::hold, .error = {}};
            auto held = FaultDisk::create(handle(make_ram()), {&rule, 1}).value();
            WrapperFixture fixture(wrapper, held);
            const Disk& disk = *fixture.disk;
            std::vector<std::byte> bytes(40 * 512);
            MemorySegment segment{.data = bytes.data(), .size = bytes.size()};
            using Begin = std::function<Task<DiskResult<void>>(CancelToken)>;
            const Begin operations[] = {
                [&](CancelToken cancel) { return disk.read(0, {&segment, 1}, cancel); },
                [&](CancelToken cancel) { return disk.write(0, {&segment, 1}, ForceUnitAccess::no, cancel); },
                [&](CancelToken cancel) { return disk.flush(cancel); },
                [&](CancelToken cancel) { return disk.unmap({.start = 0, .count = 40}, cancel); },
                [&](CancelToken cancel) {
                    return disk.write_zeroes({.start = 0, .count = 40}, false, ForceUnitAccess::no, cancel);
                },
            };
            for (const Begin& begin : operations) {
                CancelSource source;
                DiskResult<void> result = fixture.run(cancelled_in_flight(begin(source.token()), source));
                CHECK(error_of(result) == DiskError::cancelled);
                CHECK(held->held() == 0);
            }
            CHECK(held->set_rules({}).has_value());
            CHECK(fixture.run(disk.read(0, {&segment, 1})).has_value());
        }
    }
}

}  // namespace undercroft::test
