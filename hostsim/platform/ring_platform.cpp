// RingPlatform and RingOperation.
#include "hostsim/platform/ring_platform.hpp"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

namespace undercroft {

namespace {

constexpr char ring_kind = 0;

/// Completions that belong to no operation.
constexpr u64 tag_wake = 1;
constexpr u64 tag_cancel = 2;
constexpr u64 tag_last = 2;

/// Taken out of the completion ring before their owners run.
constexpr unsigned reap_batch = 64;
/// How often the clock is read while spinning.
constexpr unsigned spin_turns = 32;
/// How late the kernel may be with a timer: by default as late as a whole short pause.
constexpr unsigned long timer_slack_ns = nanoseconds_per_microsecond;
/// What a submission that the kernel refuses for lack of memory is retried after.
constexpr u64 submit_retry_ns = nanoseconds_per_millisecond;

std::string explain(int error) {
    switch (error) {
    case ENOSYS:
        return "this kernel has no io_uring: Linux 6.1 or later is needed";
    case EPERM:
    case EACCES:
        return "io_uring is forbidden here: allow it (sysctl kernel.io_uring_disabled=0, or the container's seccomp "
               "profile)";
    case ENOMEM:
        return "no memory for an io_uring: raise the limit of locked memory (ulimit -l) or free some";
    case EMFILE:
    case ENFILE:
        return "no file descriptor for an io_uring: raise the limit of open files (ulimit -n)";
    default:
        return std::string("io_uring cannot be set up: ") + strerrordesc_np(error);
    }
}

}  // namespace

Result<std::unique_ptr<RingPlatform>, std::string> RingPlatform::create(const RingOptions& options) {
    std::unique_ptr<RingPlatform> platform(new RingPlatform(options));
    io_uring_params parameters{};
    parameters.flags = IORING_SETUP_CQSIZE | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                       IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG | IORING_SETUP_R_DISABLED;
    parameters.cq_entries = options.completion_entries;
    int status = io_uring_queue_init_params(options.submission_entries, &platform->ring_, &parameters);
    if (status < 0) {
        return std::unexpected(explain(-status));
    }
    platform->event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (platform->event_ < 0) {
        int error = errno;
        io_uring_queue_exit(&platform->ring_);
        return std::unexpected(explain(error));
    }
    // Two places stay free for the wake and for a cancellation.
    platform->in_flight_max_ = parameters.cq_entries - 2;
    return platform;
}

RingPlatform::~RingPlatform() {
    if (event_ < 0) {
        return;
    }
    ASSERT(in_flight_ <= (wake_armed_ ? 1U : 0U));
    ASSERT(waiting_first_ == nullptr);
    io_uring_queue_exit(&ring_);
    close(event_);
}

RingPlatform& RingPlatform::of(const Executor& executor) {
    ExecutorPlatform& platform = executor.platform();
    ASSERT(platform.kind() == &ring_kind);
    return static_cast<RingPlatform&>(platform);
}

bool RingPlatform::is_current() {
    return Executor::has_current() && Executor::current().platform().kind() == &ring_kind;
}

const void* RingPlatform::kind() const { return &ring_kind; }

u64 RingPlatform::now_ns() {
    timespec now{};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);  // cannot fail: clock and pointer are good
    return static_cast<u64>(now.tv_sec) * nanoseconds_per_second + static_cast<u64>(now.tv_nsec);
}

// The ring is made by one thread and may be run by another: it is enabled by the one that uses it.
void RingPlatform::enable() {
    if (enabled_) {
        return;
    }
    int status = io_uring_enable_rings(&ring_);
    if (status < 0) {
        PANIC("an io_uring cannot be enabled: error %d", -status);
    }
    (void)prctl(PR_SET_TIMERSLACK, timer_slack_ns);  // else short waits only take longer
    enabled_ = true;
}

void RingPlatform::arm_wake() {
    io_uring_sqe* entry = take_entry();
    if (entry == nullptr) {
        return;  // the next idle tries again
    }
    u64 count = 0;
    [[maybe_unused]] ssize_t got = read(event_, &count, sizeof(count));  // forgets wakes that were seen
    io_uring_prep_poll_multishot(entry, event_, POLLIN);
    io_uring_sqe_set_data64(entry, tag_wake);
    ++in_flight_;
    wake_armed_ = true;
}

void RingPlatform::wake() {
    if (sleep_.exchange(Sleep::woken, std::memory_order_acq_rel) == Sleep::sleeping) {
        u64 one = 1;
        [[maybe_unused]] ssize_t written = write(event_, &one, sizeof(one));
    }
}

