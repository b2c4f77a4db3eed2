// All that is alive in a running `serve`: exports with their pipelines, connections, threads.
#pragma once

#include "hostsim/platform/executor_threads.hpp"
#include "hostsim/servers/control/control_server.hpp"
#include "hostsim/servers/nbd/server.hpp"
#include "hostsim/servers/vhost_user/device_record.hpp"
#include "storage/inspect/disks.hpp"

namespace undercroft {

class ServedProgram final : public InspectedProgram {
public:
    /// `pipelines`: of the server's exports, in their order. All outlive this.
    ServedProgram(nbd::Server& server, std::span<const InspectedDisk> pipelines, ExecutorThreads& threads);

    /// Shows `record` as `name`. It outlives this.
    void add(std::string name, vhost_user::DeviceRecord& record) { devices_.push_back({std::move(name), record}); }

    Task<void> prepare() override;
    void describe(inspect::Node& root) override;

private:
    struct ThreadNumbers {
        u64 work = 0;
        u64 idle = 0;
        u64 waits = 0;
        u64 completions = 0;
        u64 in_flight = 0;
    };
    void describe_exports(inspect::Node& node) const;
    void describe_threads(inspect::Node& node);

    struct NamedDevice {
        std::string name;
        vhost_user::DeviceRecord& record;
    };

    nbd::Server& server_;
    std::vector<NamedDevice> devices_;
    std::span<const InspectedDisk> pipelines_;
    ExecutorThreads& threads_;
    std::vector<ThreadNumbers> numbers_;
    u64 start_ns_;
};

}  // namespace undercroft
