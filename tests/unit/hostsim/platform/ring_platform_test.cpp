// The executor over io_uring: operations, a full ring, cancelling, deadlines, and wakes from other threads.
#include "hostsim/platform/ring_platform.hpp"

#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <catch2/catch.hpp>
#include <chrono>
#include <span>
#include <thread>

#include "hostsim/platform/executor_threads.hpp"
#include "kernel/async/event.hpp"
#include "kernel/async/task_group.hpp"

using namespace undercroft;

namespace {

struct Pipe {
    Pipe() { REQUIRE(pipe(ends) == 0); }
    ~Pipe() {
        close(ends[0]);
        close(ends[1]);
    }
    int ends[2] = {-1, -1};
};

struct Ring {
    explicit Ring(RingOptions options = {})
        : platform(std::move(*RingPlatform::create(options))), executor(*platform) {}
    std::unique_ptr<RingPlatform> platform;
    Executor executor;
};

Task<i32> read_from(int file, std::span<std::byte> into, WaitLimits limits = {}) {
    co_return co_await ring_operation(
        [&](io_uring_sqe* entry) {
            io_uring_prep_read(entry, file, into.data(), static_cast<unsigned>(into.size()), 0);
        },
        limits);
}

Task<i32> nop() {
    co_return co_await ring_operation([](io_uring_sqe* entry) { io_uring_prep_nop(entry); });
}

u64 elapsed_ms(u64 since_ns, RingPlatform& ring) { return (ring.now_ns() - since_ns) / nanoseconds_per_millisecond; }

}  // namespace

TEST_CASE("a ring carries out an operation and hands over the kernel's result") {
    Ring ring;
    Pipe pipe;
    REQUIRE(write(pipe.ends[1], "abc", 3) == 3);
    std::byte data[8];
    CHECK(run_blocking(ring.executor, read_from(pipe.ends[0], data)) == 3);
    CHECK(static_cast<char>(data[2]) == 'c');
    CHECK(run_blocking(ring.executor, read_from(-1, data)) == -EBADF);
    CHECK(ring.platform->in_flight() <= 1);  // the wake
}

TEST_CASE("operations past the ring's size wait their turn and all end") {
    Ring ring(RingOptions{.submission_entries = 4, .completion_entries = 8});
    constexpr usize count = 100;
    usize ended = 0;
    auto many = [](usize& ended) -> Task<void> {
        TaskGroup group;
        for (usize index = 0; index < count; ++index) {
            auto one = [](usize& ended) -> Task<void> {
                CHECK(co_await nop() == 0);
                ++ended;
            };
            group.spawn(one(ended));
        }
        CHECK(co_await group.join());
    };
    run_blocking(ring.executor, many(ended));
    CHECK(ended == count);
}

TEST_CASE("cancelled reads end, those that wait for the ring as well, and no byte is lost") {
    Ring ring(RingOptions{.submission_entries = 4, .completion_entries = 8});
    Pipe pipe;
    auto scenario = [](Pipe& pipe) -> Task<void> {
        TaskGroup group;
        std::vector<std::array<std::byte, 4>> buffers(40);
        usize cancelled = 0;
        auto one = [](int file, std::span<std::byte> into, CancelToken cancel, usize& cancelled) -> Task<void> {
            i32 result = co_await read_from(file, into, WaitLimits{.cancel = cancel});
            CHECK(result == -ECANCELED);
            ++cancelled;
        };
        for (auto& buffer : buffers) {
            group.spawn(one(pipe.ends[0], buffer, group.token(), cancelled));
        }
        (void)co_await sleep_for(nanoseconds_per_millisecond);
        CHECK(cancelled == 0);
        group.stop();
        CHECK(co_await group.join());
        CHECK(cancelled == buffers.size());
        CHECK(write(pipe.ends[1], "x", 1) == 1);
        std::byte byte[1];
        CHECK(co_await read_from(pipe.ends[0], byte) == 1);
    };
    run_blocking(ring.executor, scenario(pipe));
}

TEST_CASE("a token that asked before makes the operation end without the kernel") {
    Ring ring;
    Pipe pipe;
    std::byte data[4];
    CancelSource source;
    source.cancel();
    CHECK(run_blocking(ring.executor, read_from(pipe.ends[0], data, {.cancel = source.token()})) == -ECANCELED);
}

TEST_CASE("a deadline ends an operation in time, and a timer beside a submission is not late") {
    Ring ring;
    Pipe pipe;
    std::byte data[4];
    u64 start = ring.platform->now_ns();
    WaitLimits limits{.deadline_ns = start + 50 * nanoseconds_per_millisecond};
    CHECK(run_blocking(ring.executor, read_from(pipe.ends[0], data, limits)) == -ETIME);
    u64 took = elapsed_ms(start, *ring.platform);
    CHECK(took >= 50);
    CHECK(took < 95);  // one wait, not a second one of the same length after the submission
}

TEST_CASE("another thread wakes a sleeping ring, again and again") {
    auto threads = std::move(*ExecutorThreads::create(2));
    auto bounce = [](ExecutorThreads& threads) -> Task<u64> {
        u64 turns = 0;
        for (; turns < 2000; ++turns) {
            co_await resume_on(threads.executor(1));
            if (turns % 200 == 0) {
                CHECK(co_await nop() == 0);
                (void)co_await sleep_for(nanoseconds_per_millisecond / 2);
            }
            co_await resume_on(threads.executor(0));
        }
        co_return turns;
    };
    CHECK(threads->run(bounce(*threads)) == 2000);
}

TEST_CASE("a spinning ring finds completions and wakes without sleeping") {
    RingOptions options{.spin_ns = 100 * nanoseconds_per_millisecond};
    Ring ring(options);
    Pipe pipe;
    std::thread writer([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
        CHECK(write(pipe.ends[1], "abcd", 4) == 4);
    });
    std::byte data[4];
    CHECK(run_blocking(ring.executor, read_from(pipe.ends[0], data)) == 4);
    CHECK(ring.platform->wait_count() == 0);
    writer.join();
}

TEST_CASE("work that is never idle does not starve the ring") {
    Ring ring;
    auto scenario = []() -> Task<bool> {
        TaskGroup group;
        bool ended = false;
        auto operation = [](bool& ended) -> Task<void> {
            CHECK(co_await nop() == 0);
            ended = true;
        };
        auto chatter = [](bool& ended) -> Task<void> {
            for (u64 turn = 0; turn < 10'000'000 && !ended; ++turn) {
                co_await yield();
            }
        };
        group.spawn(operation(ended));
        for (int index = 0; index < 3; ++index) {
            group.spawn(chatter(ended));
        }
        CHECK(co_await group.join());
        co_return ended;
    };
    CHECK(run_blocking(ring.executor, scenario()));
    CHECK(ring.platform->wait_count() == 0);
}
