// One drive of a channel: the registers that it answers with, what SET FEATURES and its kin changed, and what it says of
// itself. A disk, or a packet device. Not locked: the channel's lock is held around all of it.
// Sources: ACS (kernel/spec/ata.hpp) sections 4 (CHS), 7.12 (IDENTIFY DEVICE), 7.45 (SET FEATURES), 7.48 (SMART).
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "kernel/spec/ata.hpp"
#include "storage/disk.hpp"
#include "storage/scsi/logical_unit.hpp"

namespace undercroft::ide {

/// Texts that a drive shows; what is longer than its field is cut.
struct DriveIdentity {
    std::string model = "Undercroft disk";
    std::string serial = "UC0001";
    std::string firmware = "1.0";
};

/// The command block registers. Those of two bytes hold what was written last in the low byte, what was written before
/// it in the high one.
struct TaskFile {
    u16 features = 0;
    u16 count = 0;
    u16 lba_low = 0;
    u16 lba_mid = 0;
    u16 lba_high = 0;
    u8 device = 0;
    u8 error = 0;
    u8 status = 0;
};

struct Geometry {
    u32 cylinders = 0;
    u32 heads = 16;
    u32 sectors_per_track = 63;
};

enum class PowerMode : u8 { active, standby, sleep };

class Drive {
public:
    /// Sectors of one block of READ MULTIPLE and WRITE MULTIPLE at most.
    static constexpr u16 multiple_max = 16;
    static constexpr u32 sector_size_max = 4096;
    /// Blocks of ranges that DATA SET MANAGEMENT takes.
    static constexpr u16 trim_blocks_max = 8;

    Drive(Disk disk, DriveIdentity identity, bool is_second);
    /// A packet (ATAPI) device: `unit` carries out its commands.
    Drive(std::shared_ptr<scsi::LogicalUnit> unit, DriveIdentity identity, bool is_second);
    Drive(const Drive&) = delete;
    Drive& operator=(const Drive&) = delete;
    virtual ~Drive() = default;

    TaskFile file;
    bool interrupt_pending = false;
    PowerMode power = PowerMode::active;
    u16 multiple = 0;  ///< sectors of a block; 0: not set
    bool write_cache = true;

    bool is_packet() const { return unit_ != nullptr; }
    scsi::LogicalUnit& unit() const { return *unit_; }
    /// Not of a packet device.
    const Disk& disk() const { return *disk_; }
    u32 sector_size() const { return disk_->sector_size(); }
    /// Sectors that the protocol can reach.
    u64 sector_count() const;

    /// Registers as after power-on, a reset or EXECUTE DEVICE DIAGNOSTIC.
    void set_signature();
    /// A reset by the host: registers, power, and what does not survive it.
    void reset();
    void set_status(u8 status, u8 error = 0);

    /// Sectors that the count register asks for.
    u32 requested_sectors(bool is_ext) const;
    /// The first sector that the registers name; none where cylinder, head or sector are not in the geometry.
    std::optional<u64> requested_lba(bool is_ext) const;
    /// Puts a sector's address into the registers, in the form in which the host asks.
    void report_lba(u64 lba, bool is_ext);

    /// INITIALIZE DEVICE PARAMETERS: false where there is no such geometry.
    bool set_geometry();
    /// SET FEATURES: false for what the drive has not got.
    bool set_features();
    /// SET MULTIPLE MODE: false for a count that it cannot have.
    bool set_multiple();

    void build_identify(std::span<std::byte, ata::identify_bytes> into) const;
    void build_packet_identify(std::span<std::byte, ata::identify_bytes> into) const;

private:
    void identify_texts(std::span<Le<u16>> words) const;
    void identify_modes(std::span<Le<u16>> words) const;
    void identify_geometry(std::span<Le<u16>> words) const;
    void identify_commands(std::span<Le<u16>> words) const;
    void identify_sizes(std::span<Le<u16>> words) const;

    std::optional<Disk> disk_;
    std::shared_ptr<scsi::LogicalUnit> unit_;
    DriveIdentity identity_;
    bool is_second_;
    Geometry geometry_;
    u8 transfer_mode_ = ata::transfer_mode::ultra_dma | 2;
    bool look_ahead_ = true;

public:
    bool smart_enabled = true;
};

/// A SMART data structure (512 bytes, all of it said to be well), or its thresholds.
void build_smart_data(std::span<std::byte, 512> into, bool thresholds);

/// Puts `text` into `words` as ATA has its texts: two characters a word, the first in the upper byte, padded with
/// spaces.
void put_text(std::span<Le<u16>> words, std::string_view text);
/// Puts the integrity word behind IDENTIFY data: the sum of all bytes is 0.
void seal_identify(std::span<std::byte, ata::identify_bytes> data);

}  // namespace undercroft::ide
