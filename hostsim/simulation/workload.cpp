// Workers and their operations.
#include "hostsim/simulation/workload.hpp"

#include <algorithm>

namespace undercroft::simulation {

namespace {

constexpr usize unreachable_bytes = 2 * mib;
/// A request of the layer above may take so many commands of the driver one after the other.
constexpr u64 commands_per_request_max = 8;
/// How often memory that was given back is looked at: each so many operations.
constexpr u64 late_write_check_interval = 256;
/// What a guest adds to the time that its controller takes: timeouts, aborts and resets, each as often as it tries.
constexpr u64 guest_bound_ns = 3000 * nanoseconds_per_second;

}  // namespace

OperationBuffer::OperationBuffer(const Machine& machine, DmaArena& unreachable, usize size_bytes,
                                 SeededRandom& random) {
    bool guest = machine.plan.guest.is_there;
    bool reachable = guest || random.chance(700);
    u64 offset = random.chance(500) ? 0 : random.below(page_size / 4) * 4;
    DmaArena& arena = reachable ? machine.memory : unreachable;
    memory_ = arena.allocate(offset + size_bytes).value();
    bytes_ = memory_.bytes().subspan(offset, size_bytes);
    cut(guest, random);
}

void OperationBuffer::cut(bool at_pages, SeededRandom& random) {
    usize done = 0;
    while (done < bytes_.size()) {
        usize piece = bytes_.size() - done;
        if (at_pages) {
            piece = std::min(piece, page_size - reinterpret_cast<usize>(bytes_.data() + done) % page_size);
        } else if (random.chance(300)) {
            piece = 1 + random.below(piece);
        }
        segments_.push_back({.data = bytes_.data() + done, .size = piece});
        done += piece;
    }
}

Workload::Workload(const Machine& machine, SectorOracle& oracle)
    : machine_(machine), plan_(machine.plan), recorder_(machine.recorder), oracle_(oracle),
      unreachable_(unreachable_bytes), bound_ns_(commands_per_request_max * machine.plan.driver.request_bound_ns() +
                                                 (machine.plan.guest.is_there ? guest_bound_ns : 0)) {}

void Workload::run(const Disk& disk, SeededRandom random, const std::function<bool()>& done) {
    stopping_ = false;
    for (u64 index = 0; index < plan_.workers; ++index) {
        Worker worker{.random = random.fork(),
                      .index = index,
                      .first_sector = index / plan_.workers_per_region * Plan::region_sectors};
        if ((plan_.filter.workers >> (index % 64) & 1) == 0) {
            continue;
        }
        CurrentExecutorScope scope(machine_.processors.executor(index % plan_.processors));
        groups_.push_back(std::make_unique<TaskGroup>());
        ++running_;
        groups_.back()->spawn(work(disk, worker));
    }
    while (running_ > 0 && !done()) {
        machine_.processors.step(machine_.processors.now_ns() + 2 * bound_ns_);
    }
}

void Workload::stop() {
    stopping_ = true;
    machine_.processors.run_until([this] { return running_ == 0; }, machine_.processors.now_ns() + 2 * bound_ns_);
    groups_.clear();
    check_late_writes();
}

Task<void> Workload::work(const Disk& disk, Worker worker) {
    for (u64 count = 0; count < plan_.operations_per_worker && !stopping_; ++count) {
        SeededRandom random = worker.random.fork();
        if (started_ >= plan_.filter.operations_max) {
            break;
        }
        ++started_;
        u64 offset = random.below(Plan::region_sectors);
        u64 sectors = 1 + random.below(std::min(Plan::sectors_per_request_max, Plan::region_sectors - offset));
        u64 choice = random.below(1000);
        bool cancelled = random.chance(plan_.mix.cancelled);
        u64 pause_ns = random.below(plan_.mix.pause_max_ns);
        u64 before = Executor::current().now_ns();
        Operation operation{.disk = disk,
                            .random = random,
                            .worker = worker.index,
                            .range = {.start = worker.first_sector + offset, .count = sectors}};
        OperationResult result =
            cancelled ? co_await carry_out_cancelled(operation, choice) : co_await carry_out(operation, choice);
        u64 elapsed = Executor::current().now_ns() - before;
        recorder_.expect(elapsed <= bound_ns_, "an operation took too long");
        recorder_.note(choice ^ elapsed << 8);
        recorder_.note(result ? 0 : 1 + static_cast<u64>(result.error()));
        Counters& counters = recorder_.report.counters;
        ++counters.operations;
        counters.failures += !result.has_value();
        if (counters.operations % late_write_check_interval == 0) {
            check_late_writes();
        }
        (void)co_await sleep_for(pause_ns);
    }
    --running_;
}

Task<Workload::OperationResult> Workload::carry_out(Operation operation, u64 choice) {
    const WorkloadMix& mix = plan_.mix;
    bool durable = operation.random.chance(mix.durable);
    u64 bound = mix.write;
    if (choice < bound) {
        return write(operation, durable);
    }
    bound += mix.flush;
    if (choice < bound) {
        return flush(operation);
    }
    bound += mix.unmap;
    if (choice < bound) {
        return unmap(operation);
    }
    bound += mix.write_zeroes;
    if (choice < bound) {
        return write_zeroes(operation, durable);
    }
    bound += mix.block_status;
    if (choice < bound) {
        return check_status(operation);
    }
    if (choice < bound + mix.compare) {
        return compare(operation);
    }
    return read(operation);
}

static Task<void> cancel_later(CancelSource& source, u64 delay_ns, CancelToken withdrawn) {
    Result<void> slept = co_await sleep_for(delay_ns, withdrawn);
    if (slept.error() == Error::timed_out) {
        source.cancel();
    }
}

Task<Workload::OperationResult> Workload::carry_out_cancelled(Operation operation, u64 choice) {
    CancelSource source;
    TaskGroup group;
    operation.cancel = source.token();
    group.spawn(cancel_later(source, operation.random.below(2 * nanoseconds_per_millisecond), group.token()));
    OperationResult result = co_await carry_out(operation, choice);
    group.stop();
    (void)co_await group.join();
    recorder_.report.counters.cancelled += !result && result.error() == DiskError::cancelled;
    co_return result;
}

/// What holds of every result.
void Workload::check_result(const Operation& operation, const char* what, const OperationResult& result, bool durable) {
    u64 end = operation.range.start + operation.range.count;
    if (!result && result.error() == DiskError::illegal_block && end <= smallest_sectors) {
        recorder_.problem(std::string(what) + " of sectors that the disk always had is past its end",
                          operation.range.start);
    }
    if (!result && result.error() == DiskError::cancelled && !operation.cancel.is_cancelled()) {
        recorder_.problem(std::string(what) + " ended as cancelled, and nobody asked", operation.range.start);
    }
    if (recorder_.keeps_history()) {
        recorder_.event("worker " + std::to_string(operation.worker) + ": " + what + (durable ? " with FUA" : "") +
                            (result ? " done" : std::string(" failed: ") + undercroft::to_string(result.error())),
                        operation.range.start, operation.range.count);
    }
}

void Workload::check_fence(const char* what, const OperationResult& result, u64 fence, u64 now) {
    if (result && fence != 0 && fence == now) [[unlikely]] {
        recorder_.problem(std::string(what) + " has passed another host's reservation");
    }
}

Task<Workload::OperationResult> Workload::write(Operation operation, bool durable) {
    auto [first, count] = operation.range;
    u32 sector_size = operation.disk.sector_size();
    OperationBuffer buffer(machine_, unreachable_, count * sector_size, operation.random);
    Contents stamp = ++last_stamp_;
    for (u64 index = 0; index < count; ++index) {
        fill_sector(buffer.bytes().subspan(index * sector_size, sector_size), stamp, first + index);
    }
    SectorOracle::WriteId id = oracle_.begin_write(first, count, stamp);
    if (recorder_.keeps_history()) {
        recorder_.event("worker " + std::to_string(operation.worker) + ": write " + std::to_string(stamp) +
                            (durable ? " with FUA begins" : " begins"),
                        first, count);
    }
    u64 fence = machine_.fence.against_writes();
    OperationResult result = co_await operation.disk.write(
        first, buffer.segments(), durable ? ForceUnitAccess::yes : ForceUnitAccess::no, operation.cancel);
    if (plan_.writes_reach_reservations()) {
        check_fence("a write", result, fence, machine_.fence.against_writes());
    }
    oracle_.end_write(id, first, count, result.has_value(), durable && operation.disk.facts().fua_respected);
    check_result(operation, recorder_.keeps_history() ? ("write " + std::to_string(stamp)).c_str() : "write", result,
                 durable);
    co_return result;
}

void Workload::check_contents(u64 sector, std::span<const std::byte> bytes, u64 began) {
    Contents contents = contents_of(bytes, sector);
    if (!oracle_.check_read(sector, contents, began)) [[unlikely]] {
        recorder_.problem("sector " + std::to_string(sector) + " reads as " + to_string(contents) +
                              "; it may hold the last of: " + oracle_.describe(sector),
                          sector);
    }
}

Task<Workload::OperationResult> Workload::read(Operation operation) {
    auto [first, count] = operation.range;
    u32 sector_size = operation.disk.sector_size();
    OperationBuffer buffer(machine_, unreachable_, count * sector_size, operation.random);
    u64 began = oracle_.begin_read();
    u64 fence = machine_.fence.against_reads();
    OperationResult result = co_await operation.disk.read(first, buffer.segments(), operation.cancel);
    if (plan_.reads_reach_reservations()) {
        check_fence("a read", result, fence, machine_.fence.against_reads());
    }
    check_result(operation, "read", result);
    for (u64 index = 0; result && index < count; ++index) {
        check_contents(first + index, buffer.bytes().subspan(index * sector_size, sector_size), began);
    }
    oracle_.end_read(began);
    co_return result;
}

/// Reads, then compares with what was read: where nobody else writes, they are equal.
Task<Workload::OperationResult> Workload::compare(Operation operation) {
    auto [first, count] = operation.range;
    OperationBuffer buffer(machine_, unreachable_, count * operation.disk.sector_size(), operation.random);
    OperationResult result = co_await operation.disk.read(first, buffer.segments(), operation.cancel);
    check_result(operation, "read", result);
    if (!result) {
        co_return result;
    }
    DiskResult<Comparison> compared = co_await operation.disk.compare(first, buffer.segments(), operation.cancel);
    result = compared ? OperationResult{} : OperationResult(fail(compared.error()));
    check_result(operation, "compare", result);
    bool alone = plan_.workers_per_region == 1 && !plan_.resizes;
    recorder_.expect(!compared || compared->equal || !alone, "a sector differs from what was read of it just before");
    co_return result;
}

Task<Workload::OperationResult> Workload::flush(Operation operation) {
    u64 began = oracle_.now();
    OperationResult result = co_await operation.disk.flush(operation.cancel);
    if (result) {
        oracle_.flushed(began);
        ++recorder_.report.counters.flushes;
    }
    operation.range = {};
    check_result(operation, "flush", result);
    co_return result;
}

Task<Workload::OperationResult> Workload::unmap(Operation operation) {
    auto [first, count] = operation.range;
    UnmapBehavior behavior = operation.disk.facts().unmap;
    SectorOracle::WriteId id = 0;
    if (behavior != UnmapBehavior::ignored) {
        id = behavior == UnmapBehavior::zeroes ? oracle_.begin_write(first, count, zeros)
                                               : oracle_.begin_unspecified(first, count);
    }
    OperationResult result = co_await operation.disk.unmap(operation.range, operation.cancel);
    if (behavior != UnmapBehavior::ignored) {
        oracle_.end_write(id, first, count, result.has_value(), false);
    }
    check_result(operation, "unmap", result);
    co_return result;
}

Task<Workload::OperationResult> Workload::write_zeroes(Operation operation, bool durable) {
    auto [first, count] = operation.range;
    bool allow_unmap = operation.random.chance(500);
    SectorOracle::WriteId id = oracle_.begin_write(first, count, zeros);
    OperationResult result = co_await operation.disk.write_zeroes(
        operation.range, allow_unmap, durable ? ForceUnitAccess::yes : ForceUnitAccess::no, operation.cancel);
    oracle_.end_write(id, first, count, result.has_value(), durable && operation.disk.facts().fua_respected);
    check_result(operation, allow_unmap ? "write zeroes (may unmap)" : "write zeroes", result, durable);
    co_return result;
}

Task<Workload::OperationResult> Workload::check_status(Operation operation) {
    auto [first, count] = operation.range;
    std::vector<bool> unwritten;
    unwritten.reserve(count);
    for (u64 index = 0; index < count; ++index) {
        unwritten.push_back(oracle_.is_unwritten(first + index));
    }
    u64 began = oracle_.begin_read();
    DiskResult<BlockStatus> status = co_await operation.disk.block_status(operation.range, operation.cancel);
    bool knows = operation.disk.facts().knows_holes;
    OperationResult result = status ? OperationResult{} : OperationResult(fail(status.error()));
    check_result(operation, "block status", result);
    if (status) {
        recorder_.expect(status->sectors >= 1 && status->sectors <= count,
                         "block status tells of no sector, or of more than it was asked for");
        recorder_.expect(!knows || status->state != BlockState::unknown, "a disk that knows its holes does not know");
    }
    for (u64 index = 0; status && index < std::min(status->sectors, count); ++index) {
        if (status->state == BlockState::zero && !oracle_.check_read(first + index, zeros, began)) {
            recorder_.problem("block status says that sector " + std::to_string(first + index) +
                                  " is zeros; it may hold the last of: " + oracle_.describe(first + index),
                              first + index);
        }
        if (knows && status->state == BlockState::data && unwritten[index] && oracle_.is_unwritten(first + index)) {
            recorder_.problem("sector " + std::to_string(first + index) + " was never written, and is data",
                              first + index);
        }
    }
    oracle_.end_read(began);
    co_return result;
}

void Workload::write_all(const Disk& disk) {
    for (u64 sector = 0; sector < disk.sector_count() && recorder_.is_clean(); sector += Plan::region_sectors) {
        Operation operation{.disk = disk,
                            .random = SeededRandom(sector),
                            .worker = plan_.workers,
                            .range = {.start = sector, .count = Plan::region_sectors}};
        recorder_.expect(machine_.run(write(operation, true)).has_value(), "a first write failed");
    }
    u64 began = oracle_.now();
    recorder_.expect(machine_.run(disk.flush()).has_value(), "a first flush failed");
    oracle_.flushed(began);
}

void Workload::settle_all(const Disk& disk) {
    u32 sector_size = disk.sector_size();
    for (u64 first = 0; first < disk.sector_count(); first += Plan::region_sectors) {
        u64 count = std::min(Plan::region_sectors, disk.sector_count() - first);
        SeededRandom random(first);
        OperationBuffer buffer(machine_, unreachable_, count * sector_size, random);
        if (!machine_.run(disk.read(first, buffer.segments()))) {
            recorder_.problem("a read without faults failed", first);
            return;
        }
        for (u64 sector = first; sector < first + count; ++sector) {
            Contents contents =
                contents_of(buffer.bytes().subspan((sector - first) * sector_size, sector_size), sector);
            if (!oracle_.may_settle(sector, contents)) {
                recorder_.problem("after a power cycle sector " + std::to_string(sector) + " holds " +
                                      to_string(contents) + "; possible: " + oracle_.describe(sector),
                                  sector);
            }
            oracle_.settle(sector, contents);
            recorder_.note(contents);
        }
    }
}

bool Workload::memory_is_sound() const { return machine_.memory.check_freed() && unreachable_.check_freed(); }

void Workload::check_late_writes() {
    if (recorder_.is_clean()) {
        recorder_.expect(memory_is_sound(), "memory was written to after it was given back");
    }
}

}  // namespace undercroft::simulation
