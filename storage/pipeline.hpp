// From the configuration's tree of disks to a `Disk`, in two phases: `check_pipeline` looks at everything that can be
// looked at without touching a device (keys present, of the right length, halves unequal), for every disk of the
// machine; only when all of it is sound does `open_pipeline` open anything. Leaves out where keys, devices and memory
// come from: `PipelineEnvironment`, one in the image and one on the host.
#pragma once

#include "kernel/config/configuration.hpp"
#include "storage/bounce_pool.hpp"

namespace undercroft {

/// What the composition root gives to pipelines. Outlives the disks built with it.
class PipelineEnvironment {
public:
    virtual ~PipelineEnvironment() = default;

    /// The bytes of the key `name`, whatever their number; nothing where there is no such key. They stay the
    /// environment's, which wipes them once all pipelines are open.
    virtual std::optional<std::span<const std::byte>> key(std::string_view name) = 0;
    /// The namespace of a physical controller. Opens the controller where that has not happened yet. `gone` where there
    /// is no such function, `illegal_block` where it has no such namespace.
    virtual Task<DiskResult<Disk>> open_nvme(PciAddress device, u32 namespace_id) = 0;
    /// Bounce memory for a crypt disk with `nesting` (0 to `crypt_nesting_max` - 1) crypt disks above it. Each nesting
    /// has pools of its own: a request above holds memory while one below waits for it.
    virtual BounceSource& bounce(usize nesting) = 0;
    /// What one RAM disk may take of memory.
    virtual u64 ram_disk_budget_bytes() = 0;
};

/// Phase one: what is wrong with `disk` in this environment, all of it. Touches no device.
ConfigErrors check_pipeline(const DiskConfig& disk, PipelineEnvironment& environment);
/// Phase one for every disk of `configuration`.
ConfigErrors check_pipelines(const Configuration& configuration, PipelineEnvironment& environment);

/// Phase two: opens `disk`, from the bottom up. Assumes that `check_pipeline` found nothing; what it would have found
/// is an error here as well.
Task<Result<Disk, ConfigError>> open_pipeline(const DiskConfig& disk, PipelineEnvironment& environment);

/// Both phases for one disk.
Task<Result<Disk, ConfigErrors>> build_pipeline(const DiskConfig& disk, PipelineEnvironment& environment);

}  // namespace undercroft
