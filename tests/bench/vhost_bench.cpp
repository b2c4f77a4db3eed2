// vhost-user disks, polled on both sides: the server's thread on one CPU, an initiator of our own on another, 4 KiB at
// depth 1 and 32, each way a virtual machine is given a disk (SCSI host, block device) over a disk that stores nothing, a
// disk in memory and an encrypted one. Servers of others, started by whoever starts this, may take part:
//
//     vhost_bench [NAME=blk:SOCKET | NAME=scsi:SOCKET]...
//
// Rounds are interleaved, every side once in each, and figures are medians. Leaves out a guest, and notifications.
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <string>
#include <thread>

#include "hostsim/platform/executor_threads.hpp"
#include "hostsim/servers/vhost_user/session.hpp"
#include "storage/frontends/virtio/block_device.hpp"
#include "storage/frontends/virtio/scsi_device.hpp"
#include "storage/scsi/block_unit.hpp"
#include "tests/bench/surroundings.hpp"
#include "tests/bench/vhost_initiator.hpp"

namespace undercroft {
namespace {

using vhost_user::Descriptor;
using vhost_user::Initiator;

constexpr u64 served_bytes = 8 * mib;
constexpr u32 sector_bytes = 4096;
constexpr int server_cpu = 0;
constexpr int initiator_cpu = 1;
constexpr u64 spin_ns = 100 * nanoseconds_per_millisecond;
constexpr auto measure_time = std::chrono::milliseconds(60);

struct Workload {
    const char* name;
    u32 depth;
    bool writes;
};
constexpr Workload workloads[] = {{.name = "read, depth 1", .depth = 1, .writes = false},
                                  {.name = "read, depth 32", .depth = 32, .writes = false},
                                  {.name = "write, depth 32", .depth = 32, .writes = true}};

void pin(int cpu) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0) {
        give_up("two CPUs are needed: one for the server, one for the initiator");
    }
}

Task<bool> serve(Descriptor socket, virtio::Device& device) {
    vhost_user::Session session(std::move(socket), device);
    co_await session.serve({});
    co_return true;
}

/// A server of ours with a thread of its own, for one initiator.
class Server {
public:
    Server(VirtioProtocol protocol, const std::function<Disk(Surroundings&)>& make_disk) {
        int ends[2] = {-1, -1};
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
            give_up("no socket");
        }
        client_end_ = Descriptor(ends[0]);
        thread_ = std::thread([protocol, &make_disk, end = ends[1]] {
            pin(server_cpu);
            (void)pthread_setname_np(pthread_self(), "server");  // for profilers
            Surroundings around;
            Disk disk = make_disk(around);
            auto threads = vhost_user_threads();
            if (protocol == VirtioProtocol::block) {
                virtio::BlockDevice device(std::move(disk), {.serial = "bench"});
                threads->run(serve(Descriptor(end), device));
                return;
            }
            virtio::ScsiDevice device(1);
            {
                CurrentExecutorScope scope(threads->executor(0));
                if (!device.target().add(0, std::make_shared<scsi::BlockUnit>(scsi::BlockUnitConfig{.disk = disk}))) {
                    give_up("no unit");
                }
            }
            threads->run(serve(Descriptor(end), device));
            threads->run(device.close());
        });
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;
    /// The initiator must have gone.
    ~Server() { thread_.join(); }
    Descriptor take_client_end() { return std::move(client_end_); }

private:
    static std::unique_ptr<ExecutorThreads> vhost_user_threads() {
        auto threads = ExecutorThreads::create(1, {.spin_ns = spin_ns});
        if (!threads) {
            give_up(threads.error().c_str());
        }
        return std::move(*threads);
    }
    Descriptor client_end_;
    std::thread thread_;
};

struct Side {
    std::string name;
    VirtioProtocol protocol = VirtioProtocol::block;
    const char* spdk = "";                              ///< millions of reads a second at depth 32, measured elsewhere
    std::function<Disk(Surroundings&)> disk;            ///< of a server of ours
    std::string socket;                                 ///< of somebody else's
    std::vector<double> samples[std::size(workloads)];  ///< ns a request

    void measure_round() {
        std::optional<Server> server;
        if (socket.empty()) {
            server.emplace(protocol, disk);
        }
        Initiator initiator(server ? server->take_client_end() : Initiator::connect(socket.c_str()), protocol,
                            served_bytes);
        for (usize index = 0; index < std::size(workloads); ++index) {
            samples[index].push_back(measure(initiator, workloads[index]));
        }
    }
    double ns(usize workload) const {
        std::vector<double> sorted = samples[workload];
        std::ranges::sort(sorted);
        return sorted[sorted.size() / 2];
    }

private:
    static double measure(Initiator& initiator, const Workload& workload) {
        u64 batch = workload.depth == 1 ? 1000 : 20'000;
        initiator.run(batch / 4, workload.depth, workload.writes);
        u64 done = 0;
        auto begin = std::chrono::steady_clock::now();
        auto now = begin;
        do {
            initiator.run(batch, workload.depth, workload.writes);
            done += batch;
            now = std::chrono::steady_clock::now();
        } while (now - begin < measure_time);
        return std::chrono::duration<double, std::nano>(now - begin).count() / static_cast<double>(done);
    }
};

