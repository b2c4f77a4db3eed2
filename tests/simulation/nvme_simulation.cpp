// The simulated machine, its workers, and what can befall it.
#include "tests/simulation/nvme_simulation.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <optional>

#include "drivers/nvme/driver.hpp"
#include "hostsim/devices/nvme_faults.hpp"
#include "hostsim/devices/simulated_medium.hpp"
#include "hostsim/platform/virtual_platform.hpp"
#include "storage/backends/nvme_disk.hpp"
#include "storage/layers/crypt_disk.hpp"
#include "tests/simulation/oracle.hpp"

namespace undercroft::test {

namespace {

constexpr u64 region_sectors = 32;  // of each worker: requests that overlap have no order, so they do not
constexpr u64 sectors_per_request_max = 16;
constexpr usize bounce_bytes_per_processor = 32 * page_size;
constexpr u64 settle_limit_ns = 3600 * nanoseconds_per_second;
/// A request of the layer above may take so many commands of the driver one after the other.
constexpr u64 commands_per_request_max = 4;

/// What the seed decides before anything runs.
struct Shape {
    explicit Shape(SeededRandom& random)
        : processors(1 + random.below(4)), workers(3 + random.below(10)),
          sector_size(random.below(2) == 0 ? 512 : 4096), encrypted(random.below(2) == 0), cycles(2 + random.below(3)),
          vectors(random.chance(200) ? 2 : 9) {
        bool calm = random.chance(250);
        medium = {.delayed = static_cast<u32>(random.below(300)),
                  .delay_max_ns = 1 + random.below(random.chance(300) ? 15 * nanoseconds_per_second
                                                                      : 50 * nanoseconds_per_millisecond),
                  .failed = calm ? 0 : static_cast<u32>(random.below(60)),
                  .stuck = calm ? 0 : static_cast<u32>(random.below(12)),
                  .wedged = random.chance(150) ? 2u : 0u};
        controller = {.fatal = random.chance(300) ? static_cast<u32>(random.below(8)) : 0,
                      .lost_interrupt = random.chance(300) ? static_cast<u32>(random.below(40)) : 0,
                      .wrong_id = random.chance(300) ? static_cast<u32>(random.below(10)) : 0};
        options.queue_entries_max = static_cast<u32>(2 + random.below(40));
    }
    usize processors;
    u64 workers;
    u32 sector_size;
    bool encrypted;
    u64 cycles;
    u16 vectors;
    MediumFaults medium;
    NvmeFaults controller;
    nvme::DriverOptions options;
};

/// Bounce memory of the crypt layer: a pool a processor.
class ProcessorPools final : public BounceSource {
public:
    ProcessorPools(DeviceHost& host, std::span<Executor* const> executors) {
        for (Executor* executor : executors) {
            pools_.push_back({executor, host.allocate_dma(bounce_bytes_per_processor).value(), nullptr});
            pools_.back().pool = std::make_unique<BouncePool>(pools_.back().memory.bytes());
        }
    }
    BouncePool& pool() override {
        auto own = std::find_if(pools_.begin(), pools_.end(),
                                [](const Entry& entry) { return entry.executor == &Executor::current(); });
        return *own->pool;
    }

private:
    struct Entry {
        Executor* executor;
        DmaBuffer memory;
        std::unique_ptr<BouncePool> pool;
    };
    std::vector<Entry> pools_;
};

class NvmeSimulation {
public:
    explicit NvmeSimulation(u64 seed)
        : random_(seed), shape_(random_), processors_(shape_.processors, random_.next()),
          executors_(processors_.executors()),
          medium_(shape_.workers * region_sectors, shape_.sector_size, random_.next()), plan_(random_.next()),
          oracle_(medium_.sector_count(), 0) {}

    SimulationReport run() {
        first_writes();
        for (u64 cycle = 0; cycle < shape_.cycles && report_.problems.empty(); ++cycle) {
            live_once();
            check_after_power_loss();
        }
        report_.virtual_ns = processors_.now_ns();
        note(report_.virtual_ns);
        return report_;
    }

private:
    struct Worker {
        SeededRandom random{0};
        u64 first_sector = 0;
    };

