// The environment of disk pipelines in a Linux program: keys from files, images, block devices, databases and caches
// from hostsim/backends, bounce memory for each executor. Leaves out physical NVMe controllers and VMBus, which are for
// the image.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "hostsim/pipeline/bounce_pools.hpp"
#include "hostsim/pipeline/key_files.hpp"
#include "storage/inspect/disks.hpp"

namespace undercroft {

struct HostPipelineOptions {
    u64 ram_disk_budget_bytes = 64 * gib;  ///< what one RAM disk, or one memory layer, may take
    usize bounce_pool_bytes = 4 * mib;     ///< of each executor, for each nesting of crypt disks
    /// Where auto-caches are; empty: `default_cache_folder()`.
    std::string cache_folder = {};
    /// Is told of every disk that is opened, for `inspect`; may be null. Outlives the environment.
    DiskCollector* collector = nullptr;
};

/// `$XDG_CACHE_HOME/undercroft`, or `~/.cache/undercroft`; empty where the environment has neither.
std::string default_cache_folder();

/// Must outlive the disks opened with it. Disks are used on `executors` alone, which run on rings
/// (hostsim/platform/ring_platform.hpp) where a disk is a file, a block device or a database.
class HostPipelineEnvironment : public PipelineEnvironment {
public:
    explicit HostPipelineEnvironment(std::vector<Executor*> executors, HostPipelineOptions options = {});

    /// To be called once all pipelines are open; a key that is asked for later is read again.
    void wipe_keys() { keys_.wipe(); }

    /// From now on a database that somebody else writes is opened read-only, beside them, instead of refused.
    void read_databases_in_use(bool wanted) { reads_databases_in_use_ = wanted; }

    /// `name` is the path of a file.
    Result<std::span<const std::byte>, Refusal> key(std::string_view name) override { return keys_.read(name); }
    BounceSource& bounce(usize nesting) override;
    void opened(const DiskConfig& disk, const Disk& handle,
                const std::shared_ptr<DiskInterface>& implementation) override {
        if (options_.collector != nullptr) {
            options_.collector->opened(disk, handle, implementation);
        }
    }
    u64 ram_disk_budget_bytes() override { return options_.ram_disk_budget_bytes; }
    std::optional<Refusal> refuse_backend(const DiskConfig& disk) override;
    Task<Result<Disk, Refusal>> open_backend(const DiskConfig& disk, std::optional<Disk> below,
                                             BounceSource* bounce) override;

private:
    std::vector<Executor*> executors_;
    HostPipelineOptions options_;
    KeyFiles keys_;
    bool reads_databases_in_use_ = false;
    std::array<std::unique_ptr<ExecutorBouncePools>, disk_nesting_max> bounce_;  // made when first asked for
};

}  // namespace undercroft
