// RamLayer.
#include "storage/layers/ram_layer.hpp"

#include <bit>

namespace undercroft {

namespace {

std::string size_problem(u64 sectors, u32 sector_size) {
    if (sectors <= RamLayer::size_bytes_max / sector_size) {
        return {};
    }
    return in_digits(sectors) + " sectors of " + in_digits(sector_size) + " bytes are more than a RAM layer's " +
           in_digits(RamLayer::size_bytes_max / gib) + " GiB";
}

}  // namespace

RamLayer::RamLayer(const RamLayerOptions& options)
    : options_(options), size_(options.sectors.value_or(0)),
      memory_(options.sector_size, options.sectors.value_or(~u64{0} / options.sector_size),
              options.memory_budget_bytes) {}

Composition<std::shared_ptr<RamLayer>> RamLayer::create(const RamLayerOptions& options) {
    RamLayerOptions checked = options;
    if (!std::has_single_bit(checked.sector_size) || checked.sector_size < 512 ||
        checked.sector_size > SparseMemory::sector_size_max) {
        return refused("a RAM layer cannot have sectors of " + in_digits(checked.sector_size) + " bytes");
    }
    if (checked.physical_sector_size == 0) {
        checked.physical_sector_size = checked.sector_size;
    }
    if (std::string problem = size_problem(checked.sectors.value_or(0), checked.sector_size); !problem.empty()) {
        return refused(std::move(problem));
    }
    std::shared_ptr<RamLayer> layer(new RamLayer(checked));
    if (!layer->memory_.reserve(checked.sectors.value_or(0))) {
        return refused("there is no memory for the RAM layer's table");
    }
    return layer;
}

LayerFacts RamLayer::facts() const {
    return LayerFacts{.sector_size = options_.sector_size,
                      .physical_sector_size = options_.physical_sector_size,
                      .id = options_.id,
                      .fua_respected = true,
                      .writes_only_absent = true};
}

std::optional<u64> RamLayer::sector_count() const {
    return options_.sectors ? std::optional(size_.get()) : std::nullopt;
}

u64 RamLayer::smallest_sector_count() const { return options_.sectors ? size_.smallest() : ~u64{0}; }

Task<DiskResult<void>> RamLayer::read(u64 sector, SegmentList into, PresenceMap& found, CancelToken) {
    return Task<DiskResult<void>>::ready(memory_.read_present(sector, into, found));
}

Task<DiskResult<void>> RamLayer::write(u64 sector, SegmentList from, Overwrite overwrite, ForceUnitAccess,
                                       CancelToken) {
    return Task<DiskResult<void>>::ready(memory_.write(sector, from, overwrite));
}

Task<DiskResult<void>> RamLayer::flush(CancelToken) { return Task<DiskResult<void>>::ready({}); }

Task<DiskResult<void>> RamLayer::unmap(SectorRange range, BelowReads below, CancelToken) {
    Presence presence = below == BelowReads::zeroes ? Presence::absent : Presence::zero;
    return Task<DiskResult<void>>::ready(memory_.set(range, presence));
}

Task<DiskResult<void>> RamLayer::write_zeroes(SectorRange range, BelowReads below, bool, ForceUnitAccess,
                                              CancelToken cancel) {
    return unmap(range, below, cancel);
}

Task<DiskResult<PresenceRun>> RamLayer::presence(SectorRange range, CancelToken) {
    return Task<DiskResult<PresenceRun>>::ready(memory_.presence(range));
}

Task<DiskResult<u64>> RamLayer::wait_for_resize(u64 known_sectors, CancelToken cancel) {
    return size_.wait(known_sectors, cancel);
}

Composition<void> RamLayer::resize(u64 sectors) {
    if (!options_.sectors) {
        return refused("the RAM layer has no size of its own: resize what is below it");
    }
    if (std::string problem = size_problem(sectors, options_.sector_size); !problem.empty()) {
        return refused(std::move(problem));
    }
    SpinlockGuard guard(resize_lock_);
    if (!memory_.resize(sectors)) {
        return refused("there is no memory for the RAM layer's table");
    }
    size_.set(sectors);
    return {};
}

}  // namespace undercroft