io_uring_sqe* RingPlatform::take_entry() {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    if (entry == nullptr) {
        submit();
        entry = io_uring_get_sqe(&ring_);
    }
    return entry;
}

void RingPlatform::start(RingOperation& operation) {
    enable();
    io_uring_sqe* entry = nullptr;
    if (waiting_first_ == nullptr && in_flight_ < in_flight_max_) {
        entry = take_entry();
    }
    if (entry == nullptr) {
        operation.state_ = RingOperation::State::waiting;
        link(waiting_first_, waiting_last_, operation);
        return;
    }
    operation.prepare_(operation, *entry);
    // SAFETY: the operation outlives its completion: it is destroyed only when idle.
    io_uring_sqe_set_data(entry, &operation);
    operation.state_ = RingOperation::State::in_flight;
    ++in_flight_;
}

void RingPlatform::start_waiting() {
    while (cancelling_first_ != nullptr) {
        io_uring_sqe* entry = take_entry();
        if (entry == nullptr) {
            return;
        }
        RingOperation& operation = *cancelling_first_;
        unlink(cancelling_first_, cancelling_last_, operation);
        io_uring_prep_cancel(entry, &operation, 0);
        io_uring_sqe_set_data64(entry, tag_cancel);
        operation.state_ = RingOperation::State::cancelling;
        ++in_flight_;
    }
    while (waiting_first_ != nullptr && in_flight_ < in_flight_max_) {
        io_uring_sqe* entry = take_entry();
        if (entry == nullptr) {
            return;
        }
        RingOperation& operation = *waiting_first_;
        unlink(waiting_first_, waiting_last_, operation);
        operation.prepare_(operation, *entry);
        io_uring_sqe_set_data(entry, &operation);
        operation.state_ = RingOperation::State::in_flight;
        ++in_flight_;
    }
}

void RingPlatform::cancel(RingOperation& operation) {
    switch (operation.state_) {
    case RingOperation::State::waiting:
        unlink(waiting_first_, waiting_last_, operation);
        operation.finish(-ECANCELED);
        return;
    case RingOperation::State::in_flight:
        // The order of entries is the order of their execution: the cancellation finds this operation or nothing,
        // never a later one at the same address.
        operation.state_ = RingOperation::State::cancel_waiting;
        link(cancelling_first_, cancelling_last_, operation);
        start_waiting();
        return;
    default:
        return;  // asked already
    }
}

usize RingPlatform::reap() {
    usize count = 0;
    io_uring_cqe* entries[reap_batch];
    while (unsigned got = io_uring_peek_batch_cqe(&ring_, entries, reap_batch)) {
        for (unsigned index = 0; index < got; ++index) {
            u64 tag = io_uring_cqe_get_data64(entries[index]);
            if (tag > tag_last) {
                // SAFETY: every other tag is the address of an operation, which lives until its completion is seen.
                auto& operation = *reinterpret_cast<RingOperation*>(tag);
                if (operation.state_ == RingOperation::State::cancel_waiting) {
                    unlink(cancelling_first_, cancelling_last_, operation);
                }
                --in_flight_;
                operation.finish(entries[index]->res);
                ++completion_count_;
            } else if (tag == tag_cancel) {
                --in_flight_;
            } else if ((entries[index]->flags & IORING_CQE_F_MORE) == 0) {
                --in_flight_;
                wake_armed_ = false;
            }
        }
        io_uring_cq_advance(&ring_, got);
        count += got;
        if (got < reap_batch) {
            break;
        }
    }
    if (waiting_first_ != nullptr || cancelling_first_ != nullptr) {
        start_waiting();
    }
    return count;
}

// A submission may be refused while completions overflow or memory is short; what is not taken stays in the ring and
// goes with the next one.
void RingPlatform::submit() {
    enable();
    int status = io_uring_submit(&ring_);
    if (status < 0 && status != -EBUSY && status != -EAGAIN && status != -EINTR && status != -ENOMEM) {
        PANIC("io_uring_submit: error %d", -status);
    }
}

