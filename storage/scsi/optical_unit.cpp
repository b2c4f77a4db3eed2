// The drive: medium, tray, reading.
#include "storage/scsi/optical_unit.hpp"

#include "storage/scsi/extent.hpp"

namespace undercroft::scsi {

namespace {

// MMC-6 7.3.3, SPC-4 7.5.13, MMC-6 7.6, MMC-3 5.3.6. Nothing can be changed.
constexpr u8 error_recovery[12] = {0x01, 10, 0, 5};
constexpr u8 power[12] = {0x1a, 10};
constexpr u8 timeouts[10] = {0x1d, 8};
constexpr u8 capabilities_page = 0x2a;
constexpr usize capabilities_lock = 6;
constexpr u8 locked_state = 0x02;
// Reads CD-R, CD-RW, DVD-ROM; multiple sessions, both forms of mode 2; a tray that ejects and locks; 512 KiB of buffer.
constexpr u8 capabilities[22] = {capabilities_page, 20, 0x0b, 0, 0x70, 0, 0x29, 0, 0x1b, 0x90, 0, 0, 2, 0, 0x1b, 0x90};
constexpr u8 nothing[22] = {};
constexpr ModePage optical_mode_pages[] = {{error_recovery, std::span(nothing).first(sizeof(error_recovery))},
                                           {power, std::span(nothing).first(sizeof(power))},
                                           {timeouts, std::span(nothing).first(sizeof(timeouts))},
                                           {capabilities, nothing}};

}  // namespace

OpticalUnit::OpticalUnit(OpticalUnitConfig config)
    : LogicalUnit(UnitKind::optical, DeviceType::optical, std::move(config.identity), optical_mode_pages),
      is_atapi_(config.is_atapi) {
    bool has_one = config.medium && is_medium(*config.medium);
    set_readiness(has_one ? AdditionalSense::none : AdditionalSense::medium_not_present_tray_closed);
    if (has_one) {
        medium_ = std::move(config.medium);
    }
}

std::optional<Disk> OpticalUnit::medium() const {
    SpinlockGuard guard(lock_);
    return is_tray_open_ ? std::nullopt : medium_;
}

bool OpticalUnit::has_medium() const { return medium().has_value(); }

u64 OpticalUnit::blocks() const {
    std::optional<Disk> disk = medium();
    return disk ? disk->sector_count() / (optical_block_bytes / disk->sector_size()) : 0;
}

bool OpticalUnit::is_dvd() const {
    constexpr u64 cd_blocks_max = u64{80} * 60 * 75;  // of 80 minutes
    return blocks() > cd_blocks_max;
}

void OpticalUnit::load(std::optional<Disk> disk, bool is_new) {
    std::optional<Disk> previous;  // goes without the lock
    bool has_one = false;
    {
        SpinlockGuard guard(lock_);
        if (is_new) {
            previous = std::move(medium_);
            medium_ = std::move(disk);
        }
        is_tray_open_ = false;
        has_one = medium_.has_value();
        if (has_one) {
            event_ = MediaEvent::new_media;
        }
        // With the lock held: else what another processor does to the tray meanwhile would be overwritten.
        set_readiness(has_one ? AdditionalSense::none : AdditionalSense::medium_not_present_tray_closed);
    }
    if (has_one) {
        raise(UnitAttention::medium_changed);
    }
    tell(UnitEvent::medium_changed);
}

void OpticalUnit::medium_left(bool opens_tray) {
    std::optional<Disk> previous;  // goes without the lock
    {
        SpinlockGuard guard(lock_);
        event_ = MediaEvent::media_removal;
        is_tray_open_ = opens_tray;
        if (!opens_tray) {
            previous = std::move(medium_);
            medium_.reset();
        }
        set_readiness(opens_tray ? AdditionalSense::medium_not_present_tray_open
                                 : AdditionalSense::medium_not_present_tray_closed);
    }
    tell(UnitEvent::medium_changed);
}

Result<void> OpticalUnit::insert(Disk medium) {
    if (!is_medium(medium)) {
        return fail(Error::invalid_argument);
    }
    load(std::move(medium), true);
    return {};
}

Result<void> OpticalUnit::remove() {
    if (is_removal_prevented() && has_medium()) {
        SpinlockGuard guard(lock_);
        event_ = MediaEvent::eject_request;
        return fail(Error::busy);
    }
    return remove_by_force();
}

Result<void> OpticalUnit::remove_by_force() {
    {
        SpinlockGuard guard(lock_);
        if (!medium_) {
            return fail(Error::not_found);
        }
    }
    medium_left(false);
    return {};
}

void OpticalUnit::reset(UnitAttention why) {
    LogicalUnit::reset(why);  // a reset moves no tray
    prevention_changed();
}

void OpticalUnit::prevention_changed() {
    modes().set(capabilities_page, capabilities_lock, locked_state, is_removal_prevented());
}

ModeGeometry OpticalUnit::mode_geometry() const { return {}; }

Task<Completion> OpticalUnit::run(const Command& command, Cdb cdb, const Request& request) {
    switch (command.opcode) {
    case Opcode::read_10:
    case Opcode::read_12:
        return read(cdb, request);
    case Opcode::start_stop_unit:
        return start_stop(cdb, request);
    case Opcode::seek_10:
    case Opcode::read_capacity_10:
    case Opcode::read_toc:
    case Opcode::get_configuration:
    case Opcode::get_event_status_notification:
    case Opcode::read_disc_information:
    case Opcode::read_track_information:
    case Opcode::read_disc_structure:
    case Opcode::mechanism_status:
    case Opcode::get_performance:
    case Opcode::set_streaming:
        return Task<Completion>::ready(answer(cdb, request));
    default:
        return LogicalUnit::run(command, cdb, request);
    }
}

Task<Completion> OpticalUnit::read(Cdb cdb, const Request& request) {
    // A handle of its own: the medium may be taken out meanwhile.
    std::optional<Disk> disk = medium();
    if (!disk) {
        co_return check(request, SenseKey::not_ready, AdditionalSense::medium_not_present);
    }
    SectorRange range = extent_of(cdb);
    u64 ratio = optical_block_bytes / disk->sector_size();
    u64 size = disk->sector_count() / ratio;
    if (range.start > size || range.count > size - range.start) {
        co_return failed(request, DiskError::illegal_block);
    }
    if (range.count == 0) {
        co_return succeed(request);
    }
    co_return co_await read_blocks(*disk, range.start * ratio, range.count * optical_block_bytes, false, request);
}

// MMC-6 6.45.
Task<Completion> OpticalUnit::start_stop(Cdb cdb, const Request& request) {
    constexpr u8 start = 0x01;
    constexpr u8 load_eject = 0x02;
    if (cdb[4] >> 4 != 0 || (cdb[4] & load_eject) == 0) {
        co_return succeed(request);  // power conditions and spinning: there is nothing that turns
    }
    if ((cdb[4] & start) != 0) {
        load(std::nullopt, false);
        co_return succeed(request);
    }
    if (is_removal_prevented()) {
        co_return check(request, SenseKey::illegal_request, AdditionalSense::removal_prevented);
    }
    if (std::optional<Disk> disk = medium()) {
        DiskResult<void> ejected = co_await disk->eject();
        if (!ejected && ejected.error() != DiskError::unsupported_eject) {
            co_return failed(request, ejected.error());
        }
    }
    medium_left(true);
    co_return succeed(request);
}

}  // namespace undercroft::scsi
