// What each kind of disk shows. A new value is read by the grammar that also reads it from a configuration, so that both
// take and refuse the same.
#include "storage/inspect/disks.hpp"

#include <algorithm>

#include "storage/backends/ram_disk.hpp"
#include "storage/layers/delay_disk.hpp"
#include "storage/layers/layered_disk.hpp"
#include "storage/layers/ram_layer.hpp"
#include "storage/layers/reservations_disk.hpp"
#include "storage/layers/striped_disk.hpp"

namespace undercroft {

namespace {

using inspect::Node;
using inspect::SetResult;

std::unexpected<std::string> refusal(std::string why) { return std::unexpected(std::move(why)); }

const char* to_string(UnmapBehavior behavior) {
    switch (behavior) {
    case UnmapBehavior::zeroes:
        return "zeroes";
    case UnmapBehavior::unspecified:
        return "unspecified";
    case UnmapBehavior::ignored:
        break;
    }
    return "ignored";
}

/// The disk in `line`, of kind `Kind`, or the first thing that is wrong with it.
template <typename Kind>
Result<DiskConfig, std::string> parse_kind(const std::string& line) {
    Result<DiskConfig, ConfigErrors> disk = parse_disk(line);
    if (!disk) {
        return refusal(disk.error().front().message);
    }
    return std::move(*disk);
}

SetResult resize(RamDisk& disk, std::string_view text, u32 sector_size) {
    std::optional<u64> bytes = parse_size(text);
    if (!bytes || *bytes == 0) {
        return refusal("that is no size");
    }
    if (*bytes % sector_size != 0) {
        return refusal("that is no whole number of sectors of " + decimal(sector_size) + " bytes");
    }
    if (DiskResult<void> resized = disk.resize(*bytes / sector_size); !resized) {
        return refusal(resized.error() == DiskError::invalid_input
                           ? "a disk in memory has at most " + size_text(RamDisk::size_bytes_max)
                           : "there is no memory for it");
    }
    return {};
}

void describe_ram_disk(Node& node, RamDisk& disk, u32 sector_size) {
    node.number("memory_bytes", disk.memory_used_bytes());
    node.setting("size", size_text(disk.sector_count() * sector_size), "a size such as 64M",
                 [&](std::string_view text) { return resize(disk, text, sector_size); });
}

std::string delay_text(const DelayTime& time) {
    return duration_text(time.average_ns) + (time.p99_ns == 0 ? "" : "/" + duration_text(time.p99_ns));
}

Result<DelayTime, std::string> parse_delay(std::string_view text) {
    // Nothing but a time, lest it be taken for more words of the line.
    if (text.find_first_not_of("0123456789nmus/") != std::string_view::npos) {
        return refusal("that is no time");
    }
    DiskConfig disk = TRY(parse_kind<DelayDiskConfig>("delay:" + std::string(text) + ":mem:512"));
    const DelayTimeConfig& time = std::get<DelayDiskConfig>(disk.kind).all;
    return DelayTime{.average_ns = time.average_ns, .p99_ns = time.p99_ns};
}

void describe_delay(Node& node, DelayDisk& disk) {
    constexpr struct {
        const char* name;
        DelayTime DelayOptions::* time;
    } times[] = {{"read_delay", &DelayOptions::read},
                 {"write_delay", &DelayOptions::write},
                 {"flush_delay", &DelayOptions::flush},
                 {"unmap_delay", &DelayOptions::unmap}};
    constexpr const char* takes = "a time such as 10ms, or 10ms/100ms with its 99th percentile";
    DelayOptions options = disk.options();
    for (const auto& one : times) {
        node.setting(one.name, delay_text(options.*one.time), takes, [&](std::string_view text) -> SetResult {
            options.*one.time = TRY(parse_delay(text));
            return disk.set(options);
        });
    }
}

SetResult set_rules(FaultDisk& disk, std::string_view text) {
    if (text.empty() || text == "none") {
        return disk.set_rules({});
    }
    if (text.find_first_of(";:'\"(), ") != std::string_view::npos) {
        return refusal("those are no rules");
    }
    DiskConfig config = TRY(parse_kind<FaultDiskConfig>("fault:" + std::string(text) + ":mem:512"));
    return disk.set_rules(fault_rules_of(std::get<FaultDiskConfig>(config.kind)));
}

void describe_fault(Node& node, FaultDisk& disk) {
    std::vector<FaultRule> rules;
    rules.reserve(disk.rule_count());
    for (usize index = 0; index < disk.rule_count(); ++index) {
        rules.push_back(disk.rule(index));
    }
    node.setting("rules", rules.empty() ? "none" : fault_rules_text(rules),
                 "rules such as write-fail-io@0-7/count=1+flush-hold, or none",
                 [&](std::string_view text) { return set_rules(disk, text); });
    node.number("held", disk.held());
    node.setting("release", "", "all: lets everything go that is held", [&](std::string_view text) -> SetResult {
        if (text != "all") {
            return refusal("there is nothing else to let go");
        }
        disk.release();
        return {};
    });
    for (usize index = 0; index < disk.rule_count(); ++index) {
        node.child("rule_" + decimal(index), [&](Node& below) {
            FaultCounters counters = disk.counters(index);
            below.number("matched", counters.matched);
            below.number("acted", counters.acted);
        });
    }
}

void describe_reservations(Node& node, ReservationsDisk& disk) {
    ReservationState state = disk.registry().state();
    node.number("generation", state.generation);
    node.number("registrants", state.registrant_count);
}

// What an implementation is, its kind says: PipelineEnvironment::opened.
void describe_implementation(Node& node, std::string_view kind, DiskInterface& disk, u32 sector_size) {
    if (kind == "mem") {
        describe_ram_disk(node, static_cast<RamDisk&>(disk), sector_size);
    } else if (kind == "delay") {
        describe_delay(node, static_cast<DelayDisk&>(disk));
    } else if (kind == "fault") {
        describe_fault(node, static_cast<FaultDisk&>(disk));
    } else if (kind == "prwrap") {
        describe_reservations(node, static_cast<ReservationsDisk&>(disk));
    } else if (kind == "memdiff") {
        const DiskLayer& top = *static_cast<LayeredDisk&>(disk).layers().front().layer;
        node.number("memory_bytes", static_cast<const RamLayer&>(top).memory_used_bytes());
    }
}

}  // namespace

void InspectedDisk::describe(Node& node) const {
    const DiskFacts& facts = handle.facts();
    node.text("disk", line);
    node.number("size_bytes", handle.sector_count() * facts.sector_size);
    node.number("sector_bytes", facts.sector_size);
    node.boolean("read_only", facts.read_only);
    node.boolean("knows_holes", facts.knows_holes);
    node.text("unmap", to_string(facts.unmap));
    if (implementation != nullptr) {
        describe_implementation(node, kind, *implementation, facts.sector_size);
    }
    for (usize index = 0; index < below.size(); ++index) {
        const InspectedDisk& disk = below[index];
        if (below.size() == 1) {
            node.child(disk.kind, [&](Node& next) { disk.describe(next); });
            continue;
        }
        node.child(decimal(index),
                   [&](Node& member) { member.child(disk.kind, [&](Node& next) { disk.describe(next); }); });
    }
}

void DiskCollector::opened(const DiskConfig& disk, const Disk& handle,
                           const std::shared_ptr<DiskInterface>& implementation) {
    InspectedDisk record{.kind = std::string(kind_name(disk)),
                         .line = public_text(disk),
                         .handle = handle,
                         .implementation = implementation,
                         .below = {}};
    // From the bottom up: the last ones are those below.
    usize count = std::min(disks_below(disk).size(), opened_.size());
    auto first = opened_.end() - static_cast<std::ptrdiff_t>(count);
    record.below.assign(std::make_move_iterator(first), std::make_move_iterator(opened_.end()));
    opened_.erase(first, opened_.end());
    opened_.push_back(std::move(record));
}

std::optional<InspectedDisk> DiskCollector::take() {
    std::vector<InspectedDisk> opened = std::exchange(opened_, {});
    if (opened.size() != 1) {
        return std::nullopt;
    }
    return std::move(opened.front());
}

}  // namespace undercroft
