// Waking the waiters of a size on the executors where they wait.
#include "storage/disk_size.hpp"

#include "kernel/async/event.hpp"

namespace undercroft {

// One wait, in its coroutine's frame. Whoever changes the size unlinks it and posts it to its executor; from then on
// the frame must stay until the post has run, whatever else ends the wait.
class DiskSize::Watcher : public Work {
public:
    Watcher() : Work(&Watcher::run), executor(Executor::current()) {}

    Executor& executor;
    Event woken;
    Watcher* next = nullptr;
    Watcher** link = nullptr;  // what points here; null once unlinked
    bool posted = false;

private:
    static void run(Work& self) { static_cast<Watcher&>(self).woken.set(); }
};

DiskSize::~DiskSize() { ASSERT(first_ == nullptr); }

void DiskSize::wake_all() {
    while (first_ != nullptr) {
        Watcher& watcher = *first_;
        first_ = watcher.next;
        if (first_ != nullptr) {
            first_->link = &first_;
        }
        watcher.link = nullptr;
        watcher.posted = true;
        watcher.executor.post_remote(watcher);  // it may be gone from here on
    }
}

void DiskSize::set(u64 sectors) {
    SpinlockGuard guard(lock_);
    if (sectors_.exchange(sectors, std::memory_order_acq_rel) != sectors) {
        wake_all();
    }
}

void DiskSize::close() {
    SpinlockGuard guard(lock_);
    closed_ = true;
    wake_all();
}

bool DiskSize::link(Watcher& watcher, u64 known_sectors) {
    SpinlockGuard guard(lock_);
    if (closed_ || get() != known_sectors) {
        return false;
    }
    watcher.next = first_;
    watcher.link = &first_;
    if (first_ != nullptr) {
        first_->link = &watcher.next;
    }
    first_ = &watcher;
    return true;
}

Task<DiskResult<u64>> DiskSize::wait(u64 known_sectors, CancelToken cancel) {
    for (;;) {
        Watcher watcher;
        if (!link(watcher, known_sectors)) {
            if (get() != known_sectors) {
                co_return get();
            }
            co_return fail(DiskError::gone);
        }
        Result<void> outcome = co_await watcher.woken.wait({.cancel = cancel});
        bool posted = false;
        {
            SpinlockGuard guard(lock_);
            posted = watcher.posted;
            if (watcher.link != nullptr) {
                *watcher.link = watcher.next;
                if (watcher.next != nullptr) {
                    watcher.next->link = watcher.link;
                }
            }
        }
        if (posted && !watcher.woken.is_set()) {
            outcome = co_await watcher.woken.wait();  // the post is on its way and cannot fail to come
        }
        if (!outcome) {
            co_return fail(DiskError::cancelled);
        }
    }
}

}  // namespace undercroft
