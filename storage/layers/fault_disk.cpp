// FaultDisk: choosing a rule, and doing what it says.
#include "storage/layers/fault_disk.hpp"

#include "kernel/async/wait_queue.hpp"
#include "storage/segments.hpp"

namespace undercroft {

namespace {

std::string problem_with(const FaultRule& rule) {
    FaultOperations writes = static_cast<FaultOperations>(FaultOperation::write);
    if (rule.operations == 0 || (rule.operations & ~all_fault_operations) != 0) {
        return "names no operation";
    }
    if (rule.one_in == 0) {
        return "acts on one in 0 operations";
    }
    if (rule.range && (rule.range->count == 0 || rule.range->count > ~u64{0} - rule.range->start)) {
        return "has an empty range, or one past the end of every disk";
    }
    switch (rule.action) {
    case FaultAction::fail:
        return rule.error ? "" : "fails without an error";
    case FaultAction::delay:
        return rule.delay_ns > 0 && rule.delay_ns <= FaultDisk::delay_max_ns ? ""
                                                                             : "delays by nothing, or by over an hour";
    case FaultAction::corrupt:
        return (rule.operations & ~data_fault_operations) == 0 ? "" : "corrupts something other than reads and writes";
    case FaultAction::tear:
        return rule.operations == writes ? "" : "tears something other than writes";
    case FaultAction::hold:
        return "";
    }
    return "has no action";
}

bool touches(const std::optional<SectorRange>& place, SectorRange range) {
    return !place || (range.start < place->start + place->count && place->start < range.start + range.count);
}

/// One bit of each sector, at a place that depends on `random`.
void flip_bits(SegmentList segments, u32 sector_size, u64 random) {
    SegmentCursor cursor(segments);
    while (!cursor.at_end()) {
        u64 place = random % sector_size;
        cursor.skip(place);
        cursor.contiguous()[0] ^= std::byte{1} << (random >> 32) % 8;
        cursor.skip(sector_size - place);
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
    }
}

}  // namespace

Composition<std::shared_ptr<FaultDisk>> FaultDisk::create(Disk below, std::span<const FaultRule> rules, u64 seed) {
    std::shared_ptr<FaultDisk> disk(new FaultDisk(std::move(below)));
    TRY(disk->set_rules(rules, seed));
    return disk;
}

Composition<void> FaultDisk::set_rules(std::span<const FaultRule> rules, u64 seed) {
    if (rules.size() > rules_max) {
        return refused("there are " + in_digits(rules.size()) + " fault rules, and at most " + in_digits(rules_max) +
                       " can be");
    }
    for (usize index = 0; index < rules.size(); ++index) {
        if (std::string problem = problem_with(rules[index]); !problem.empty()) {
            return refused("fault rule " + in_digits(index + 1) + " " + problem);
        }
    }
    SpinlockGuard guard(lock_);
    rule_count_ = rules.size();
    for (usize index = 0; index < rules.size(); ++index) {
        rules_[index] = {.rule = rules[index], .counters = {}};
    }
    random_.reseed(seed);
    has_rules_.store(rule_count_ > 0, std::memory_order_release);
    return {};
}

void FaultDisk::release() { releases_.set(releases_.get() + 1); }

usize FaultDisk::rule_count() const {
    SpinlockGuard guard(lock_);
    return rule_count_;
}

FaultRule FaultDisk::rule(usize index) const {
    SpinlockGuard guard(lock_);
    ASSERT(index < rule_count_);
    return rules_[index].rule;
}

FaultCounters FaultDisk::counters(usize index) const {
    SpinlockGuard guard(lock_);
    ASSERT(index < rule_count_);
    return rules_[index].counters;
}

std::optional<FaultDisk::Verdict> FaultDisk::judge(FaultOperation operation, SectorRange range) {
    if (!has_rules_.load(std::memory_order_acquire)) [[likely]] {
        return std::nullopt;
    }
    SpinlockGuard guard(lock_);
    for (LiveRule& live : std::span(rules_).first(rule_count_)) {
        const FaultRule& rule = live.rule;
        FaultCounters& counters = live.counters;
        if ((rule.operations & static_cast<FaultOperations>(operation)) == 0 || !touches(rule.range, range)) {
            continue;
        }
        ++counters.matched;
        if (counters.matched <= rule.skip || (rule.count != 0 && counters.acted == rule.count) ||
            random_.next() % rule.one_in != 0) {
            continue;
        }
        ++counters.acted;
        return Verdict{.action = rule.action, .error = rule.error, .delay_ns = rule.delay_ns, .random = random_.next()};
    }
    return std::nullopt;
}

Task<DiskResult<void>> FaultDisk::wait_as_told(Verdict verdict, CancelToken cancel) {
    if (verdict.action == FaultAction::fail) {
        co_return fail(*verdict.error);
    }
    if (verdict.action == FaultAction::delay &&
        (co_await sleep_for(verdict.delay_ns, cancel)).error() == Error::cancelled) {
        co_return fail(DiskError::cancelled);
    }
    if (verdict.action == FaultAction::hold) {
        held_.fetch_add(1, std::memory_order_relaxed);
        DiskResult<u64> released = co_await releases_.wait(releases_.get(), cancel);
        held_.fetch_sub(1, std::memory_order_relaxed);
        CO_TRY(released);
    }
    co_return DiskResult<void>{};
}

template <typename T, typename Operation>
Task<DiskResult<T>> FaultDisk::faulty(Verdict verdict, CancelToken cancel, Operation operation) {
    CO_TRY(co_await wait_as_told(verdict, cancel));
    co_return co_await operation();
}

Task<DiskResult<void>> FaultDisk::read_badly(Verdict verdict, u64 sector, SegmentList into, CancelToken cancel) {
    CO_TRY(co_await wait_as_told(verdict, cancel));
    CO_TRY(co_await below_.read(sector, into, cancel));
    if (verdict.action == FaultAction::corrupt) {
        flip_bits(into, below_.sector_size(), verdict.random);
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> FaultDisk::write_badly(Verdict verdict, u64 sector, SegmentList from, ForceUnitAccess fua,
                                              CancelToken cancel) {
    CO_TRY(co_await wait_as_told(verdict, cancel));
    if (verdict.action == FaultAction::corrupt) {
        co_return co_await write_corrupted(verdict, sector, from, fua, cancel);
    }
    if (verdict.action == FaultAction::tear) {
        co_return co_await write_torn(verdict, sector, from, fua, cancel);
    }
    co_return co_await below_.write(sector, from, fua, cancel);
}

// The caller's memory is the caller's: what is corrupted is a copy. Faults may ask the heap.
Task<DiskResult<void>> FaultDisk::write_corrupted(Verdict verdict, u64 sector, SegmentList from, ForceUnitAccess fua,
                                                  CancelToken cancel) {
    usize bytes = static_cast<usize>(total_bytes(from));
    std::unique_ptr<std::byte[]> copy(new (std::nothrow) std::byte[bytes]);
    if (copy == nullptr) {
        co_return fail(DiskError::io);
    }
    SegmentCursor(from).copy_out({copy.get(), bytes});
    MemorySegment segment{.data = copy.get(), .size = bytes};
    flip_bits({&segment, 1}, below_.sector_size(), verdict.random);
    co_return co_await below_.write(sector, {&segment, 1}, fua, cancel);
}

Task<DiskResult<void>> FaultDisk::write_torn(Verdict verdict, u64 sector, SegmentList from, ForceUnitAccess fua,
                                             CancelToken cancel) {
    u64 written = verdict.random % sectors_of(from);
    if (written > 0) {
        SegmentSlice first;
        SegmentCursor cursor(from);
        if (!first.assign(cursor, written * below_.sector_size())) {
            co_return fail(DiskError::io);
        }
        CO_TRY(co_await below_.write(sector, first.list(), fua, cancel));
    }
    if (verdict.error) {
        co_return fail(*verdict.error);
    }
    co_return DiskResult<void>{};
}

Task<DiskResult<void>> FaultDisk::read(u64 sector, SegmentList into, CancelToken cancel) {
    if (auto verdict = judge(FaultOperation::read, {.start = sector, .count = sectors_of(into)})) {
        return read_badly(*verdict, sector, into, cancel);
    }
    return below_.read(sector, into, cancel);
}

Task<DiskResult<void>> FaultDisk::write(u64 sector, SegmentList from, ForceUnitAccess fua, CancelToken cancel) {
    if (auto verdict = judge(FaultOperation::write, {.start = sector, .count = sectors_of(from)})) {
        return write_badly(*verdict, sector, from, fua, cancel);
    }
    return below_.write(sector, from, fua, cancel);
}

Task<DiskResult<void>> FaultDisk::flush(CancelToken cancel) {
    if (auto verdict = judge(FaultOperation::flush, {.start = 0, .count = ~u64{0}})) {
        return faulty<void>(*verdict, cancel, [=, this] { return below_.flush(cancel); });
    }
    return below_.flush(cancel);
}

Task<DiskResult<void>> FaultDisk::unmap(SectorRange range, CancelToken cancel) {
    if (auto verdict = judge(FaultOperation::unmap, range)) {
        return faulty<void>(*verdict, cancel, [=, this] { return below_.unmap(range, cancel); });
    }
    return below_.unmap(range, cancel);
}

Task<DiskResult<void>> FaultDisk::write_zeroes(SectorRange range, bool allow_unmap, ForceUnitAccess fua,
                                               CancelToken cancel) {
    if (auto verdict = judge(FaultOperation::write_zeroes, range)) {
        return faulty<void>(*verdict, cancel,
                            [=, this] { return below_.write_zeroes(range, allow_unmap, fua, cancel); });
    }
    return below_.write_zeroes(range, allow_unmap, fua, cancel);
}

Task<DiskResult<BlockStatus>> FaultDisk::block_status(SectorRange range, CancelToken cancel) {
    if (auto verdict = judge(FaultOperation::block_status, range)) {
        return faulty<BlockStatus>(*verdict, cancel, [=, this] { return below_.block_status(range, cancel); });
    }
    return below_.block_status(range, cancel);
}

Task<DiskResult<Comparison>> FaultDisk::compare(u64 sector, SegmentList with, CancelToken cancel) {
    if (auto verdict = judge(FaultOperation::compare, {.start = sector, .count = sectors_of(with)})) {
        return faulty<Comparison>(*verdict, cancel, [=, this] { return below_.compare(sector, with, cancel); });
    }
    return below_.compare(sector, with, cancel);
}

}  // namespace undercroft
