// A direct access block device (SBC-3, with the atomic write of SBC-4) over a `Disk`: its logical blocks are the disk's
// sectors, and data go between the initiator's memory and the disk without a copy. Leaves out protection information,
// third party copy, referrals and power conditions.
#pragma once

#include "storage/scsi/logical_unit.hpp"

namespace undercroft::scsi {

struct BlockUnitConfig {
    Disk disk;
    UnitIdentity identity = {};
};

class BlockUnit final : public LogicalUnit {
public:
    explicit BlockUnit(BlockUnitConfig config);

    Task<void> watch(CancelToken cancel) override;
    void reset(UnitAttention why) override;
    const Disk& disk() const { return disk_; }

private:
    Task<Completion> run(const Command& command, Cdb cdb, const Request& request) override;
    std::span<const VitalPage> vital_pages() const override;
    usize vital_page(VitalPage page, std::span<std::byte, vital_page_bytes_max> into) const override;
    u16 command_set_version() const override { return version_sbc_3; }

    /// READ and WRITE of every length: what can be refused is refused before a coroutine exists.
    Task<Completion> start_read(const Cdb& cdb, const Request& request);
    Task<Completion> start_write(const Cdb& cdb, const Request& request);
    Task<Completion> read(const Request& request, SectorRange range, bool flush_first);
    Task<Completion> write(const Request& request, SectorRange range, bool durable);
    Task<Completion> synchronize(const Request& request);

    Completion read_capacity_10(const Request& request) const;
    Completion read_capacity_16(const Cdb& cdb, const Request& request) const;

    /// Why `range` is not on the disk.
    bool is_outside(SectorRange range) const;
    bool is_write_protected() const { return identity().read_only || disk_.facts().read_only; }
    /// Whether each write must be durable before it ends: the cache is off (WCE).
    bool writes_through() const { return !write_cache_.load(std::memory_order_relaxed); }
    u64 bytes_of(u64 blocks) const { return blocks << block_shift_; }

    Disk disk_;
    u32 block_shift_;
    std::atomic<bool> write_cache_{true};
};

}  // namespace undercroft::scsi
