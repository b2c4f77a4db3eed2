// The walk down a tree of disks, for checking and for opening.
#include "storage/pipeline.hpp"

#include <algorithm>

#include "kernel/crypto/wipe.hpp"
#include "storage/backends/ram_disk.hpp"
#include "storage/layers/crypt_disk.hpp"
#include "storage/layers/delay_disk.hpp"
#include "storage/layers/fault_disk.hpp"
#include "storage/layers/layered_disk.hpp"
#include "storage/layers/ram_layer.hpp"
#include "storage/layers/reservations_disk.hpp"
#include "storage/layers/striped_disk.hpp"
#include "storage/layers/whole_disk_layer.hpp"

namespace undercroft {

namespace {

using OpenResult = Result<Disk, ConfigError>;

Result<std::span<const std::byte, XtsCipher::key_bytes>, Refusal> find_key(const CryptDiskConfig& crypt,
                                                                           PipelineEnvironment& environment) {
    std::span<const std::byte> key = TRY(environment.key(crypt.key));
    if (key.size() != XtsCipher::key_bytes) {
        return std::unexpected("key " + quoted(crypt.key) + " has " + decimal(key.size()) + " bytes, and must have " +
                               decimal(XtsCipher::key_bytes));
    }
    if (equal_in_constant_time(key.first(XtsCipher::key_bytes / 2), key.last(XtsCipher::key_bytes / 2))) {
        return std::unexpected("key " + quoted(crypt.key) + " has two equal halves, which XTS forbids");
    }
    return std::span<const std::byte, XtsCipher::key_bytes>(key);
}

std::unexpected<ConfigError> failure(const DiskConfig& disk, Refusal why) {
    return std::unexpected(error_at(disk, std::move(why)));
}

using MakeResult = Result<std::shared_ptr<DiskInterface>, Refusal>;

template <typename Made>
MakeResult made(DiskResult<std::shared_ptr<Made>> result) {
    if (!result) {
        return std::unexpected(std::string("cannot be made: ") + to_string(result.error()));
    }
    return std::shared_ptr<DiskInterface>(std::move(*result));
}

template <typename Made>
MakeResult made(Composition<std::shared_ptr<Made>> result) {
    return std::shared_ptr<DiskInterface>(TRY(std::move(result)));
}

// Memory on top, that nothing but itself is ever written to.
MakeResult make_memory_diff(Disk below, u64 budget_bytes) {
    RamLayerOptions options{.sectors = {},
                            .sector_size = below.sector_size(),
                            .physical_sector_size = below.facts().physical_sector_size,
                            .memory_budget_bytes = budget_bytes,
                            .id = below.facts().id};
    std::vector<LayerPlacement> layers;
    layers.push_back({.layer = TRY(RamLayer::create(options))});
    layers.push_back({.layer = std::make_shared<WholeDiskLayer>(std::move(below))});
    return made(LayeredDisk::create(std::move(layers)));
}

MakeResult make_delay(const DelayDiskConfig& delay, Disk below) {
    auto time = [&](const std::optional<DelayTimeConfig>& given) {
        const DelayTimeConfig& from = given ? *given : delay.all;
        return DelayTime{.average_ns = from.average_ns, .p99_ns = from.p99_ns};
    };
    return made(DelayDisk::create(std::move(below), {.read = time(delay.read),
                                                     .write = time(delay.write),
                                                     .flush = time(delay.flush),
                                                     .unmap = time(delay.unmap),
                                                     .seed = delay.seed}));
}

constexpr struct {
    FaultRuleConfig::Operation config;
    FaultOperations operations;
} fault_operations[] = {
    {FaultRuleConfig::Operation::any, all_fault_operations},
    {FaultRuleConfig::Operation::read, static_cast<FaultOperations>(FaultOperation::read)},
    {FaultRuleConfig::Operation::write, static_cast<FaultOperations>(FaultOperation::write)},
    {FaultRuleConfig::Operation::flush, static_cast<FaultOperations>(FaultOperation::flush)},
    {FaultRuleConfig::Operation::unmap, static_cast<FaultOperations>(FaultOperation::unmap)},
    {FaultRuleConfig::Operation::zero, static_cast<FaultOperations>(FaultOperation::write_zeroes)},
    {FaultRuleConfig::Operation::status, static_cast<FaultOperations>(FaultOperation::block_status)},
    {FaultRuleConfig::Operation::compare, static_cast<FaultOperations>(FaultOperation::compare)},
};

FaultOperations operations_of(FaultRuleConfig::Operation operation) {
    return std::ranges::find(fault_operations, operation, [](const auto& pair) { return pair.config; })->operations;
}

FaultRuleConfig::Operation operation_of(FaultOperations operations) {
    const auto* found =
        std::ranges::find(fault_operations, operations, [](const auto& pair) { return pair.operations; });
    found = found != std::end(fault_operations)
                ? found
                : std::ranges::find_if(fault_operations + 1, std::end(fault_operations),
                                       [&](const auto& pair) { return (pair.operations & operations) != 0; });
    return found != std::end(fault_operations) ? found->config : FaultRuleConfig::Operation::any;
}

constexpr struct {
    FaultRuleConfig::Action config;
    FaultAction action;
} fault_actions[] = {
    {FaultRuleConfig::Action::fail, FaultAction::fail},   {FaultRuleConfig::Action::hold, FaultAction::hold},
    {FaultRuleConfig::Action::delay, FaultAction::delay}, {FaultRuleConfig::Action::corrupt, FaultAction::corrupt},
    {FaultRuleConfig::Action::tear, FaultAction::tear},
};

FaultAction action_of(FaultRuleConfig::Action action) {
    return std::ranges::find(fault_actions, action, [](const auto& pair) { return pair.config; })->action;
}

FaultRuleConfig::Action action_of(FaultAction action) {
    return std::ranges::find(fault_actions, action, [](const auto& pair) { return pair.action; })->config;
}

/// One tree on its way to a disk.
class PipelineBuilder {
public:
    explicit PipelineBuilder(PipelineEnvironment& environment) : environment_(environment) {}

