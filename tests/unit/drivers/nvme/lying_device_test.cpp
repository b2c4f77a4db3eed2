// Devices that time out, fail, lie and disappear. Whatever they do: every request ends within the bound, and no memory
// is touched that was given back.
#include <catch2/catch.hpp>
#include <random>

#include "drivers/nvme/namespace.hpp"
#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/nvme_disk.hpp"
#include "tests/support/fake_nvme.hpp"

namespace undercroft::test {
namespace {

using Fate = FakeNvme::Fate;
using Verdict = FakeNvme::Verdict;
using nvme::Driver;

nvme::DriverOptions quick_options() {
    nvme::DriverOptions options;
    options.queue_entries_max = 8;
    return options;
}

struct Rig {
    explicit Rig(usize count = 1) : processors(count), executors(processors.executors()) {}
    ~Rig() {
        close();
        REQUIRE(fake.arena.check_freed());
        REQUIRE_FALSE(fake.touched_memory_while_off);
    }
    template <typename T>
    T run(Task<T> task) {
        return processors.run(std::move(task), 0, processors.now_ns() + 3600 * nanoseconds_per_second);
    }
    Result<void> open() {
        driver = TRY(run(Driver::open(fake, options, executors)));
        auto opened = run(driver->open_namespace(1));
        if (!opened) {
            return fail(opened.error());
        }
        disk = Disk::create(NvmeDisk::create(*opened)).value();
        return {};
    }
    void close() {
        if (driver != nullptr) {
            u64 before = processors.now_ns();
            (void)run(driver->close());
            REQUIRE(processors.now_ns() - before <= options.request_bound_ns());
            REQUIRE_FALSE(fake.bus_master);
        }
        disk.reset();
        driver.reset();
    }
    /// Runs `task`, which must end within the bound.
    DiskResult<void> bounded(Task<DiskResult<void>> task) {
        u64 before = processors.now_ns();
        DiskResult<void> result = run(std::move(task));
        elapsed_ns = processors.now_ns() - before;
        REQUIRE(elapsed_ns <= options.request_bound_ns());
        return result;
    }
    DiskResult<void> write(u64 sector = 1, std::byte value = std::byte{0x5a}) {
        return bounded(transfer(*disk, sector, value, true));
    }
    DiskResult<void> read(u64 sector = 1) { return bounded(transfer(*disk, sector, std::byte{0}, false)); }

    static Task<DiskResult<void>> transfer(const Disk& disk, u64 sector, std::byte value, bool is_write) {
        std::vector<std::byte> bytes(1024, value);
        MemorySegment segment{bytes.data(), bytes.size()};
        if (is_write) {
            co_return co_await disk.write(sector, SegmentList(&segment, 1));
        }
        co_return co_await disk.read(sector, SegmentList(&segment, 1));
    }

    SimulatedProcessors processors;
    std::vector<Executor*> executors;
    FakeNvme fake;
    nvme::DriverOptions options = quick_options();
    std::unique_ptr<Driver> driver;
    std::optional<Disk> disk;
    u64 elapsed_ns = 0;
};

/// Applies `verdict` to the first `times` I/O commands.
FakeNvme::Judge first_io(Verdict verdict, int times = 1) {
    return [verdict, times](u16 queue, const nvme::SubmissionEntry&) mutable {
        return queue != 0 && times-- > 0 ? verdict : Verdict{};
    };
}

TEST_CASE("the fake works when it does not lie") {
    Rig rig;
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write(3).has_value());
    REQUIRE(rig.fake.blocks[3 * 512] == std::byte{0x5a});
    REQUIRE(rig.read(3).has_value());
    REQUIRE(rig.bounded(rig.disk->flush()).has_value());
    rig.close();
    REQUIRE(rig.fake.shutdowns == 1);
}

TEST_CASE("a device that is not there, or not ready, does not open") {
    Rig gone;
    gone.fake.present = false;
    REQUIRE(gone.open().error() == Error::gone);
    Rig never_ready;
    never_ready.fake.never_ready = true;
    u64 before = never_ready.processors.now_ns();
    REQUIRE(never_ready.open().error() == Error::timed_out);
    REQUIRE(never_ready.processors.now_ns() - before < 10 * nanoseconds_per_second);  // CAP.TO is 2 s
    REQUIRE_FALSE(never_ready.fake.bus_master);
}

TEST_CASE("impossible capabilities are refused") {
    Rig pages;
    pages.fake.capabilities = pages.fake.capabilities.with_page_size_min_log2(16).with_page_size_max_log2(16);
    REQUIRE(pages.open().error() == Error::unsupported);
    Rig sets;
    sets.fake.capabilities = sets.fake.capabilities.with_command_sets(nvme::capability_command_set::none);
    REQUIRE(sets.open().error() == Error::unsupported);
    Rig depth;
    depth.fake.capabilities = depth.fake.capabilities.with_queue_entries_max_minus_one(0);
    REQUIRE(depth.open().error() == Error::malformed);
    Rig stride;
    stride.fake.capabilities = stride.fake.capabilities.with_doorbell_stride(15);
    REQUIRE(stride.open().error() == Error::malformed);
}

TEST_CASE("small queues and wide doorbells work") {
    Rig rig;
    rig.fake.capabilities = rig.fake.capabilities.with_queue_entries_max_minus_one(1).with_doorbell_stride(3);
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write().has_value());
    REQUIRE(rig.read().has_value());
}

