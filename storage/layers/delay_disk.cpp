// DelayDisk. Without a delay an operation is the task of the disk below, and costs a few loads.
#include "storage/layers/delay_disk.hpp"

#include "kernel/async/wait_queue.hpp"

namespace undercroft {

namespace {

constexpr u64 slow_in = 50;  // one operation in so many is a slow one

std::string problem_with(const DelayTime& time, const char* what) {
    std::string name = std::string("the ") + what + " delay ";
    if (time.average_ns > DelayDisk::average_max_ns) {
        return name + "is longer than an hour";
    }
    if (time.p99_ns != 0 && time.p99_ns < time.average_ns) {
        return name + "has a 99th percentile below its average";
    }
    if (time.p99_ns > slow_in * time.average_ns) {
        return name + "has a 99th percentile of more than " + in_digits(slow_in) + " times its average";
    }
    return {};
}

/// Waits, then makes the operation. `operation` lives in this frame, so it is one that keeps nothing alive by itself.
template <typename T, typename Operation>
Task<DiskResult<T>> delayed(u64 delay_ns, CancelToken cancel, Operation operation) {
    Result<void> slept = co_await sleep_for(delay_ns, cancel);
    if (slept.error() == Error::cancelled) {
        co_return fail(DiskError::cancelled);
    }
    co_return co_await operation();
}

}  // namespace

Composition<std::shared_ptr<DelayDisk>> DelayDisk::create(Disk below, const DelayOptions& options) {
    std::shared_ptr<DelayDisk> disk(new DelayDisk(std::move(below)));
    TRY(disk->set(options));
    return disk;
}

Composition<void> DelayDisk::set(const DelayOptions& options) {
    for (std::string problem : {problem_with(options.read, "read"), problem_with(options.write, "write"),
                                problem_with(options.flush, "flush"), problem_with(options.unmap, "unmap")}) {
        if (!problem.empty()) {
            return refused(std::move(problem));
        }
    }
    read_.store(options.read);
    write_.store(options.write);
    flush_.store(options.flush);
    unmap_.store(options.unmap);
    seed_.store(options.seed, std::memory_order_relaxed);
    random_.reseed(options.seed);
    return {};
}

DelayOptions DelayDisk::options() const {
    return {.read = read_.load(),
            .write = write_.load(),
            .flush = flush_.load(),
            .unmap = unmap_.load(),
            .seed = seed_.load(std::memory_order_relaxed)};
}

void DelayDisk::LiveTime::store(const DelayTime& time) {
    p99_ns.store(time.p99_ns, std::memory_order_relaxed);
    average_ns.store(time.average_ns, std::memory_order_relaxed);
}

DelayTime DelayDisk::LiveTime::load() const {
    return {.average_ns = average_ns.load(std::memory_order_relaxed), .p99_ns = p99_ns.load(std::memory_order_relaxed)};
}

u64 DelayDisk::draw(const DelayTime& time, SeededSequence& random) {
    u64 average = time.average_ns;
    u64 p99 = time.p99_ns;
    if (p99 <= average) {
        return average;  // none given, or the halves of a change
    }
    if (random.next() % slow_in == 0) {
        return random.between(p99 / 2, p99 + p99 / 2);
    }
    // The others' average, so that 49 of them and one slow one have the asked-for average together; never above p99.
    u64 others = average > p99 / slow_in ? (average * slow_in - p99) / (slow_in - 1) : 0;
    return 2 * others <= p99 ? random.between(0, 2 * others) : random.between(2 * others - p99, p99);
}

u64 DelayDisk::delay_of(const LiveTime& time) {
    DelayTime now = time.load();
    return now.average_ns == 0 ? 0 : draw(now, random_);
}

Task<DiskResult<void>> DelayDisk::read(u64 sector, SegmentList into, CancelToken cancel) {
    if (u64 delay_ns = delay_of(read_); delay_ns > 0) {
        return delayed<void>(delay_ns, cancel, [=, this] { return below_.read(sector, into, cancel); });
    }
    return below_.read(sector, into, cancel);
}

Task<DiskResult<void>> DelayDisk::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    if (u64 delay_ns = delay_of(write_); delay_ns > 0) {
        return delayed<void>(delay_ns, cancel, [=, this] { return below_.write(sector, from, fua, cancel); });
    }
    return below_.write(sector, from, fua, cancel);
}

Task<DiskResult<void>> DelayDisk::flush(CancelToken cancel) {
    if (u64 delay_ns = delay_of(flush_); delay_ns > 0) {
        return delayed<void>(delay_ns, cancel, [=, this] { return below_.flush(cancel); });
    }
    return below_.flush(cancel);
}

Task<DiskResult<void>> DelayDisk::unmap(SectorRange range, CancelToken cancel) {
    if (u64 delay_ns = delay_of(unmap_); delay_ns > 0) {
        return delayed<void>(delay_ns, cancel, [=, this] { return below_.unmap(range, cancel); });
    }
    return below_.unmap(range, cancel);
}

Task<DiskResult<void>> DelayDisk::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                               CancelToken cancel) {
    if (u64 delay_ns = delay_of(write_); delay_ns > 0) {
        return delayed<void>(delay_ns, cancel,
                             [=, this] { return below_.write_zeroes(range, allow_unmap, fua, cancel); });
    }
    return below_.write_zeroes(range, allow_unmap, fua, cancel);
}

Task<DiskResult<Comparison>> DelayDisk::compare(u64 sector, SegmentList with, CancelToken cancel) {
    if (u64 delay_ns = delay_of(read_); delay_ns > 0) {
        return delayed<Comparison>(delay_ns, cancel, [=, this] { return below_.compare(sector, with, cancel); });
    }
    return below_.compare(sector, with, cancel);
}

}  // namespace undercroft