    void check(const DiskConfig& disk, ConfigErrors& errors) {
        if (const auto* crypt = std::get_if<CryptDiskConfig>(&disk.kind)) {
            if (auto key = find_key(*crypt, environment_); !key) {
                errors.push_back(error_at(disk, std::move(key.error()), "key"));
            }
        } else if (is_backend(disk)) {
            if (std::optional<Refusal> refusal = environment_.refuse_backend(disk)) {
                errors.push_back(error_at(disk, std::move(*refusal)));
            }
        }
        for (const DiskConfig& below : disks_below(disk)) {
            check(below, errors);
        }
    }

    /// `nesting`: disks above that hold bounce memory.
    Task<OpenResult> open(const DiskConfig& disk, usize nesting) {
        std::vector<Disk> below;
        for (const DiskConfig& config : disks_below(disk)) {
            below.push_back(CO_TRY(co_await open(config, nesting + (bounces(disk) ? 1 : 0))));
        }
        if (is_backend(disk)) {
            co_return co_await open_backend(disk, std::move(below), nesting);
        }
        MakeResult implementation = make(disk, std::move(below), nesting);
        if (!implementation) {
            co_return failure(disk, std::move(implementation.error()));
        }
        DiskResult<Disk> handle = Disk::create(*implementation);
        if (!handle) {
            co_return failure(disk, "contradicts itself");
        }
        environment_.opened(disk, *handle, *implementation);
        co_return std::move(*handle);
    }

private:
    static bool bounces(const DiskConfig& disk) {
        return std::holds_alternative<CryptDiskConfig>(disk.kind) || std::holds_alternative<AutoCacheConfig>(disk.kind);
    }

    Task<OpenResult> open_backend(const DiskConfig& disk, std::vector<Disk> below, usize nesting) {
        std::optional<Disk> first = below.empty() ? std::nullopt : std::optional(std::move(below.front()));
        BounceSource* bounce = bounces(disk) ? &environment_.bounce(nesting) : nullptr;
        Result<Disk, Refusal> opened = co_await environment_.open_backend(disk, std::move(first), bounce);
        if (!opened) {
            co_return failure(disk, std::move(opened.error()));
        }
        environment_.opened(disk, *opened, nullptr);
        co_return std::move(*opened);
    }

    MakeResult make(const DiskConfig& disk, std::vector<Disk> below, usize nesting) {
        if (const auto* memory = std::get_if<RamDiskConfig>(&disk.kind)) {
            return made(RamDisk::create({.sectors = memory->size_bytes / memory->sector_size,
                                         .sector_size = memory->sector_size,
                                         .memory_budget_bytes = environment_.ram_disk_budget_bytes(),
                                         .id = {}}));
        }
        if (const auto* crypt = std::get_if<CryptDiskConfig>(&disk.kind)) {
            return make_crypt(*crypt, below.front(), nesting);
        }
        if (std::holds_alternative<MemoryDiffConfig>(disk.kind)) {
            return make_memory_diff(std::move(below.front()), environment_.ram_disk_budget_bytes());
        }
        if (const auto* striped = std::get_if<StripedDiskConfig>(&disk.kind)) {
            return made(StripedDisk::create(std::move(below), striped->chunk_bytes));
        }
        if (std::holds_alternative<ReservationsConfig>(disk.kind)) {
            return std::shared_ptr<DiskInterface>(ReservationsDisk::create(std::move(below.front())));
        }
        if (const auto* delay = std::get_if<DelayDiskConfig>(&disk.kind)) {
            return make_delay(*delay, std::move(below.front()));
        }
        if (const auto* fault = std::get_if<FaultDiskConfig>(&disk.kind)) {
            return made(FaultDisk::create(std::move(below.front()), fault_rules_of(*fault), fault->seed));
        }
        return std::unexpected("there is no medium");
    }