TEST_CASE("garbage in Identify is answered, never asserted") {
    for (u64 seed = 1; seed <= 60; ++seed) {
        CAPTURE(seed);
        std::mt19937_64 random(seed);
        Rig rig;
        auto garble = [&](auto& structure) {
            auto* bytes = reinterpret_cast<u8*>(&structure);
            for (int count = 0; count < 600; ++count) {
                bytes[random() % sizeof(structure)] = static_cast<u8>(random());
            }
        };
        garble(rig.fake.controller);
        garble(rig.fake.name_space);
        if (seed % 2 == 0) {  // let it come further
            rig.fake.controller.submission_entry_sizes = 0x66;
            rig.fake.controller.completion_entry_sizes = 0x44;
            rig.fake.controller.controller_type = 1;
        }
        if (rig.open()) {
            (void)rig.write();
            (void)rig.read();
            (void)rig.bounded(rig.disk->unmap({.start = 0, .count = 1}));
            (void)rig.bounded(rig.disk->write_zeroes({.start = 0, .count = 1}, true));
        }
    }
}

TEST_CASE("admin commands that fail or are never answered do not hang the opening") {
    for (Fate fate : {Fate::fail, Fate::ignore, Fate::fatal, Fate::vanish, Fate::wrong_id, Fate::wrong_phase}) {
        for (int which = 0; which < 6; ++which) {
            CAPTURE(static_cast<int>(fate), which);
            Rig rig;
            int seen = 0;
            rig.fake.judge = [&](u16 queue, const nvme::SubmissionEntry&) {
                return queue == 0 && seen++ == which ? Verdict{.fate = fate} : Verdict{};
            };
            u64 before = rig.processors.now_ns();
            if (rig.open()) {
                (void)rig.write();
            }
            REQUIRE(rig.processors.now_ns() - before <= 2 * rig.options.request_bound_ns());
        }
    }
}

TEST_CASE("a status is passed on as the disk error it means") {
    struct Row {
        nvme::Status status;
        DiskError error;
    };
    for (Row row : {Row{nvme::Status::write_fault, DiskError::medium_write},
                    Row{nvme::Status::unrecovered_read_error, DiskError::medium_read},
                    Row{nvme::Status::lba_out_of_range, DiskError::illegal_block},
                    Row{nvme::Status::reservation_conflict, DiskError::reservation_conflict},
                    Row{nvme::Status::internal_error, DiskError::io},
                    Row{nvme::Status::namespace_write_protected, DiskError::read_only},
                    Row{static_cast<nvme::Status>(0x7ff), DiskError::io}}) {
        Rig rig;
        rig.fake.judge = first_io({.fate = Fate::fail, .status = row.status});
        REQUIRE(rig.open().has_value());
        REQUIRE(rig.write().error() == row.error);
        REQUIRE(rig.write().has_value());
        REQUIRE(rig.driver->statistics().resets == 0);
    }
}