    // The machine

    template <typename T>
    T run_task(Task<T> task, usize processor = 0) {
        return processors_.run(std::move(task), processor, processors_.now_ns() + settle_limit_ns);
    }

    /// Plugs the device in and opens driver and disk. Whether that worked.
    bool start() {
        medium_.power_on();
        plan_.plug_in();
        nvme::NamespaceConfig name_space{
            .id = 1,
            .disk = Disk::create(std::shared_ptr<DiskInterface>(std::shared_ptr<void>(), &medium_)).value(),
            .nguid = {},
            .eui64 = {}};
        device_ = SimulatedNvme::create({.executors = executors_,
                                         .namespaces = std::span(&name_space, 1),
                                         .vectors = shape_.vectors,
                                         .tamper = &plan_})
                      .value();
        plan_.watch(&device_->arena());
        medium_.may_touch_memory = [this] { return device_->is_bus_master(); };
        auto opened = run_task(nvme::Driver::open(*device_, shape_.options, executors_));
        if (!opened) {
            return false;
        }
        driver_ = std::move(*opened);
        auto name_space_opened = run_task(driver_->open_namespace(1));
        if (!name_space_opened) {
            return false;
        }
        disk_ = Disk::create(NvmeDisk::create(*name_space_opened)).value();
        if (shape_.encrypted) {
            pools_.emplace(*device_, executors_);
            std::array<std::byte, 64> key{};
            for (usize index = 0; index < key.size(); ++index) {
                key[index] = static_cast<std::byte>(index + 1);
            }
            disk_ = Disk::create(CryptDisk::create(*disk_, key, *pools_).value()).value();
        }
        return true;
    }

    /// Ends driver and device; whether the controller confirmed the shutdown. The medium loses its power in between.
    bool stop() {
        bool confirmed = false;
        if (driver_ != nullptr) {
            nvme::host::DriverStatistics statistics = driver_->statistics();
            report_.resets += statistics.resets;
            report_.aborts += statistics.aborts;
            report_.violations += statistics.violations;
            report_.given_up += driver_->state() == nvme::Driver::State::failed;
            u64 before = processors_.now_ns();
            confirmed = run_task(driver_->close()).has_value();
            expect(processors_.now_ns() - before <= shape_.options.request_bound_ns(), "close took too long");
        }
        expect(!device_->is_bus_master(), "the device can reach memory after close");
        medium_.power_off();
        disk_.reset();
        pools_.reset();
        driver_.reset();
        (void)run_task(close_device());
        expect(device_->arena().check_freed(), "memory was written to after it was given back");
        expect(medium_.operations_under_way() == 0, "operations outlive the controller");
        medium_.may_touch_memory = nullptr;
        plan_.watch(nullptr);
        device_.reset();
        ++report_.power_cycles;
        return confirmed;
    }

    Task<Result<void>> close_device() {
        co_await device_->close();
        co_return Result<void>{};
    }

    void set_faults(bool on) {
        medium_.set_faults(on ? shape_.medium : MediumFaults{});
        plan_.set_faults(on ? shape_.controller : NvmeFaults{});
    }

    // Its life

    void first_writes() {
        set_faults(false);
        if (!start()) {
            problem("a device without faults did not open");
            return;
        }
        u64 began = oracle_.now();
        for (u64 sector = 0; sector < oracle_.sector_count() && report_.problems.empty(); sector += region_sectors) {
            expect(run_task(write(sector, region_sectors, true, next_stamp())).has_value(), "a first write failed");
        }
        expect(run_task(disk_->flush()).has_value(), "a first flush failed");
        oracle_.flushed(began);
        expect(stop(), "a shutdown without faults was not confirmed");
    }

