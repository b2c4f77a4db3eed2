// What a block device says of its size and limits.
#include <algorithm>
#include <bit>
#include <cstring>

#include "storage/scsi/block_unit.hpp"
#include "storage/scsi/response.hpp"

namespace undercroft::scsi {

namespace {

constexpr VitalPage block_pages[] = {VitalPage::block_limits, VitalPage::block_characteristics,
                                     VitalPage::provisioning};

template <typename T>
usize put(std::span<std::byte> into, const T& page) {
    std::memcpy(into.data(), &page, sizeof(page));
    return sizeof(page);
}

u32 blocks_per_physical(const DiskFacts& facts) { return facts.physical_sector_size / facts.sector_size; }

}  // namespace

Completion BlockUnit::read_capacity_10(const Request& request) const {
    u64 blocks = disk_.sector_count();
    ReadCapacity10 data;
    // FFFFFFFFh: ask READ CAPACITY (16) (SBC-3 5.15.2).
    data.last_lba = static_cast<u32>(std::min<u64>(blocks == 0 ? 0 : blocks - 1, 0xffff'ffff));
    data.block_bytes = disk_.sector_size();
    return respond(request, sizeof(data), data);
}

Completion BlockUnit::read_capacity_16(const Cdb& cdb, const Request& request) const {
    const DiskFacts& facts = disk_.facts();
    u64 blocks = disk_.sector_count();
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
    const DiskFacts& facts = disk_.facts();
    if (page == VitalPage::block_characteristics) {
        BlockCharacteristics data;
        data.rotation_rate = 1;
        return put(into, data);
    }
    if (page == VitalPage::provisioning) {
        ProvisioningPage data;
        if (facts.unmap != UnmapBehavior::ignored) {
            data.flags = static_cast<u8>(0xe0 | (facts.unmap == UnmapBehavior::zeroes ? 0x04 : 0));
            data.type = 2;
        }
        return put(into, data);
    }
    BlockLimits data;
    data.optimal_granularity = static_cast<u16>(std::min<u32>(blocks_per_physical(facts), 0xffff));
    return put(into, data);
}

}  // namespace undercroft::scsi
