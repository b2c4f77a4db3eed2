// Operations that somebody else may have to end: each is known while it runs, by whose it is and a tag, and can be told to
// stop from any processor. Telling asks, as all cancelling does; who tells can wait until those told have ended.
#pragma once

#include "kernel/async/event.hpp"
#include "kernel/base/spinlock.hpp"
#include "storage/disk_size.hpp"

namespace undercroft {

class InFlightList;

/// One operation, in its coroutine's frame. Its token asks when the caller's does, and when it is aborted.
class InFlight : private Work, private CancelRegistration {
public:
    InFlight(CancelToken callers, u64 owner, u64 tag)
        : Work(&InFlight::run), executor_(Executor::current()), owner_(owner), tag_(tag) {
        if (!CancelRegistration::arm(callers, &InFlight::on_cancel)) {
            source_.cancel();
        }
    }
    CancelToken token() { return source_.token(); }
    u64 owner() const { return owner_; }
    u64 tag() const { return tag_; }

private:
    friend class InFlightList;
    static void run(Work& self) {
        auto& flight = static_cast<InFlight&>(self);
        flight.source_.cancel();
        flight.abort_arrived_.set();
    }
    static void on_cancel(CancelRegistration& self) { static_cast<InFlight&>(self).source_.cancel(); }

    Executor& executor_;
    CancelSource source_;
    u64 owner_;
    u64 tag_;
    u8 aborted_as_ = 0;  // under the list's lock; not 0: its post is on its way, or has run
    Event abort_arrived_;
    InFlight* next_ = nullptr;
    InFlight** link_ = nullptr;  // what points here
};

class InFlightList {
public:
    InFlightList() = default;
    InFlightList(const InFlightList&) = delete;
    InFlightList& operator=(const InFlightList&) = delete;
    ~InFlightList() { ASSERT(first_ == nullptr); }

    /// `flight` is known from now on, if `may()` says so, which is asked under the lock. Returns what it said.
    template <typename May>
    bool enter(InFlight& flight, May&& may) {
        SpinlockGuard guard(lock_);
        if (!may()) {
            return false;
        }
        flight.next_ = first_;
        flight.link_ = &first_;
        if (first_ != nullptr) {
            first_->link_ = &flight.next_;
        }
        first_ = &flight;
        return true;
    }
    /// The operation has ended: `flight` may go. Returns 0, or what it was aborted as. In the usual case, nothing waits.
    u8 leave(InFlight& flight) {
        if (flight.link_ == nullptr) {
            return 0;  // it was never known here
        }
        SpinlockGuard guard(lock_);
        *flight.link_ = flight.next_;
        if (flight.next_ != nullptr) {
            flight.next_->link_ = flight.link_;
        }
        return flight.aborted_as_;
    }
    /// After `leave` said that it was aborted, and before `flight` goes.
    Task<void> finish_abort(InFlight& flight);

    /// Tells each for which `matches(flight)` to end, `as` something that is not 0. Returns how many there were.
    template <typename Matches>
    usize abort(Matches&& matches, u8 as) {
        SpinlockGuard guard(lock_);
        usize count = 0;
        for (InFlight* flight = first_; flight != nullptr; flight = flight->next_) {
            if (matches(*flight) && flight->aborted_as_ == 0) {
                flight->aborted_as_ = as;
                ++aborting_;
                ++count;
                flight->executor_.post_remote(*flight);
            }
        }
        return count;
    }
    template <typename Matches>
    bool has(Matches&& matches) const {
        SpinlockGuard guard(lock_);
        const InFlight* flight = first_;
        while (flight != nullptr && !matches(*flight)) {
            flight = flight->next_;
        }
        return flight != nullptr;
    }
    /// How many there are.
    usize count() const {
        usize flights = 0;
        (void)has([&](const InFlight&) { return ++flights == 0; });
        return flights;
    }
    /// Runs `change()` under the lock.
    template <typename Change>
    void locked(Change&& change) {
        SpinlockGuard guard(lock_);
        change();
    }
    /// Ends when all that were told to end have. `cancelled` where `cancel` asks first.
    Task<DiskResult<void>> wait_for_aborted(CancelToken cancel);

private:
    mutable Spinlock lock_;
    InFlight* first_ = nullptr;
    u64 aborting_ = 0;
    DiskSize aborts_ended_{0};  // not a size: a number that can be waited for from any executor
};

}  // namespace undercroft