TEST_CASE("a transient failure is tried again, a few times") {
    Rig once;
    once.fake.judge =
        first_io({.fate = Fate::fail, .status = nvme::Status::namespace_not_ready, .do_not_retry = false}, 2);
    REQUIRE(once.open().has_value());
    REQUIRE(once.write().has_value());
    Rig always;
    always.fake.judge =
        first_io({.fate = Fate::fail, .status = nvme::Status::namespace_not_ready, .do_not_retry = false}, 1000);
    REQUIRE(always.open().has_value());
    REQUIRE(always.write().error() == DiskError::io);
    Rig final_failure;
    final_failure.fake.judge = first_io({.fate = Fate::fail, .status = nvme::Status::namespace_not_ready}, 1);
    REQUIRE(final_failure.open().has_value());
    REQUIRE(final_failure.write().error() == DiskError::io);
}

TEST_CASE("a stuck command is aborted and tried again, without a reset where Abort works") {
    Rig rig;
    rig.fake.aborts_work = true;
    rig.fake.judge = first_io({.fate = Fate::ignore});
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write().has_value());
    REQUIRE(rig.fake.aborts_seen == 1);
    REQUIRE(rig.driver->statistics().resets == 0);
    REQUIRE(rig.elapsed_ns >= rig.options.command_timeout_ns);
    REQUIRE(rig.elapsed_ns <= rig.options.command_timeout_ns + 4 * rig.options.watch_interval_ns);
}

TEST_CASE("a command that cannot be aborted costs a reset, and is then tried again") {
    Rig rig;
    rig.fake.judge = first_io({.fate = Fate::ignore});
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write(7).has_value());
    REQUIRE(rig.driver->statistics().resets == 1);
    REQUIRE(rig.fake.enables == 2);
    REQUIRE(rig.fake.blocks[7 * 512] == std::byte{0x5a});
    REQUIRE(rig.read(7).has_value());
}

TEST_CASE("a device that answers nothing is given up within the bound, and says so at once from then on") {
    Rig rig;
    rig.fake.judge = first_io({.fate = Fate::ignore}, 1 << 30);
    REQUIRE(rig.open().has_value());
    DiskError error = rig.write().error();
    REQUIRE((error == DiskError::timed_out || error == DiskError::io));
    for (int round = 0; round < 8 && rig.driver->state() != Driver::State::failed; ++round) {
        (void)rig.write();
    }
    REQUIRE(rig.driver->state() == Driver::State::failed);
    REQUIRE(rig.write().error() == DiskError::io);
    REQUIRE(rig.elapsed_ns == 0);
    REQUIRE_FALSE(rig.fake.bus_master);
}

TEST_CASE("an answer that comes late, but before the timeout, is an answer") {
    Rig rig;
    rig.fake.judge = first_io({.fate = Fate::late, .late_ns = 9 * nanoseconds_per_second});
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write().has_value());
    REQUIRE(rig.fake.aborts_seen == 0);
}

TEST_CASE("an answer after the Abort is taken as it is") {
    Rig rig;
    rig.fake.judge = first_io({.fate = Fate::late, .late_ns = 10'800 * nanoseconds_per_millisecond});
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write().has_value());
    REQUIRE(rig.driver->statistics().resets == 0);
}

TEST_CASE("completions that name no command under way end in a reset, and the command in success or an error") {
    for (Fate fate : {Fate::wrong_id, Fate::huge_id, Fate::wrong_queue, Fate::wrong_phase, Fate::twice}) {
        CAPTURE(static_cast<int>(fate));
        Rig once;
        once.fake.judge = first_io({.fate = fate});
        REQUIRE(once.open().has_value());
        REQUIRE(once.write().has_value());
        REQUIRE(once.read().has_value());
        REQUIRE(once.driver->statistics().resets >= (fate == Fate::twice ? 0u : 1u));
        Rig always;
        always.fake.judge = first_io({.fate = fate}, 1 << 30);
        REQUIRE(always.open().has_value());
        for (int round = 0; round < 12; ++round) {
            (void)always.write();
            (void)always.read();
        }
    }
}

TEST_CASE("a lost interrupt costs time, not the command") {
    Rig rig;
    rig.fake.judge = first_io({.fate = Fate::no_interrupt}, 1 << 30);
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write().has_value());
    REQUIRE(rig.elapsed_ns <= 2 * rig.options.watch_interval_ns);
    REQUIRE(rig.driver->statistics().resets == 0);
}

TEST_CASE("interrupts for nothing do nothing") {
    Rig rig;
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write().has_value());
    for (int round = 0; round < 100; ++round) {
        rig.fake.raise_interrupt(0);
        rig.fake.raise_interrupt(1);
    }
    REQUIRE(rig.read().has_value());
}