    void live_once() {
        set_faults(true);
        bool open = start();
        bool confirmed = false;
        u64 began = 0;
        if (open) {
            u64 end_ns = processors_.now_ns() + random_.below(40 * nanoseconds_per_second);
            run_workers(end_ns);
            if (random_.chance(600)) {
                medium_.power_off();  // with everything under way
                plan_.pull_out();
            } else if (random_.chance(300)) {
                plan_.pull_out();
            }
            stopping_ = true;
            processors_.run_until([this] { return running_ == 0; },
                                  processors_.now_ns() +
                                      2 * commands_per_request_max * shape_.options.request_bound_ns());
            stopping_ = false;
            groups_.clear();
            set_faults(false);
            began = oracle_.now();
        }
        confirmed = stop();
        if (confirmed) {
            oracle_.flushed(began);
        }
    }

    /// Reads everything after a power cycle, without faults, and tells the oracle what it found.
    void check_after_power_loss() {
        set_faults(false);
        if (!start()) {
            problem("a device without faults did not open");
            return;
        }
        for (u64 sector = 0; sector < oracle_.sector_count(); sector += region_sectors) {
            std::vector<std::byte> bytes(region_sectors * shape_.sector_size);
            if (!run_task(read_into(sector, bytes))) {
                problem("a read without faults failed");
                break;
            }
            for (u64 index = 0; index < region_sectors; ++index) {
                std::optional<Stamp> stamp = stamp_of(bytes, index, sector + index);
                std::string history = oracle_.describe(sector + index);
                if (!stamp || !oracle_.settle(sector + index, *stamp)) {
                    problem("after a power cycle sector " + std::to_string(sector + index) + " holds " +
                            (stamp ? std::to_string(*stamp) : "garbage") + ", possible:" + history);
                }
                note(stamp.value_or(0));
            }
        }
        stop();
    }

    // Workers

    void run_workers(u64 end_ns) {
        for (u64 index = 0; index < shape_.workers; ++index) {
            CurrentExecutorScope scope(processors_.executor(index % shape_.processors));
            groups_.push_back(std::make_unique<TaskGroup>());
            ++running_;
            groups_.back()->spawn(work({random_.fork(), index * region_sectors}));
        }
        while (processors_.now_ns() < end_ns && running_ > 0) {
            processors_.step(processors_.now_ns() + settle_limit_ns);
        }
    }

    Task<void> work(Worker worker) {
        for (int count = 0; count < operations_per_worker && !stopping_; ++count) {
            u64 offset = worker.random.below(region_sectors);
            u64 sectors = 1 + worker.random.below(std::min(sectors_per_request_max, region_sectors - offset));
            u64 choice = worker.random.below(100);
            u64 before = Executor::current().now_ns();
            DiskResult<void> result;
            if (choice < 45) {
                result = co_await write(worker.first_sector + offset, sectors, choice < 6, next_stamp());
            } else if (choice < 90) {
                result = co_await check_read(worker.first_sector + offset, sectors);
            } else {
                result = co_await flush();
            }
            u64 elapsed = Executor::current().now_ns() - before;
            expect(elapsed <= commands_per_request_max * shape_.options.request_bound_ns(),
                   "an operation took too long");
            ++report_.operations;
            report_.failures += !result.has_value();
            note(choice ^ elapsed << 8);
            note(result ? 0 : 1 + static_cast<u64>(result.error()));
            (void)co_await sleep_for(worker.random.below(20 * nanoseconds_per_millisecond));
        }
        --running_;
    }

    Task<DiskResult<void>> flush() {
        u64 began = oracle_.now();
        DiskResult<void> result = co_await disk_->flush();
        if (result) {
            oracle_.flushed(began);
        }
        co_return result;
    }

    /// Memory that the device reaches, or does not, by turns.
    struct Buffer {
        DmaBuffer device_memory;
        std::vector<std::byte> host_memory;
        std::span<std::byte> bytes;
    };
    Buffer make_buffer(u64 size) {
        Buffer buffer;
        Result<DmaBuffer> device_memory = fail(Error::out_of_memory);
        if (random_.below(2) == 0) {
            device_memory = device_->allocate_dma(size);
        }
        if (device_memory) {
            buffer.device_memory = std::move(*device_memory);
            buffer.bytes = buffer.device_memory.bytes().first(size);
        } else {
            buffer.host_memory.resize(size);
            buffer.bytes = buffer.host_memory;
        }
        return buffer;
    }