bool RingPlatform::something_happened() const {
    return io_uring_cq_ready(&ring_) != 0 ||
           (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0 ||
           sleep_.load(std::memory_order_relaxed) == Sleep::woken;
}

void RingPlatform::poll() {
    if (io_uring_sq_ready(&ring_) != 0) {
        submit();
    }
    if (enabled_ && (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0) {
        (void)io_uring_get_events(&ring_);  // what it cannot do now it says again
    }
    reap();
}

bool RingPlatform::spin(u64 deadline_ns) {
    if (spin_ns_ == 0 || !spin_allowed_ || !spin_credit_.allows()) {
        return false;
    }
    if (io_uring_sq_ready(&ring_) != 0) {
        submit();
    }
    u64 end = std::min(now_ns() + spin_ns_, deadline_ns);
    do {
        for (unsigned turn = 0; turn < spin_turns; ++turn) {
            if (something_happened()) {
                spin_credit_.earn();
                return true;
            }
            __builtin_ia32_pause();
        }
    } while (now_ns() < end);
    spin_credit_.spend();
    return false;
}

void RingPlatform::idle(u64 deadline_ns) {
    enable();
    if (!wake_armed_) {
        arm_wake();
    }
    if (io_uring_cq_ready(&ring_) != 0 && io_uring_sq_ready(&ring_) == 0) {
        reap();
        return;
    }
    if (spin(deadline_ns)) {
        poll();
        sleep_.store(Sleep::running, std::memory_order_release);
        return;
    }
    sleep(deadline_ns);
}

void RingPlatform::sleep(u64 deadline_ns) {
    Sleep expected = Sleep::running;
    if (!sleep_.compare_exchange_strong(expected, Sleep::sleeping, std::memory_order_acq_rel)) {
        sleep_.store(Sleep::running, std::memory_order_release);
        poll();
        return;
    }
    u64 now = now_ns();
    u64 rest = deadline_ns == no_deadline ? 3600 * nanoseconds_per_second : deadline_ns - std::min(deadline_ns, now);
    if (waiting_first_ != nullptr || !wake_armed_) {
        rest = std::min(rest, submit_retry_ns);
    }
    __kernel_timespec timeout{.tv_sec = static_cast<long long>(rest / nanoseconds_per_second),
                              .tv_nsec = static_cast<long long>(rest % nanoseconds_per_second)};
    io_uring_cqe* first = nullptr;
    ++wait_count_;
    int status = io_uring_submit_and_wait_timeout(&ring_, &first, 1, &timeout, nullptr);
    sleep_.store(Sleep::running, std::memory_order_release);
    bool refused = status == -EBUSY || status == -EAGAIN || status == -ENOMEM;
    if (status < 0 && !refused && status != -ETIME && status != -EINTR) {
        PANIC("io_uring_submit_and_wait_timeout: error %d", -status);
    }
    reap();
}

void RingPlatform::link(RingOperation*& first, RingOperation*& last, RingOperation& operation) {
    operation.next_ = nullptr;
    operation.previous_ = last;
    (last != nullptr ? last->next_ : first) = &operation;
    last = &operation;
}

void RingPlatform::unlink(RingOperation*& first, RingOperation*& last, RingOperation& operation) {
    (operation.previous_ != nullptr ? operation.previous_->next_ : first) = operation.next_;
    (operation.next_ != nullptr ? operation.next_->previous_ : last) = operation.previous_;
}

bool RingOperation::await_suspend(std::coroutine_handle<> waiter) {
    coroutine_ = waiter;
    executor_ = &Executor::current();
    ring_ = &RingPlatform::of(*executor_);
    if (!CancelRegistration::arm(limits_.cancel, &RingOperation::on_cancel)) {
        result_ = -ECANCELED;
        return false;
    }
    if (limits_.deadline_ns != no_deadline) {
        executor_->arm(*this, limits_.deadline_ns);
    }
    ring_->start(*this);
    return true;
}

void RingOperation::on_deadline(Timer& self) {
    auto& operation = static_cast<RingOperation&>(self);
    operation.timed_out_ = true;
    operation.ring_->cancel(operation);
}

void RingOperation::on_cancel(CancelRegistration& self) {
    auto& operation = static_cast<RingOperation&>(self);
    operation.ring_->cancel(operation);
}

void RingOperation::finish(i32 result) {
    executor_->disarm(*this);
    CancelRegistration::withdraw();
    // An operation that a worker thread of the kernel was carrying out ends with EINTR when it is cancelled.
    bool asked = state_ != State::in_flight;
    if (asked && (result == -ECANCELED || result == -EINTR)) {
        result = timed_out_ ? -ETIME : -ECANCELED;
    }
    result_ = result;
    state_ = State::idle;
    executor_->post(*this);
}

}  // namespace undercroft
