// RealPlatform: ppoll on an eventfd.
#include "hostsim/platform/real_platform.hpp"

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "kernel/base/assert.hpp"

namespace undercroft {

RealPlatform::RealPlatform() : event_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    if (event_ < 0) {
        PANIC("no eventfd: error %d", errno);
    }
}

RealPlatform::~RealPlatform() { close(event_); }

u64 RealPlatform::now_ns() {
    timespec now{};
    (void)clock_gettime(CLOCK_MONOTONIC, &now);  // cannot fail: clock and pointer are good
    return static_cast<u64>(now.tv_sec) * nanoseconds_per_second + static_cast<u64>(now.tv_nsec);
}

void RealPlatform::idle(u64 deadline_ns) {
    timespec timeout{};
    const timespec* limit = nullptr;
    if (deadline_ns != no_deadline) {
        u64 now = now_ns();
        u64 rest = deadline_ns > now ? deadline_ns - now : 0;
        timeout.tv_sec = static_cast<time_t>(rest / nanoseconds_per_second);
        timeout.tv_nsec = static_cast<long>(rest % nanoseconds_per_second);
        limit = &timeout;
    }
    pollfd descriptor{.fd = event_, .events = POLLIN, .revents = 0};
    if (ppoll(&descriptor, 1, limit, nullptr) > 0) {
        u64 count = 0;
        [[maybe_unused]] ssize_t got = read(event_, &count, sizeof(count));
    }
}

void RealPlatform::wake() {
    u64 one = 1;
    [[maybe_unused]] ssize_t written = write(event_, &one, sizeof(one));
}

}  // namespace undercroft