    Task<DiskResult<void>> write(u64 sector, u64 count, bool durable, Stamp stamp) {
        Buffer buffer = make_buffer(count * shape_.sector_size);
        for (u64 index = 0; index < count; ++index) {
            fill(buffer.bytes.subspan(index * shape_.sector_size, shape_.sector_size), stamp, sector + index);
        }
        MemorySegment segment{buffer.bytes.data(), buffer.bytes.size()};
        DiskResult<void> result = co_await disk_->write(sector, SegmentList(&segment, 1),
                                                        durable ? ForceUnitAccess::yes : ForceUnitAccess::no);
        for (u64 index = 0; index < count; ++index) {
            if (result) {
                oracle_.written(sector + index, stamp, durable);
            } else {
                oracle_.maybe_written(sector + index, stamp);
            }
        }
        co_return result;
    }

    Task<DiskResult<void>> read_into(u64 sector, std::span<std::byte> bytes) {
        MemorySegment segment{bytes.data(), bytes.size()};
        co_return co_await disk_->read(sector, SegmentList(&segment, 1));
    }

    Task<DiskResult<void>> check_read(u64 sector, u64 count) {
        Buffer buffer = make_buffer(count * shape_.sector_size);
        DiskResult<void> result = co_await read_into(sector, buffer.bytes);
        for (u64 index = 0; result && index < count; ++index) {
            std::optional<Stamp> stamp = stamp_of(buffer.bytes, index, sector + index);
            if (!stamp || !oracle_.may_read(sector + index, *stamp)) {
                problem("sector " + std::to_string(sector + index) + " reads as " +
                        (stamp ? std::to_string(*stamp) : "garbage") + ", possible: the last of" +
                        oracle_.describe(sector + index));
            }
        }
        co_return result;
    }

    // Contents: stamp and sector number, over and over

    static void fill(std::span<std::byte> bytes, Stamp stamp, u64 sector) {
        u64 words[2] = {stamp, sector};
        for (usize at = 0; at < bytes.size(); at += sizeof(words)) {
            std::memcpy(bytes.data() + at, words, sizeof(words));
        }
    }
    std::optional<Stamp> stamp_of(std::span<const std::byte> bytes, u64 index, u64 sector) const {
        bytes = bytes.subspan(index * shape_.sector_size, shape_.sector_size);
        u64 first[2];
        std::memcpy(first, bytes.data(), sizeof(first));
        for (usize at = 0; at < bytes.size(); at += sizeof(first)) {
            if (std::memcmp(bytes.data() + at, first, sizeof(first)) != 0) {
                return std::nullopt;
            }
        }
        return first[1] == sector ? std::optional(first[0]) : std::nullopt;
    }
    Stamp next_stamp() { return ++stamps_; }

    // Findings

    void note(u64 value) { report_.digest = (report_.digest ^ value) * 0x100'0000'01b3 + processors_.now_ns(); }
    void problem(std::string text) {
        report_.problems.push_back("at " + std::to_string(processors_.now_ns()) + " ns: " + std::move(text));
    }
    void expect(bool condition, const char* text) {
        if (!condition) {
            problem(text);
        }
    }

    static constexpr int operations_per_worker = 60;

    SeededRandom random_;
    Shape shape_;
    SimulatedProcessors processors_;
    std::vector<Executor*> executors_;
    SimulatedMedium medium_;
    NvmeFaultPlan plan_;
    SectorOracle oracle_;
    std::unique_ptr<SimulatedNvme> device_;
    std::unique_ptr<nvme::Driver> driver_;
    std::optional<ProcessorPools> pools_;
    std::optional<Disk> disk_;
    std::vector<std::unique_ptr<TaskGroup>> groups_;
    Stamp stamps_ = 0;
    u64 running_ = 0;
    bool stopping_ = false;
    SimulationReport report_;
};

}  // namespace

SimulationReport simulate_nvme(u64 seed) { return NvmeSimulation(seed).run(); }

}  // namespace undercroft::test
