// A timer of an emulated device. The device may be touched on any virtual processor; the timer fires on one executor,
// its home. Setting it elsewhere posts a note to the home, so it can fire late by that much, and can fire once for a
// deadline that was just replaced: a device computes what is due from the time.
#pragma once

#include <atomic>

#include "kernel/async/executor.hpp"

namespace undercroft {

class DeviceTimer : private Work, private Timer {
public:
    using Expired = void (*)(void* context);

    /// `expired(context)` runs on `home`, without any lock held.
    DeviceTimer(Executor& home, Expired expired, void* context)
        : Work(&DeviceTimer::on_posted), Timer(&DeviceTimer::on_timer), home_(home), expired_(expired),
          context_(context) {}
    /// On the home executor, or after its last round.
    ~DeviceTimer() {
        ASSERT(!is_posted_.load());
        home_.disarm(*this);
    }

    /// Now, on the clock that deadlines are on. From any processor.
    u64 now_ns() { return home_.now_ns(); }

    /// From any processor, one at a time (the device's lock sees to that): fires at `deadline_ns`, and no more at an
    /// earlier one; `no_deadline` disarms.
    void set(u64 deadline_ns) {
        if (wanted_.exchange(deadline_ns) == deadline_ns) {
            return;
        }
        if (home_.is_current()) {
            apply();
        } else if (!is_posted_.exchange(true)) {
            home_.post_remote(*this);
        }
    }

private:
    static void on_posted(Work& self) {
        auto& timer = static_cast<DeviceTimer&>(self);
        timer.is_posted_.store(false);  // before the deadline is read: a change after that posts again
        timer.apply();
    }
    static void on_timer(Timer& self) {
        auto& timer = static_cast<DeviceTimer&>(self);
        timer.wanted_.store(no_deadline);
        timer.expired_(timer.context_);
    }
    void apply() {
        home_.disarm(*this);
        u64 deadline = wanted_.load();
        if (deadline != no_deadline) {
            home_.arm(*this, deadline);
        }
    }

    Executor& home_;
    Expired expired_;
    void* context_;
    std::atomic<u64> wanted_{no_deadline};
    std::atomic<bool> is_posted_{false};
};

}  // namespace undercroft
