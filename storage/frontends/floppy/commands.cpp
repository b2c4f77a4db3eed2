// The command set: how long each is, and what those do that move no data.
#include <algorithm>

#include "storage/frontends/floppy/controller.hpp"

namespace undercroft::floppy {

namespace {

constexpr usize unit_byte = 1;  // of most commands: head and drive

u8 select_of(u8 unit) { return unit & fdc::command_bit::drive; }
u8 head_of(u8 unit) { return (unit & fdc::command_bit::head) != 0 ? 1 : 0; }

}  // namespace

struct Controller::CommandRow {
    fdc::Command command;
    u8 fixed_bits;  ///< of the first byte: what has to be as in `command`; the rest are MT, MFM, SK and their like
    u8 bytes;
};

void Controller::run_command() {
    using enum fdc::Command;
    constexpr u8 all = 0xFF;
    constexpr u8 without_flags = fdc::command_bit::opcode;
    constexpr u8 with_mfm = static_cast<u8>(~fdc::command_bit::mfm);
    static constexpr CommandRow rows[] = {
        {read_track, 0x9F, 9},
        {specify, all, 3},
        {sense_drive_status, all, 2},
        {write_data, 0x3F, 9},
        {read_data, without_flags, 9},
        {recalibrate, all, 2},
        {sense_interrupt, all, 1},
        {write_deleted, 0x3F, 9},
        {read_id, with_mfm, 2},
        {read_deleted, without_flags, 9},
        {format_track, with_mfm, 6},
        {fdc::Command::dump_registers, all, 1},
        {fdc::Command::seek, all, 3},
        {version, all, 1},
        {perpendicular, all, 2},
        {configure, all, 4},
        {lock, 0x7F, 1},
        {verify, without_flags, 9},
        {relative_seek, 0xBF, 3},
    };
    const auto* row = std::ranges::find_if(rows, [&](const CommandRow& candidate) {
        return (command_[0] & candidate.fixed_bits) == (static_cast<u8>(candidate.command) & candidate.fixed_bits);
    });
    if (row == std::end(rows)) {
        return refuse();
    }
    if (command_count_ < row->bytes) {
        return;
    }
    switch (row->command) {
    case read_data:
    case read_deleted:
    case read_track:
    case write_data:
    case write_deleted:
    case verify:
        return start_data(row->command);
    case format_track:
        return start_format();
    default:
        return run_simple(row->command);
    }
}

void Controller::run_simple(fdc::Command command) {
    using enum fdc::Command;
    u8 unit = command_[unit_byte];
    u8 select = select_of(unit);
    u8 position = static_cast<u8>(unit & (fdc::command_bit::head | fdc::command_bit::drive));
    switch (command) {
    case specify:
        specify_[0] = command_[1];
        specify_[1] = command_[2];
        return finish_silently();
    case sense_drive_status: {
        const Drive* drive = drive_at(select);
        bool is_protected = drive != nullptr && drive->has_medium() && drive->medium->facts().read_only;
        return answer({static_cast<u8>(position | fdc::status3_bit::always |
                                       (cylinders_[select] == 0 ? fdc::status3_bit::track_0 : 0) |
                                       (is_protected ? fdc::status3_bit::write_protected : 0))});
    }
    case recalibrate:
        return seek_to(select, 0, select);
    case fdc::Command::seek:
        return seek_to(select, command_[2], position);
    case relative_seek: {
        bool is_inward = (command_[0] & fdc::command_bit::seek_inward) != 0;
        u8 target = static_cast<u8>(is_inward ? cylinders_[select] + command_[2] : cylinders_[select] - command_[2]);
        return seek_to(select, target, position);
    }
    case sense_interrupt:
        return sense_drives();
    case fdc::Command::read_id:
        return find_id();
    case fdc::Command::dump_registers:
        return dump();
    case version:
        return answer({fdc::version_enhanced});
    case perpendicular:
        perpendicular_ = command_[1];
        return finish_silently();
    case configure:
        configure_ = command_[2];
        precompensation_ = command_[3];
        return finish_silently();
    case lock:
        is_locked_ = (command_[0] & fdc::command_bit::lock) != 0;
        return answer({static_cast<u8>(is_locked_ ? 0x10 : 0x00)});
    default:
        return refuse();
    }
}

void Controller::answer(std::initializer_list<u8> bytes) {
    std::ranges::copy(bytes, result_.begin());
    result_count_ = bytes.size();
    result_at_ = 0;
    phase_ = Phase::result;
}

void Controller::finish_silently() {
    phase_ = Phase::command;
    command_count_ = 0;
}

void Controller::refuse() { answer({fdc::status0_bit::invalid}); }

/// The heads move at once; a drive that is not there never finds track 0.
void Controller::seek_to(usize select, u8 cylinder, u8 position) {
    bool is_recalibration = command_[0] == static_cast<u8>(fdc::Command::recalibrate);
    Drive* drive = drive_at(select);
    bool is_there = drive != nullptr && drive->exists;
    cylinders_[select] = cylinder;
    if (is_there) {
        drive->cylinder = cylinder;
        drive->changed = drive->changed && !drive->has_medium();
    }
    u8 status = position | fdc::status0_bit::seek_end;
    if (!is_there && is_recalibration) {
        status |= fdc::status0_bit::abnormal | fdc::status0_bit::equipment_check;
    }
    pending_status_[select] = status;
    pending_ |= static_cast<u8>(1u << select);
    busy_drives_ |= static_cast<u8>(1u << select);
    finish_silently();
    set_interrupt(true);
}

void Controller::sense_drives() {
    for (usize select = 0; select < drive_selects; ++select) {
        u8 bit = static_cast<u8>(1u << select);
        if ((pending_ & bit) != 0) {
            pending_ &= static_cast<u8>(~bit);
            busy_drives_ &= static_cast<u8>(~bit);
            set_interrupt(false);
            return answer({pending_status_[select], cylinders_[select]});
        }
    }
    refuse();
}

void Controller::dump() {
    u8 lock_byte = static_cast<u8>((is_locked_ ? 0x80 : 0x00) | (perpendicular_ & 0x7F));
    answer({cylinders_[0], cylinders_[1], cylinders_[2], cylinders_[3], specify_[0], specify_[1], end_of_track_,
            lock_byte, configure_, precompensation_});
}

/// What the head finds where it is, at the data rate there is: 0, or why it finds nothing (ST1).
u8 Controller::check_medium(usize place) const {
    const Drive* drive = place < drives_max ? &drives_[place] : nullptr;
    constexpr u8 rate_500 = 0;
    constexpr u8 rate_1000 = 3;
    if (drive == nullptr || !drive->has_medium() || drive->cylinder >= drive->format->cylinders) {
        return fdc::status1_bit::missing_mark;
    }
    bool fits = drive->format->is_high_density ? rate_ == rate_500 : rate_ != rate_500 && rate_ != rate_1000;
    bool is_mfm = (command_[0] & fdc::command_bit::mfm) != 0;
    return fits && is_mfm ? 0 : fdc::status1_bit::missing_mark;
}

void Controller::find_id() {
    u8 select = select_of(command_[unit_byte]);
    operation_ = {.place = select, .cylinder = cylinders_[select], .head = head_of(command_[unit_byte])};
    u8 missing = check_medium(select);
    end_with(missing != 0 ? fdc::status0_bit::abnormal : 0, missing, 0);
}

/// The result phase of a command that was to find or move data, with an interrupt.
void Controller::end_with(u8 status0, u8 status1, u8 status2) {
    u8 position = static_cast<u8>(command_[unit_byte] & (fdc::command_bit::head | fdc::command_bit::drive));
    answer({static_cast<u8>(status0 | position), status1, status2, operation_.cylinder, operation_.head,
            operation_.sector, fdc::size_code_512});
    set_interrupt(true);
}

}  // namespace undercroft::floppy