TEST_CASE("CSTS.CFS under I/O is noticed soon, and reset away") {
    Rig rig;
    rig.fake.judge = first_io({.fate = Fate::fatal});
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write().has_value());
    REQUIRE(rig.elapsed_ns < nanoseconds_per_second);
    REQUIRE(rig.driver->statistics().resets == 1);
}

TEST_CASE("removal is noticed soon; everything ends with gone") {
    Rig rig;
    rig.fake.judge = first_io({.fate = Fate::vanish});
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write().error() == DiskError::gone);
    REQUIRE(rig.elapsed_ns < nanoseconds_per_second);
    REQUIRE(rig.driver->state() == Driver::State::gone);
    REQUIRE(rig.read().error() == DiskError::gone);
    REQUIRE(rig.bounded(rig.disk->flush()).error() == DiskError::gone);
    REQUIRE(rig.run(rig.disk->wait_for_resize(256)).error() == DiskError::gone);
}

Task<Result<void>> pause(u64 duration_ns) {
    (void)co_await sleep_for(duration_ns);
    co_return Result<void>{};
}

TEST_CASE("removal is noticed even if nobody asks the disk anything") {
    Rig rig;
    REQUIRE(rig.open().has_value());
    rig.fake.present = false;
    (void)rig.run(pause(2 * rig.options.idle_watch_interval_ns));
    REQUIRE(rig.driver->state() == Driver::State::gone);
}

TEST_CASE("a controller that will not be disabled is cut off from memory") {
    Rig rig;
    rig.fake.judge = first_io({.fate = Fate::ignore});
    REQUIRE(rig.open().has_value());
    rig.fake.never_idle = true;
    DiskError error = rig.write().error();
    REQUIRE((error == DiskError::io || error == DiskError::timed_out));
    REQUIRE_FALSE(rig.fake.bus_master);
}

Task<DiskResult<void>> read_into_device_memory(const Disk& disk, DeviceHost& host) {
    DmaBuffer memory = host.allocate_dma(page_size).value();  // given back, and watched, as soon as the read has ended
    MemorySegment segment{memory.data(), 1024};
    co_return co_await disk.read(0, SegmentList(&segment, 1));
}

TEST_CASE("a read's memory is the device's until the controller is idle, however long that takes") {
    Rig rig;
    rig.options.attempts_max = 1;
    rig.fake.judge = first_io({.fate = Fate::late, .late_ns = 12 * nanoseconds_per_second});
    REQUIRE(rig.open().has_value());
    rig.fake.idle_after_ns = 1900 * nanoseconds_per_millisecond;  // CAP.TO is 2 s
    REQUIRE(rig.bounded(read_into_device_memory(*rig.disk, rig.fake)).error() == DiskError::timed_out);
    REQUIRE(rig.elapsed_ns > 12 * nanoseconds_per_second);  // it was written to while the controller was being disabled
    REQUIRE(rig.fake.arena.check_freed());
    REQUIRE(rig.write().has_value());
}

TEST_CASE("a shutdown that never completes is given up") {
    Rig rig;
    REQUIRE(rig.open().has_value());
    rig.fake.never_shut_down = true;
    u64 before = rig.processors.now_ns();
    REQUIRE(rig.run(rig.driver->close()).error() == Error::timed_out);
    REQUIRE(rig.processors.now_ns() - before <= 11 * nanoseconds_per_second);
}

TEST_CASE("a reset that fails is the end; a reset in which the controller comes back smaller too") {
    Rig rig;
    rig.fake.judge = first_io({.fate = Fate::ignore});
    REQUIRE(rig.open().has_value());
    rig.fake.never_ready = true;  // from the next time on
    DiskError error = rig.write().error();
    REQUIRE((error == DiskError::io || error == DiskError::timed_out));
    REQUIRE(rig.driver->state() == Driver::State::failed);
}