    MakeResult make_crypt(const CryptDiskConfig& crypt, const Disk& below, usize nesting) {
        auto key = TRY(find_key(crypt, environment_));
        if (below.sector_size() > XtsCipher::unit_bytes_max) {
            return std::unexpected("the disk below has sectors of " + decimal(below.sector_size()) +
                                   " bytes; encryption is for at most " + decimal(XtsCipher::unit_bytes_max));
        }
        return made(CryptDisk::create(below, key, environment_.bounce(nesting)));
    }

    PipelineEnvironment& environment_;
};

}  // namespace

std::vector<FaultRule> fault_rules_of(const FaultDiskConfig& config) {
    static_assert(static_cast<usize>(DiskError::cancelled) + 1 == disk_error_count);
    std::vector<FaultRule> rules;
    for (const FaultRuleConfig& rule : config.rules) {
        std::optional<SectorRange> range;
        if (rule.last_sector != ~u64{0}) {
            range = SectorRange{.start = rule.first_sector, .count = rule.last_sector - rule.first_sector + 1};
        }
        rules.push_back({.operations = operations_of(rule.operation),
                         .range = range,
                         .action = action_of(rule.action),
                         .error = rule.error ? std::optional(static_cast<DiskError>(*rule.error)) : std::nullopt,
                         .delay_ns = rule.delay_ns,
                         .skip = rule.skip,
                         .count = rule.count,
                         .one_in = rule.one_in});
    }
    return rules;
}

std::string fault_rules_text(std::span<const FaultRule> rules) {
    FaultDiskConfig config;
    for (const FaultRule& rule : rules) {
        FaultRuleConfig one{.operation = operation_of(rule.operations),
                            .action = action_of(rule.action),
                            .error = rule.error ? std::optional(static_cast<u8>(*rule.error)) : std::nullopt,
                            .delay_ns = rule.delay_ns,
                            .skip = rule.skip,
                            .count = rule.count,
                            .one_in = rule.one_in};
        if (rule.range) {
            one.first_sector = rule.range->start;
            one.last_sector = rule.range->start + rule.range->count - 1;
        }
        config.rules.push_back(one);
    }
    return fault_rules_text(config.rules);
}

bool is_backend(const DiskConfig& disk) {
    return std::visit(
        []<typename Kind>(const Kind&) {
            constexpr bool built = std::is_same_v<Kind, RamDiskConfig> || std::is_same_v<Kind, CryptDiskConfig> ||
                                   std::is_same_v<Kind, MemoryDiffConfig> || std::is_same_v<Kind, StripedDiskConfig> ||
                                   std::is_same_v<Kind, ReservationsConfig> || std::is_same_v<Kind, DelayDiskConfig> ||
                                   std::is_same_v<Kind, FaultDiskConfig> || std::is_same_v<Kind, EmptyDriveConfig>;
            return !built;
        },
        disk.kind);
}

ConfigErrors check_pipeline(const DiskConfig& disk, PipelineEnvironment& environment) {
    ConfigErrors errors;
    PipelineBuilder(environment).check(disk, errors);
    return errors;
}

ConfigErrors check_pipelines(const Configuration& configuration, PipelineEnvironment& environment) {
    ConfigErrors errors;
    for (const StorageControllerConfig& controller : configuration.storage_controllers) {
        for (const LunConfig& lun : controller.luns) {
            for_each_disk(lun, [&](const DiskConfig& disk) {
                for (ConfigError& error : check_pipeline(disk, environment)) {
                    errors.push_back(std::move(error));
                }
            });
        }
    }
    return errors;
}

Task<Result<Disk, ConfigError>> open_pipeline(const DiskConfig& disk, PipelineEnvironment& environment) {
    PipelineBuilder builder(environment);
    co_return co_await builder.open(disk, 0);
}

Task<Result<Disk, ConfigErrors>> build_pipeline(const DiskConfig& disk, PipelineEnvironment& environment) {
    ConfigErrors errors = check_pipeline(disk, environment);
    if (!errors.empty()) {
        co_return std::unexpected(std::move(errors));
    }
    OpenResult opened = co_await open_pipeline(disk, environment);
    if (!opened) {
        errors.push_back(std::move(opened.error()));
        co_return std::unexpected(std::move(errors));
    }
    co_return std::move(*opened);
}

}  // namespace undercroft
