// What disk pipelines take from a plain Linux program: keys from files, bounce memory of each executor.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <vector>

#include "storage/pipeline.hpp"

namespace undercroft {

class LocalEnvironment final : public PipelineEnvironment {
public:
    /// For disks that are used on `executors`.
    explicit LocalEnvironment(const std::vector<Executor*>& executors);
    ~LocalEnvironment() override;

    /// The bytes of the file `name`; nothing where it cannot be read or is longer than a key.
    std::optional<std::span<const std::byte>> key(std::string_view name) override;
    /// A program has no physical controllers: always `gone`.
    Task<DiskResult<Disk>> open_nvme(PciAddress device, u32 namespace_id) override;
    BounceSource& bounce(usize nesting) override;
    u64 ram_disk_budget_bytes() override { return ~u64{0}; }

private:
    class Pools;
    std::array<std::unique_ptr<Pools>, crypt_nesting_max> pools_;
    std::map<std::string, std::vector<std::byte>, std::less<>> keys_;
};

}  // namespace undercroft
