// An optical drive (MMC-6) that reads CD-ROM and DVD-ROM: blocks of 2048 bytes over a `Disk`, one data track, one
// session. Media go in and out from outside, and by the guest; a guest's PREVENT keeps its own eject and a polite one from
// outside. Leaves out writing, audio, raw sectors and changers.
//
// The tray is ours: an eject by the guest opens it with the medium in it, and a load closes it again. A disk that can
// eject is asked to.
#pragma once

#include "storage/removable_drive.hpp"
#include "storage/scsi/logical_unit.hpp"

namespace undercroft::scsi {

inline constexpr u32 optical_block_bytes = 2048;

struct OpticalUnitConfig {
    std::optional<Disk> medium = std::nullopt;  ///< as for `insert`
    UnitIdentity identity = {.product = "Virtual DVD-ROM"};
    bool is_atapi = false;  ///< what GET CONFIGURATION says of the bus
};

class OpticalUnit final : public LogicalUnit, public RemovableDrive {
public:
    explicit OpticalUnit(OpticalUnitConfig config);

    /// Whether `disk` can be a medium: its sectors are at most 2048 bytes.
    static bool is_medium(const Disk& disk) { return disk.sector_size() <= optical_block_bytes; }

    /// Puts a medium in and closes the tray, in place of one that is there. Initiators are told. `invalid_argument`
    /// where it is none. Any executor.
    Result<void> insert(Disk medium) override;
    /// Takes the medium out and leaves the tray closed. Commands that read from it still end. `not_found` without a
    /// medium; `busy` where a guest prevents it: then the guest has been told that somebody wants it out.
    Result<void> remove() override;
    /// As `remove`, whatever the guest says: as with a needle in the hole of the drive.
    Result<void> remove_by_force() override;
    bool has_medium() const override;
    bool is_locked() const override { return is_removal_prevented(); }

    void reset(UnitAttention why) override;

private:
    /// GET EVENT STATUS NOTIFICATION, media events (MMC-6 table 287).
    enum class MediaEvent : u8 { none = 0, eject_request = 1, new_media = 2, media_removal = 3 };

    Task<Completion> run(const Command& command, Cdb cdb, const Request& request) override;
    ModeGeometry mode_geometry() const override;
    void prevention_changed() override;
    u16 command_set_version() const override { return version_mmc_6; }

    Task<Completion> read(Cdb cdb, const Request& request);
    Task<Completion> start_stop(Cdb cdb, const Request& request);
    Completion answer(const Cdb& cdb, const Request& request);
    Completion read_capacity(const Request& request) const;
    Completion read_toc(const Cdb& cdb, const Request& request) const;
    Completion get_configuration(const Cdb& cdb, const Request& request) const;
    Completion event_status(const Cdb& cdb, const Request& request);
    Completion disc_information(const Cdb& cdb, const Request& request) const;
    Completion track_information(const Cdb& cdb, const Request& request) const;
    Completion disc_structure(const Cdb& cdb, const Request& request) const;
    Completion mechanism_status(const Cdb& cdb, const Request& request) const;
    Completion performance(const Cdb& cdb, const Request& request) const;
    Completion streaming(const Cdb& cdb, const Request& request) const;

    /// The medium that can be read now.
    std::optional<Disk> medium() const;
    /// Its size in blocks of 2048 bytes; 0 without one.
    u64 blocks() const;
    bool is_dvd() const;
    void load(std::optional<Disk> disk, bool is_new);
    void medium_left(bool opens_tray);

    mutable Spinlock lock_;
    std::optional<Disk> medium_;  ///< in the tray, open or closed
    bool is_tray_open_ = false;
    MediaEvent event_ = MediaEvent::none;
    bool is_atapi_;
};

}  // namespace undercroft::scsi
