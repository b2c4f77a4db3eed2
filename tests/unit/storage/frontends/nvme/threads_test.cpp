// The controller with a real thread for each executor: submissions, shared completion queues and resets from all sides.
// Says most under ThreadSanitizer.
#include <catch2/catch.hpp>

#include <atomic>
#include <thread>

#include "hostsim/platform/real_platform.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/frontends/nvme/controller.hpp"
#include "tests/unit/storage/frontends/nvme/fixture.hpp"

using namespace undercroft;
using namespace undercroft::test;
using namespace undercroft::nvme;

namespace {

/// Executors that run on threads of their own until they are told to stop.
class Threads final : public Machine {
public:
    explicit Threads(usize count) {
        for (usize index = 0; index < count; ++index) {
            processors_.push_back(std::make_unique<Processor>());
            executors.push_back(&processors_.back()->executor);
        }
        for (auto& processor : processors_) {
            processor->thread = std::thread([this, &processor = *processor] {
                CurrentExecutorScope scope(processor.executor);
                processor.executor.run_until([this] { return stopping_.load(); });
            });
        }
    }
    void stop() {
        stopping_ = true;
        for (auto& processor : processors_) {
            processor->platform.wake();
            processor->thread.join();
        }
        processors_.clear();
    }
    bool step() override {
        std::this_thread::yield();
        return true;
    }
    std::vector<Executor*> executors;

private:
    struct Processor {
        RealPlatform platform;
        Executor executor{platform};
        std::thread thread;
    };
    std::vector<std::unique_ptr<Processor>> processors_;
    std::atomic<bool> stopping_{false};
};

class CountingMessages final : public MessageSink {
public:
    void deliver(u64, u32) override { count.fetch_add(1); }
    std::atomic<u64> count{0};
};

struct Closer : Work {
    explicit Closer(Controller& owner) : Work(&Closer::run), controller(owner) {}
    static void run(Work& self) {
        auto& closer = static_cast<Closer&>(self);
        detail::run_root(close(closer), closer.unused);
    }
    static Task<void> close(Closer& closer) {
        co_await closer.controller.close();
        closer.closed.store(true);
    }
    Controller& controller;
    bool unused = false;
    std::atomic<bool> closed{false};
};

}  // namespace

TEST_CASE("queues on several threads, one completion queue for two of them, and resets in between", "[nvme][threads]") {
    Threads threads(3);
    GuestArena arena(16 * mib);
    CountingMessages messages;
    std::shared_ptr<RamDisk> disk = *RamDisk::create(ram_disk(4096));
    NamespaceConfig config{.id = 1, .disk = *Disk::create(disk)};
    auto controller = std::move(*Controller::create({.memory = arena.memory(),
                                                     .messages = messages,
                                                     .executors = threads.executors,
                                                     .namespaces = std::span(&config, 1)}));
    NvmeGuest guest(*controller, arena, threads);
    u64 buffer = arena.allocate(64 * page_size);
    for (int round = 0; round < 8; ++round) {
        REQUIRE(guest.enable());
        guest.enable_messages(8);
        GuestQueue first = *guest.create_queue_pair(1, 64);
        GuestQueue second = *guest.create_queue_pair(2, 64);
        GuestQueue third = guest.make_queue(3, 64);  // completes into the second's queue
        REQUIRE(guest.create_submission_queue(third, 2) == Status::success);
        // Each guest thread owns one completion queue; the last round leaves everything in flight.
        auto drive = [&](std::vector<GuestQueue*> queues, GuestQueue& completions, u32 seed) {
            u32 wanted = 600;
            u32 submitted = 0;
            u32 completed = 0;
            u32 in_flight = 0;
            while (completed < wanted) {
                while (submitted < wanted && in_flight < 40) {
                    GuestQueue& queue = *queues[submitted % queues.size()];
                    SubmissionEntry entry = NvmeGuest::command(submitted % 3 == 0 ? IoOpcode::write : IoOpcode::read, 1,
                                                               (submitted * 7 + seed) % 4000, 8);
                    entry.data_pointer.prp1 = buffer + (seed * 20 + submitted % 20) * page_size;
                    guest.submit(queue, entry);
                    ++submitted;
                    ++in_flight;
                }
                while (auto entry = guest.poll(completions)) {
                    completed += entry->status_field().status() == Status::success ? 1 : 10'000;
                    --in_flight;
                }
                std::this_thread::yield();
            }
            return completed == wanted;
        };
        bool first_done = false;
        std::thread other([&] { first_done = drive({&first}, first, 1); });
        bool second_done = drive({&second, &third}, second, 2);
        other.join();
        CHECK(first_done);
        CHECK(second_done);
        for (GuestQueue* queue : {&first, &second, &third}) {
            for (int count = 0; count < 10; ++count) {
                SubmissionEntry entry = NvmeGuest::command(IoOpcode::read, 1, 0, 8);
                entry.data_pointer.prp1 = buffer;
                guest.push(*queue, entry);
            }
            guest.ring(*queue);
        }
        if (round % 2 == 0) {
            REQUIRE(guest.delete_queue(AdminOpcode::delete_submission_queue, 3) == Status::success);
        }
        guest.write32(register_offset::configuration, 0);
        while (guest.status().ready()) {
            std::this_thread::yield();
        }
    }
    CHECK(messages.count.load() > 0);
    Closer closer(*controller);
    threads.executors.front()->post_remote(closer);
    while (!closer.closed.load()) {
        std::this_thread::yield();
    }
    threads.stop();
}
