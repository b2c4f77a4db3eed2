// A direct access block device (SBC-3, with the atomic write of SBC-4) over a `Disk`: its logical blocks are the disk's
// sectors, and data go between the initiator's memory and the disk without a copy. Leaves out protection information,
// third party copy, referrals, power conditions, and SANITIZE by changing a key: whoever gave the disk its key still has it.
//
// COMPARE AND WRITE is one action towards others of its kind on this unit; a plain write of the same blocks at the same
// time may come between, as it may between any two commands that an initiator has under way.
#pragma once

#include "storage/reservations.hpp"
#include "storage/scsi/logical_unit.hpp"
#include "storage/scsi/sanitize.hpp"

namespace undercroft::scsi {

/// Of one UNMAP.
inline constexpr u32 unmap_descriptors_max = 256;

struct BlockUnitConfig {
    Disk disk;
    UnitIdentity identity = {};
    /// Each initiator's own way to the medium, where there are several and persistent reservations are to tell them
    /// apart: one for each nexus, alike but for `reservations()`. Else `disk` serves all.
    std::vector<Disk> nexus_disks = {};
};

class BlockUnit final : public LogicalUnit {
public:
    explicit BlockUnit(BlockUnitConfig config);

    Task<void> watch(CancelToken cancel) override;
    void reset(UnitAttention why) override;
    const Disk& disk() const { return disks_.front(); }

private:
    /// What this nexus was last seen to have of the medium's reservation.
    struct SeenReservation {
        std::atomic<u64> changes{0};
        std::atomic<bool> is_registered{false};
        std::atomic<ReservationType> type{ReservationType::none};
    };

    Task<Completion> run(const Command& command, Cdb cdb, const Request& request) override;
    void look_around(u32 nexus) override;
    bool is_kept_out(const Cdb& cdb, u32 nexus) const override;
    bool has_registrants() const override;
    Task<Completion> run_rare(const Command& command, Cdb cdb, const Request& request);
    bool offers(const Command& command) const override;
    std::span<const VitalPage> vital_pages() const override;
    usize vital_page(VitalPage page, std::span<std::byte, vital_page_bytes_max> into) const override;
    ModeGeometry mode_geometry() const override;
    void modes_changed() override;
    u16 command_set_version() const override { return version_sbc_3; }

    // READ and WRITE of every length: what can be refused is refused before a coroutine exists.
    Task<Completion> start_read(const Cdb& cdb, const Request& request);
    Task<Completion> start_write(const Cdb& cdb, const Request& request);
    Task<Completion> write(const Request& request, SectorRange range, bool durable);

    Task<Completion> verify(Cdb cdb, const Request& request);
    Task<Completion> write_and_verify(Cdb cdb, const Request& request);
    Task<Completion> compare_and_write(Cdb cdb, const Request& request);
    Task<Completion> write_same(Cdb cdb, const Request& request);
    Task<Completion> unmap(Cdb cdb, const Request& request);
    Task<Completion> synchronize(const Cdb& cdb, const Request& request);
    Task<Completion> format(const Cdb& cdb, const Request& request);
    Task<Completion> sanitize(Cdb cdb, const Request& request);
    Task<Completion> start_sanitize(SanitizePlan plan, const Request& request);
    Completion leave_sanitize_failure(const Request& request);
    Task<void> serve_sanitize(CancelToken cancel);
    Task<DiskResult<void>> run_sanitize(SanitizeOperation& operation, CancelToken cancel);
    Task<DiskResult<void>> sanitize_piece(SanitizeOperation& operation, SectorRange range, CancelToken cancel);
    Task<DiskResult<void>> wait_for_others(const SanitizeOperation& operation, CancelToken cancel);
    Sense unready_sense(AdditionalSense why_not) const override;
    Task<Completion> start_stop(const Cdb& cdb, const Request& request);
    Task<Completion> lba_status(Cdb cdb, const Request& request);
    Task<Completion> reserve_in(Cdb cdb, const Request& request);
    Task<Completion> reserve_out(Cdb cdb, const Request& request);
    Task<Completion> register_and_move(Cdb cdb, const Request& request);
    void note_own_change(u32 nexus);
    Task<Completion> reservation_keys(Cdb cdb, const Request& request);
    Completion reservation_capabilities(const Cdb& cdb, const Request& request) const;
    Completion read_capacity_10(const Request& request) const;
    Completion read_capacity_16(const Cdb& cdb, const Request& request) const;

    /// Completes with what `work` comes to.
    Task<Completion> after(Task<DiskResult<void>> work, const Request& request, u64 transferred);
    /// Writes what is offered, and flushes where `durable` asks for more than the disk does by itself.
    Task<DiskResult<void>> write_durably(const Request& request, u64 sector, SegmentList from, bool durable);
    /// Whether the blocks can be read.
    Task<DiskResult<void>> read_through(const Request& request, SectorRange range);
    /// Completes a comparison: good, or MISCOMPARE with the offset.
    Completion compared(const Request& request, const DiskResult<Comparison>& result, u64 transferred) const;

    const Disk& disk_of(u32 nexus) const { return disks_[disks_.size() == 1 ? 0 : nexus]; }
    const Disk& disk_of(const Request& request) const { return disk_of(request.nexus); }
    PersistentReservations* reservations_of(u32 nexus) const { return disk_of(nexus).reservations(); }
    /// Why a command on `range` ends before it began; nothing where it may go on.
    std::optional<Completion> refuse(const Request& request, SectorRange range, bool changes) const;
    bool is_write_protected() const { return write_protected_.load(std::memory_order_relaxed); }
    /// Whether each write must be durable before it ends: the cache is off (WCE), or this one says so (FUA).
    bool must_be_durable(bool force_unit_access) const {
        return force_unit_access || !write_cache_.load(std::memory_order_relaxed);
    }
    u64 bytes_of(u64 blocks) const { return blocks << block_shift_; }

    std::vector<Disk> disks_;  ///< one, or one for each nexus
    u32 block_shift_;
    std::unique_ptr<SeenReservation[]> seen_;  ///< one for each nexus; null without persistent reservations
    std::atomic<bool> write_cache_{true};
    std::atomic<bool> write_protected_;
    std::atomic<bool> comparing_{false};  ///< a COMPARE AND WRITE is under way

    // SANITIZE: the readiness says whether one is under way, or has failed. Who changes that to `in progress` sets the
    // operation and counts it; `watch` takes it from there and carries it out.
    std::atomic<bool> is_watched_{false};
    std::shared_ptr<SanitizeOperation> sanitize_next_;
    WatchedNumber sanitizes_begun_{0};
    std::atomic<bool> sanitize_unrestricted_{false};
    std::atomic<u16> sanitize_progress_{0};  ///< in 65536ths
};

}  // namespace undercroft::scsi
