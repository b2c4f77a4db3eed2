// One controller, its processors in virtual time, a disk that obeys, and the guest that drives it.
#pragma once

#include "hostsim/platform/virtual_platform.hpp"
#include "storage/frontends/nvme/controller.hpp"
#include "tests/support/nvme_guest.hpp"
#include "tests/unit/storage/frontends/nvme/fake_disk.hpp"

namespace undercroft::test {

/// Simulated processors as the guest's machine.
class SimulatedMachine final : public Machine {
public:
    explicit SimulatedMachine(SimulatedProcessors& processors) : processors_(processors) {}
    bool step() override {
        bool ran = false;
        for (usize index = 0; index < processors_.count(); ++index) {
            CurrentExecutorScope scope(processors_.executor(index));
            ran |= processors_.executor(index).run_ready();
        }
        if (ran) {
            return true;
        }
        u64 next = no_deadline;
        for (usize index = 0; index < processors_.count(); ++index) {
            next = std::min(next, processors_.executor(index).next_deadline_ns());
        }
        if (next == no_deadline) {
            return false;
        }
        processors_.clock().advance_to(next);
        return true;
    }

private:
    SimulatedProcessors& processors_;
};

inline RamDiskOptions ram_disk(u64 sectors, u32 sector_size = 512, bool read_only = false) {
    RamDiskOptions options;
    options.sectors = sectors;
    options.sector_size = sector_size;
    options.read_only = read_only;
    return options;
}

struct FixtureOptions {
    usize processors = 2;
    u64 seed = 0;
    RamDiskOptions disk = ram_disk(64 * 1024);
    u64 memory_bytes = 16 * mib;
};

class NvmeFixture {
public:
    explicit NvmeFixture(const FixtureOptions& options = {})
        : processors(options.processors, options.seed), machine(processors), arena(options.memory_bytes),
          disk(std::make_shared<FakeDisk>(options.disk)) {
        std::vector<Executor*> executors = processors.executors();
        nvme::NamespaceConfig config{.id = 1, .disk = *Disk::create(disk)};
        controller = std::move(*nvme::Controller::create({.memory = arena.memory(),
                                                          .messages = messages,
                                                          .executors = executors,
                                                          .namespaces = std::span(&config, 1)}));
        guest.emplace(*controller, arena, machine);
    }
    ~NvmeFixture() {
        disk->release();
        bool closed = false;
        {
            CurrentExecutorScope scope(processors.executor(0));
            detail::run_root(controller->close(), closed);
        }
        if (!guest->run_until([&] { return closed; })) {
            std::abort();
        }
    }
    NvmeFixture(const NvmeFixture&) = delete;
    NvmeFixture& operator=(const NvmeFixture&) = delete;

    SimulatedProcessors processors;
    SimulatedMachine machine;
    GuestArena arena;
    RecordingMessages messages;
    std::shared_ptr<FakeDisk> disk;
    std::unique_ptr<nvme::Controller> controller;
    std::optional<NvmeGuest> guest;
};

inline std::vector<std::byte> pattern(usize bytes, u32 seed) {
    std::vector<std::byte> data(bytes);
    u32 state = seed * 2654435761u + 1;
    for (std::byte& value : data) {
        state = state * 1664525u + 1013904223u;
        value = static_cast<std::byte>(state >> 24);
    }
    return data;
}

}  // namespace undercroft::test