TEST_CASE("events: a changed namespace is identified anew, garbage is read and forgotten, a storm is slowed down") {
    Rig rig;
    REQUIRE(rig.open().has_value());
    REQUIRE(rig.write().has_value());
    rig.fake.name_space.size_blocks = 200;
    REQUIRE(rig.fake.send_event(nvme::EventResult::make(nvme::EventType::notice, 0, 4)));
    REQUIRE(rig.run(rig.disk->wait_for_resize(256)).value() == 200);
    rig.fake.name_space.lba_formats[0].data_bytes_log2 = 12;  // another disk: its blocks are not ours
    (void)rig.run(pause(nanoseconds_per_second));
    REQUIRE(rig.fake.send_event(nvme::EventResult::make(nvme::EventType::notice, 0, 4)));
    REQUIRE(rig.run(rig.disk->wait_for_resize(200)).value() == 0);
    REQUIRE(rig.write().error() == DiskError::illegal_block);
    u32 before = rig.fake.commands_seen;
    for (int round = 0; round < 50; ++round) {
        rig.fake.send_event(nvme::EventResult{0xffff'ffff});
        (void)rig.run(pause(nanoseconds_per_millisecond));
    }
    REQUIRE(rig.fake.commands_seen - before < 30);
}

TEST_CASE("a namespace that cannot be identified for a moment is asked for again, and not dropped") {
    for (bool is_absent : {false, true}) {
        for (int failures : {1, 2, 1000}) {
            CAPTURE(is_absent, failures);
            Rig rig;
            REQUIRE(rig.open().has_value());
            rig.fake.name_space.size_blocks = 200;
            int identifies = 0;
            rig.fake.judge = [&](u16 queue, const nvme::SubmissionEntry& entry) {
                bool is_identify = queue == 0 && entry.opcode == static_cast<u8>(nvme::AdminOpcode::identify);
                bool fails = is_identify && identifies++ < failures;
                if (is_identify && is_absent) {
                    rig.fake.name_space.size_blocks = fails ? 0 : 200;
                }
                return fails && !is_absent ? Verdict{.fate = Fate::fail} : Verdict{};
            };
            REQUIRE(rig.fake.send_event(nvme::EventResult::make(nvme::EventType::notice, 0, 4)));
            (void)rig.run(pause(2 * nanoseconds_per_second));
            bool is_known = failures < static_cast<int>(rig.options.attempts_max);
            REQUIRE(rig.disk->sector_count() == (is_known ? 200u : is_absent ? 0u : 256u));
        }
    }
}

TEST_CASE("a cancelled request ends; a command that the device has is waited for") {
    Rig rig;
    REQUIRE(rig.open().has_value());
    CancelSource source;
    source.cancel();
    auto cancelled = [](const Disk& disk, CancelToken cancel) -> Task<DiskResult<void>> {
        std::vector<std::byte> bytes(512);
        MemorySegment segment{bytes.data(), bytes.size()};
        co_return co_await disk.read(0, SegmentList(&segment, 1), cancel);
    };
    REQUIRE(rig.bounded(cancelled(*rig.disk, source.token())).error() == DiskError::cancelled);
}

struct Tally {
    int ended = 0;
    int failed = 0;
};

Task<void> hammer(const Disk& disk, u64 seed, Tally& tally) {
    std::mt19937_64 random(seed);
    for (int round = 0; round < 30; ++round) {
        DiskResult<void> result = co_await Rig::transfer(disk, random() % 200, std::byte{1}, random() % 2 == 0);
        ++tally.ended;
        tally.failed += !result.has_value();
    }
}

TEST_CASE("many requests on several processors under random lies all end") {
    for (u64 seed = 1; seed <= 12; ++seed) {
        CAPTURE(seed);
        Rig rig(3);
        std::mt19937_64 random(seed);
        rig.fake.judge = [&](u16 queue, const nvme::SubmissionEntry&) -> Verdict {
            if (queue == 0 || random() % 12 != 0) {
                return {};
            }
            return {.fate = static_cast<Fate>(random() % (static_cast<int>(Fate::fatal) + 1)),
                    .do_not_retry = random() % 2 == 0,
                    .late_ns = random() % (20 * nanoseconds_per_second)};
        };
        REQUIRE(rig.open().has_value());
        std::vector<std::unique_ptr<TaskGroup>> groups;
        Tally tally;
        u64 before = rig.processors.now_ns();
        for (usize index = 0; index < 9; ++index) {
            CurrentExecutorScope scope(rig.processors.executor(index % 3));
            groups.push_back(std::make_unique<TaskGroup>());
            groups.back()->spawn(hammer(*rig.disk, seed * 100 + index, tally));
        }
        rig.processors.run_until([&] { return tally.ended == 9 * 30; }, before + 30 * rig.options.request_bound_ns());
        for (auto& group : groups) {
            REQUIRE(group->running() == 0);
        }
    }
}

}  // namespace
}  // namespace undercroft::test
