// From the configuration's tree of disks to a `Disk`, in two phases: `check_pipeline` looks at everything that can be
// looked at without touching a device (keys present, of the right length, halves unequal; kinds that exist here), for
// every disk of the machine; only when all of it is sound does `open_pipeline` open anything. Leaves out where keys,
// devices, files and memory come from: `PipelineEnvironment`, one in the image and one on the host.
#pragma once

#include "kernel/config/configuration.hpp"
#include "storage/bounce_pool.hpp"
#include "storage/layers/fault_disk.hpp"

namespace undercroft {

/// Why something cannot be had: a text for people, which goes into a `ConfigError` with its place.
using Refusal = std::string;

/// What the composition root gives to pipelines. Outlives the disks built with it.
class PipelineEnvironment {
public:
    virtual ~PipelineEnvironment() = default;

    /// The bytes of the key `name`, whatever their number, or why there are none. They stay the environment's, which
    /// wipes them once all pipelines are open.
    virtual Result<std::span<const std::byte>, Refusal> key(std::string_view name) = 0;
    /// Bounce memory for a disk with `nesting` (less than `disk_nesting_max`; less than `crypt_nesting_max` where only
    /// crypt disks need it) such disks above it. Each nesting has pools of its own: a request above holds memory while
    /// one below waits for it.
    virtual BounceSource& bounce(usize nesting) = 0;
    /// What one RAM disk may take of memory.
    virtual u64 ram_disk_budget_bytes() = 0;

    /// Phase one for the kinds that `is_backend` says are the environment's: why `disk` cannot be one here; nothing
    /// where it can. Touches no device and no file.
    virtual std::optional<Refusal> refuse_backend(const DiskConfig& disk) = 0;
    /// Phase two for them. `below` is the disk below, already open, of those that have one; `bounce` is there for an
    /// auto-cache.
    virtual Task<Result<Disk, Refusal>> open_backend(const DiskConfig& disk, std::optional<Disk> below,
                                                     BounceSource* bounce) = 0;

    /// Called for each disk of a pipeline once it is open, from the bottom up: what `inspect` shows, and where live
    /// settings are changed. `implementation` is null for the environment's own kinds; for the others it is what the
    /// kind says: a `RamDisk`, `CryptDisk`, `LayeredDisk` (whose top is a `RamLayer`), `StripedDisk`, `DelayDisk`,
    /// `FaultDisk` or `ReservationsDisk`.
    virtual void opened(const DiskConfig& disk, const Disk& handle,
                        const std::shared_ptr<DiskInterface>& implementation) {
        (void)disk;
        (void)handle;
        (void)implementation;
    }
};

/// Whether the environment opens such a disk, for it needs a device, a file or a network; all others are built from
/// memory and disks below.
bool is_backend(const DiskConfig& disk);

/// The rules of `config` as a `FaultDisk` takes them.
std::vector<FaultRule> fault_rules_of(const FaultDiskConfig& config);
/// `rules` as a configuration has them. Of rules for several operations that are not all of them, the first.
std::string fault_rules_text(std::span<const FaultRule> rules);

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