std::vector<Side> our_sides() {
    auto null = [](Surroundings& around) { return around.null(sector_bytes, served_bytes); };
    auto memory = [](Surroundings& around) { return around.filled(around.ram(sector_bytes, served_bytes)); };
    auto crypt = [](Surroundings& around) {
        return around.filled(around.crypt(around.ram(sector_bytes, served_bytes)));
    };
    std::vector<Side> sides;
    auto add = [&](const char* name, VirtioProtocol protocol, const char* spdk,
                   std::function<Disk(Surroundings&)> disk) {
        Side side;
        side.name = name;
        side.protocol = protocol;
        side.spdk = spdk;
        side.disk = std::move(disk);
        sides.push_back(std::move(side));
    };
    add("vhost-user-scsi, null", VirtioProtocol::scsi, "5.3", null);
    add("vhost-user-scsi, memory", VirtioProtocol::scsi, "2.3", memory);
    add("vhost-user-scsi, encrypted memory", VirtioProtocol::scsi, "0.76", crypt);
    add("vhost-user-blk, null", VirtioProtocol::block, "4.8", null);
    add("vhost-user-blk, memory", VirtioProtocol::block, "2.4", memory);
    add("vhost-user-blk, encrypted memory", VirtioProtocol::block, "0.72", crypt);
    return sides;
}

Side others_side(std::string_view text) {
    usize equals = text.find('=');
    usize colon = text.find(':', equals == std::string_view::npos ? 0 : equals);
    if (equals == std::string_view::npos || colon == std::string_view::npos) {
        give_up("an argument has to be NAME=blk:SOCKET or NAME=scsi:SOCKET");
    }
    Side side;
    side.name = text.substr(0, equals);
    side.protocol =
        text.substr(equals + 1, colon - equals - 1) == "scsi" ? VirtioProtocol::scsi : VirtioProtocol::block;
    side.socket = text.substr(colon + 1);
    return side;
}

/// How long a cache line takes to the server's CPU and back: below that no polled request at depth 1 can come, and where
/// the host puts the two CPUs decides it.
double line_round_trip_ns() {
    constexpr u32 turns = 200'000;
    alignas(64) std::atomic<u32> line{0};
    std::thread other([&] {
        pin(server_cpu);
        for (u32 turn = 0; turn < turns; ++turn) {
            while (line.load(std::memory_order_acquire) != 2 * turn + 1) {
                __builtin_ia32_pause();
            }
            line.store(2 * turn + 2, std::memory_order_release);
        }
    });
    auto begin = std::chrono::steady_clock::now();
    for (u32 turn = 0; turn < turns; ++turn) {
        line.store(2 * turn + 1, std::memory_order_release);
        while (line.load(std::memory_order_acquire) != 2 * turn + 2) {
            __builtin_ia32_pause();
        }
    }
    double ns = std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - begin).count();
    other.join();
    return ns / turns;
}

int run_benchmark(std::span<char*> arguments) {
    std::vector<Side> sides = our_sides();
    for (char* argument : arguments) {
        sides.push_back(others_side(argument));
    }
    if (const char* only = std::getenv("ONLY"); only != nullptr) {
        std::erase_if(sides, [&](const Side& side) { return side.name.find(only) == std::string::npos; });
    }
    const char* rounds_text = std::getenv("ROUNDS");
    int rounds = rounds_text != nullptr ? std::max(1, std::atoi(rounds_text)) : 7;
    pin(initiator_cpu);
    std::vector<double> line_ns;
    for (int round = 0; round < rounds; ++round) {
        line_ns.push_back(line_round_trip_ns());
        for (Side& side : sides) {
            side.measure_round();
        }
    }
    std::ranges::sort(line_ns);
    std::printf(
        "4 KiB over vhost-user, server and initiator polling on a CPU each (median of %d rounds);\n"
        "millions a second, and ns a request; SPDK's is what was measured where a cache line took 118 ns to the\n"
        "other CPU and back, reads at depth 32. Here, in this run, it takes %.0f ns.\n%-36s",
        rounds, line_ns[line_ns.size() / 2], "");
    for (const Workload& workload : workloads) {
        std::printf("%22s", workload.name);
    }
    std::printf("%8s\n", "SPDK");
    for (const Side& side : sides) {
        std::printf("%-36s", side.name.c_str());
        for (usize index = 0; index < std::size(workloads); ++index) {
            std::printf("%10.2f M %7.0f ns", 1e3 / side.ns(index), side.ns(index));
        }
        std::printf("%8s\n", side.spdk);
    }
    return 0;
}

}  // namespace
}  // namespace undercroft

int main(int count, char** arguments) {
    return undercroft::run_benchmark({arguments + 1, static_cast<std::size_t>(count - 1)});
}
