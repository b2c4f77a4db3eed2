// StopSignal: a signalfd read over the ring.
#include "hostsim/program/stop_signal.hpp"

#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "hostsim/platform/ring_platform.hpp"

namespace undercroft {

namespace {

sigset_t stop_signals() {
    sigset_t set;
    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    return set;
}

}  // namespace

StopSignal::StopSignal() {
    sigset_t set = stop_signals();
    (void)pthread_sigmask(SIG_BLOCK, &set, nullptr);
    file_ = signalfd(-1, &set, SFD_CLOEXEC);
    if (file_ < 0) {
        PANIC("no signalfd: error %d", errno);
    }
}

StopSignal::~StopSignal() { close(file_); }

Task<Result<int>> StopSignal::wait(CancelToken cancel) {
    signalfd_siginfo information{};
    while (true) {
        i32 got = co_await ring_operation(
            [&](io_uring_sqe* entry) { io_uring_prep_read(entry, file_, &information, sizeof(information), 0); },
            cancel);
        if (got == -ECANCELED) {
            co_return fail(Error::cancelled);
        }
        if (got == sizeof(information)) {
            sigset_t set = stop_signals();
            (void)pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
            co_return static_cast<int>(information.ssi_signo);
        }
    }
}

}  // namespace undercroft
