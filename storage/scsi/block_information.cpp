// What a block device says of itself: size, limits, mode pages; and how it hears of a new size.
#include <algorithm>
#include <bit>
#include <cstring>

#include "kernel/async/task_group.hpp"
#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/response.hpp"

namespace undercroft::scsi {

namespace {

constexpr VitalPage block_pages[] = {VitalPage::block_limits, VitalPage::block_characteristics,
                                     VitalPage::provisioning};

// SBC-3 table 199: the cache is on, and may be switched off.
constexpr u8 caching_page = 0x08;
constexpr u8 caching_write_cache = 0x04;  // WCE, byte 2
constexpr u8 caching[20] = {caching_page, 18, caching_write_cache};
constexpr u8 caching_changeable[20] = {0, 0, caching_write_cache};
// SPC-4 table 453: no log parameter is saved by itself (GLTSD), any order (QUEUE ALGORITHM MODIFIER 1), commands of
// others end with TASK ABORTED (TAS), busy for as long as it takes; D_SENSE and SWP may be changed.
constexpr u8 control_page = 0x0a;
constexpr u8 control_write_protect = 0x08;  // SWP, byte 4
constexpr u8 control[12] = {control_page, 10, 0x02, 0x10, 0, 0x40, 0, 0, 0xff, 0xff};
constexpr u8 control_changeable[12] = {0, 0, 0x04, 0, control_write_protect};
// SPC-4 table 462: exceptions are not reported (DEXCPT).
constexpr u8 exceptions[12] = {0x1c, 10, 0x08};
constexpr u8 exceptions_changeable[12] = {};
constexpr ModePage block_mode_pages[] = {
    {caching, caching_changeable}, {control, control_changeable}, {exceptions, exceptions_changeable}};

template <typename T>
usize put(std::span<std::byte> into, const T& page) {
    std::memcpy(into.data(), &page, sizeof(page));
    return sizeof(page);
}

u32 blocks_per_physical(const DiskFacts& facts) { return facts.physical_sector_size / facts.sector_size; }

}  // namespace

BlockUnit::BlockUnit(BlockUnitConfig config)
    : LogicalUnit(UnitKind::block, DeviceType::block, std::move(config.identity), block_mode_pages),
      disks_(std::move(config.nexus_disks)) {
    if (disks_.empty()) {
        disks_.push_back(std::move(config.disk));
    }
    ASSERT(disks_.size() == 1 || disks_.size() == identity().nexuses);
    block_shift_ = static_cast<u32>(std::countr_zero(disk().sector_size()));
    write_protected_ = identity().read_only || disk().facts().read_only;
    if (disk().reservations() != nullptr) {
        seen_ = std::make_unique<SeenReservation[]>(identity().nexuses);
        watch_reservations();
    }
}

Task<void> BlockUnit::watch(CancelToken cancel) {
    TaskGroup sanitizing;
    sanitizing.spawn(serve_sanitize(cancel));
    u64 known = disk().sector_count();
    while (!cancel.is_cancelled()) {
        DiskResult<u64> changed = co_await disk().wait_for_resize(known, cancel);
        if (!changed) {
            break;  // cancelled, or there will be no other size
        }
        known = *changed;
        raise(UnitAttention::capacity_changed);
        tell(UnitEvent::capacity_changed);
    }
    (void)co_await sanitizing.join();  // `cancel` reaches it too
}

void BlockUnit::reset(UnitAttention why) {
    // A sanitize operation goes on (SBC-3 4.11).
    (void)change_readiness(AdditionalSense::initializing_command_required, AdditionalSense::none);
    LogicalUnit::reset(why);
}

void BlockUnit::modes_changed() {
    write_cache_.store((modes().get(caching_page, 2) & caching_write_cache) != 0, std::memory_order_relaxed);
    bool by_software = (modes().get(control_page, 4) & control_write_protect) != 0;
    write_protected_.store(by_software || identity().read_only || disk().facts().read_only, std::memory_order_relaxed);
    LogicalUnit::modes_changed();
}

ModeGeometry BlockUnit::mode_geometry() const {
    constexpr u8 write_protected = 0x80;    // WP
    constexpr u8 has_forced_access = 0x10;  // DPOFUA
    return {.blocks = disk().sector_count(),
            .block_bytes = disk().sector_size(),
            .device_specific = static_cast<u8>((is_write_protected() ? write_protected : 0) | has_forced_access)};
}

bool BlockUnit::offers(const Command& command) const {
    switch (command.opcode) {
    case Opcode::unmap:
        return disk().facts().unmap != UnmapBehavior::ignored;
    case Opcode::persistent_reserve_in:
    case Opcode::persistent_reserve_out:
        return seen_ != nullptr;
    case Opcode::sanitize:
        return is_watched_.load(std::memory_order_acquire);
    default:
        return true;
    }
}

Completion BlockUnit::read_capacity_10(const Request& request) const {
    u64 blocks = disk().sector_count();
    ReadCapacity10 data;
    // FFFFFFFFh: ask READ CAPACITY (16) (SBC-3 5.15.2).
    data.last_lba = static_cast<u32>(std::min<u64>(blocks == 0 ? 0 : blocks - 1, 0xffff'ffff));
    data.block_bytes = disk().sector_size();
    return respond(request, sizeof(data), data);
}

Completion BlockUnit::read_capacity_16(const Cdb& cdb, const Request& request) const {
    const DiskFacts& facts = disk().facts();
    u64 blocks = disk().sector_count();
    ReadCapacity16 data;
    data.last_lba = blocks == 0 ? 0 : blocks - 1;
    data.block_bytes = facts.sector_size;
    data.exponents = static_cast<u8>(std::countr_zero(blocks_per_physical(facts)));
    data.flags = static_cast<u16>((facts.unmap != UnmapBehavior::ignored ? capacity_provisioning_managed : 0) |
                                  (facts.unmap == UnmapBehavior::zeroes ? capacity_unmapped_reads_zeros : 0));
    return respond(request, cdb.be32(10), data);
}

std::span<const VitalPage> BlockUnit::vital_pages() const { return block_pages; }

usize BlockUnit::vital_page(VitalPage page, std::span<std::byte, vital_page_bytes_max> into) const {
    const DiskFacts& facts = disk().facts();
    bool can_unmap = facts.unmap != UnmapBehavior::ignored;
    if (page == VitalPage::block_characteristics) {
        BlockCharacteristics data;
        data.rotation_rate = 1;
        data.form_factor = 0x40;  // WABEREQ: what was erased can be read
        return put(into, data);
    }
    if (page == VitalPage::provisioning) {
        constexpr u8 all_three_ways = 0xe0;  // LBPU, LBPWS, LBPWS10
        constexpr u8 reads_zeros = 0x04;     // LBPRZ
        ProvisioningPage data;
        if (can_unmap) {
            data.flags = static_cast<u8>(all_three_ways | (facts.unmap == UnmapBehavior::zeroes ? reads_zeros : 0));
            data.type = 2;
        }
        return put(into, data);
    }
    BlockLimits data;
    data.flags = 0x01;  // WSNZ
    data.compare_and_write_blocks = 0xff;
    data.optimal_granularity = static_cast<u16>(std::min<u32>(blocks_per_physical(facts), 0xffff));
    data.write_same_blocks_max = 0xffff'ffff;
    data.atomic_blocks_max = 1;
    if (can_unmap) {
        // Never zero: drivers take that for "none at all".
        data.unmap_blocks_max = 0xffff'ffff;
        data.unmap_descriptors_max = unmap_descriptors_max;
        data.optimal_unmap_granularity = facts.optimal_unmap_sectors;
        data.unmap_alignment = 0x8000'0000;
    }
    return put(into, data);
}

}  // namespace undercroft::scsi
