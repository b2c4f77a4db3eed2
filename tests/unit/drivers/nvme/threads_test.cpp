// The driver and the controller on real threads, one an executor, with controller resets in between: for data races (preset with
// UNDERCROFT_SANITIZE=thread), and for hand-overs between executors that virtual time cannot tear.
#include <atomic>
#include <catch2/catch.hpp>
#include <random>
#include <thread>

#include "drivers/nvme/driver.hpp"
#include "hostsim/devices/simulated_nvme.hpp"
#include "hostsim/platform/real_platform.hpp"
#include "storage/backends/nvme_disk.hpp"
#include "storage/backends/ram_disk.hpp"

namespace undercroft::test {
namespace {

/// A controller that fails now and then, and recovers when it is reset.
class FailingController final : public NvmeTamper {
public:
    void fail_now() { fatal_ = true; }
    u32 read_register(u64 offset_bytes, u32 value) override {
        bool shows = offset_bytes == nvme::register_offset::status && fatal_;
        return shows ? nvme::ControllerStatus{value}.with_fatal(true).raw : value;
    }
    bool allow_write(u64 offset_bytes, u64 value) override {
        if (offset_bytes == nvme::register_offset::configuration) {
            fatal_ = fatal_ && nvme::Configuration{static_cast<u32>(value)}.enable();
            return true;
        }
        return offset_bytes < nvme::register_offset::doorbells || !fatal_;
    }

private:
    std::atomic<bool> fatal_{false};
};

struct Processor {
    RealPlatform platform;
    Executor executor{platform};
    std::thread thread;
};

struct Machine {
    explicit Machine(usize count) {
        for (usize index = 0; index < count; ++index) {
            processors.push_back(std::make_unique<Processor>());
            executors.push_back(&processors.back()->executor);
        }
        for (usize index = 1; index < count; ++index) {  // the first is the test's own thread
            Processor& processor = *processors[index];
            processor.thread = std::thread([this, &processor] {
                CurrentExecutorScope scope(processor.executor);
                processor.executor.run_until([this] { return stop.load(); });
            });
        }
    }
    ~Machine() {
        stop = true;
        for (auto& processor : processors) {
            if (processor->thread.joinable()) {
                processor->platform.wake();
                processor->thread.join();
            }
        }
    }
    std::vector<std::unique_ptr<Processor>> processors;
    std::vector<Executor*> executors;
    std::atomic<bool> stop{false};
};

struct Worker {
    Executor& executor;
    u64 first_sector;
    u64 seed;
    u64 rounds;
    std::atomic<u64>& wrong;
    std::atomic<u64>& failed;
};

constexpr u64 region_sectors = 32;

/// Writes its own region of the disk, and reads it back.
Task<void> work(const Disk& disk, DeviceHost& host, Executor& home, Worker worker) {
    co_await resume_on(worker.executor);
    std::mt19937_64 random(worker.seed);
    std::vector<u8> model(region_sectors, 0);
    for (u64 round = 0; round < worker.rounds; ++round) {
        u64 offset = random() % region_sectors;
        u64 count = 1 + random() % (region_sectors - offset);
        DmaBuffer device_memory = host.allocate_dma(count * 512).value();
        std::vector<std::byte> host_memory(count * 512);
        std::byte* data = round % 2 == 0 ? device_memory.data() : host_memory.data();
        MemorySegment segment{data, count * 512};
        if (random() % 2 == 0) {
            u8 value = static_cast<u8>(1 + random() % 255);
            std::memset(data, value, segment.size);
            DiskResult<void> result = co_await disk.write(worker.first_sector + offset, SegmentList(&segment, 1));
            worker.failed += !result;
            std::fill_n(model.begin() + static_cast<std::ptrdiff_t>(offset), count, value);
        } else {
            DiskResult<void> result = co_await disk.read(worker.first_sector + offset, SegmentList(&segment, 1));
            worker.failed += !result;
            for (u64 index = 0; result && index < segment.size; ++index) {
                worker.wrong += data[index] != static_cast<std::byte>(model[offset + index / 512]);
            }
        }
    }
    co_await resume_on(home);
}

Task<Result<void>> close_device(SimulatedNvme& device) {
    co_await device.close();
    co_return Result<void>{};
}

Task<Result<void>> join(TaskGroup& group) { co_return co_await group.join(); }

Task<void> fail_often(FailingController& controller, const nvme::Driver& driver, const TaskGroup& workers,
                      u64& failures) {
    while (workers.running() > 0) {
        (void)co_await sleep_for(15 * nanoseconds_per_millisecond);
        if (driver.state() == nvme::Driver::State::running) {
            controller.fail_now();
            ++failures;
        }
    }
}

TEST_CASE("driver and controller on real threads, with resets under way") {
    constexpr usize processors = 3;
    constexpr usize workers = 9;
    FailingController failing;
    Machine machine(processors);
    Executor& home = *machine.executors[0];
    auto ram = RamDisk::create({.sectors = workers * region_sectors, .id = {}}).value();
    nvme::NamespaceConfig name_space{.id = 1, .disk = Disk::create(ram).value(), .nguid = {}, .eui64 = {}};
    auto device = SimulatedNvme::create(
                      {.executors = machine.executors, .namespaces = std::span(&name_space, 1), .tamper = &failing})
                      .value();
    nvme::DriverOptions options;
    options.watch_interval_ns = 2 * nanoseconds_per_millisecond;
    options.resets_max = 1000;
    options.attempts_max = 1000;
    auto driver = run_blocking(home, nvme::Driver::open(*device, options, machine.executors)).value();
    Disk disk = Disk::create(NvmeDisk::create(run_blocking(home, driver->open_namespace(1)).value())).value();
    std::atomic<u64> wrong{0};
    std::atomic<u64> failed{0};
    u64 failures = 0;
    {
        CurrentExecutorScope scope(home);
        TaskGroup group;
        TaskGroup trouble;
        for (usize index = 0; index < workers; ++index) {
            group.spawn(
                work(disk, *device, home,
                     {*machine.executors[index % processors], index * region_sectors, index + 1, 150, wrong, failed}));
        }
        trouble.spawn(fail_often(failing, *driver, group, failures));
        REQUIRE(run_blocking(home, join(group)).has_value());
        REQUIRE(run_blocking(home, join(trouble)).has_value());
    }
    u64 resets = driver->statistics().resets;
    (void)run_blocking(home, driver->close());
    driver.reset();
    (void)run_blocking(home, close_device(*device));
    CAPTURE(resets, failures);
    REQUIRE(wrong == 0);
    REQUIRE(failed == 0);
    REQUIRE(device->arena().check_freed());
}

}  // namespace
}  // namespace undercroft::test
