// Disturbance.
#include "hostsim/simulation/disturbance.hpp"

#include "kernel/async/wait_queue.hpp"

namespace undercroft::simulation {

namespace {

constexpr u64 held_max_ns = 300 * nanoseconds_per_millisecond;
/// Between two times that the rival reserves, and how long it keeps what it has.
constexpr u64 peace_max_ns = 500 * nanoseconds_per_millisecond;
constexpr u64 reserved_max_ns = 100 * nanoseconds_per_millisecond;

constexpr ReservationHostId our_host{std::byte{1}};
constexpr ReservationHostId rival_host{std::byte{2}};
constexpr ReservationKey our_key = 0x11;
constexpr ReservationKey rival_key = 0x22;

}  // namespace

std::shared_ptr<DiskInterface> Disturbance::faulty(Disk below) {
    fault_ = FaultDisk::create(std::move(below), {}).value();
    return fault_;
}

std::shared_ptr<DiskInterface> Disturbance::reserved(const Disk& below) {
    auto registry = std::make_shared<ReservationRegistry>();
    ours_ = ReservationsDisk::create(below, registry, our_host);
    rivals_ = ReservationsDisk::create(below, registry, rival_host);
    return ours_;
}

void Disturbance::begin() {
    SeededRandom random = random_.fork();
    if (fault_ != nullptr && !plan_.fault_rules.empty()) {
        bool taken = fault_->set_rules(plan_.fault_rules, random.next() | 1).has_value();
        recorder_.expect(taken, "the fault layer refuses its rules");
        tasks_.spawn(let_go_now_and_then(random.fork()));
    }
    if (ours_ != nullptr && plan_.has_rival) {
        tasks_.spawn(contend(random.fork()));
    }
}

Task<Result<void>> Disturbance::end() {
    tasks_.stop();
    if (fault_ != nullptr) {
        for (usize index = 0; index < fault_->rule_count(); ++index) {
            recorder_.report.counters.layer_faults += fault_->counters(index).acted;
        }
        (void)fault_->set_rules({});  // none is never refused
        fault_->release();
    }
    co_return co_await tasks_.join();
}

Task<void> Disturbance::let_go_now_and_then(SeededRandom random) {
    CancelToken cancel = tasks_.token();
    while (!cancel.is_cancelled()) {
        (void)co_await sleep_for(1 + random.below(held_max_ns), cancel);
        fault_->release();
    }
}

void Disturbance::expect(const DiskResult<void>& result, const char* what) {
    if (!result) [[unlikely]] {
        recorder_.problem(std::string("a rival cannot ") + what + ": " + undercroft::to_string(result.error()));
    }
}

Task<void> Disturbance::contend(SeededRandom random) {
    CancelToken cancel = tasks_.token();
    while (!cancel.is_cancelled()) {
        (void)co_await sleep_for(1 + random.below(peace_max_ns), cancel);
        if (!cancel.is_cancelled()) {
            co_await contend_once(random);
        }
    }
}

/// Reserves with one of all types, keeps that for a while, and clears it.
Task<void> Disturbance::contend_once(SeededRandom& random) {
    PersistentReservations& rival = *rivals_->reservations();
    auto type = static_cast<ReservationType>(1 + random.below(6));
    bool admits_us = random.chance(400);
    expect(co_await rival.register_key({.new_key = rival_key}, {}), "register");
    if (admits_us) {
        expect(co_await ours_->reservations()->register_key({.new_key = our_key}, {}), "see us register");
    }
    recorder_.event("a rival reserves the disk");
    expect(co_await rival.reserve(rival_key, type, {}), "reserve");
    u64 pause_ns = 1 + random.below(reserved_max_ns);
    if (admits_us && admits_registrants(type)) {
        (void)co_await sleep_for(pause_ns, tasks_.token());
    } else {
        co_await exclude_for(pause_ns, type);
    }
    if (admits_us && random.chance(600)) {
        co_await preempt_us(random, type);
    }
    expect(co_await rival.clear(rival_key, {}), "clear");
    recorder_.event("the rival's reservation is cleared");
}

/// Takes our registration away with what we have in flight, and excludes us.
Task<void> Disturbance::preempt_us(SeededRandom& random, ReservationType held) {
    PersistentReservations& rival = *rivals_->reservations();
    auto type = static_cast<ReservationType>(1 + random.below(2));
    AbortTasks abort = random.chance(500) ? AbortTasks::yes : AbortTasks::no;
    expect(co_await rival.release(rival_key, held, {}), "release");
    recorder_.event("a rival preempts us");
    expect(co_await rival.preempt(rival_key, our_key, type, abort, {}), "preempt");
    expect(co_await rival.reserve(rival_key, type, {}), "reserve after it preempted");
    co_await exclude_for(1 + random.below(reserved_max_ns), type);
}

Task<void> Disturbance::exclude_for(u64 pause_ns, ReservationType type) {
    fence_.close(excludes_reads(type));
    ++recorder_.report.counters.exclusions;
    (void)co_await sleep_for(pause_ns, tasks_.token());
    fence_.open();
}

}  // namespace undercroft::simulation
