// Registers, the phases of a command, and media.
#include "storage/frontends/floppy/controller.hpp"

#include <algorithm>

namespace undercroft::floppy {

namespace {

constexpr u16 offset_mask = 7;
constexpr u16 first_ports = 6;          // 3F0h to 3F5h; 3F6h is the IDE channel's
constexpr u8 nothing_drives_it = 0xFF;  // status registers A and B are a PS/2's

}  // namespace

const Format* format_of(const Disk& disk) {
    const auto* found = std::ranges::find(formats, disk.sector_count(), &Format::sectors);
    return disk.sector_size() == sector_bytes && found != std::end(formats) ? found : nullptr;
}

Controller::Controller(const ControllerConfig& config)
    : interrupt_(config.interrupt), dma_(config.dma), step_deadline_ns_(config.step_deadline_ns),
      task_(*this, config.executor, lock_) {}

Result<void> Controller::insert(usize place, Disk medium) {
    const Format* format = format_of(medium);
    if (format == nullptr) {
        return fail(Error::invalid_argument);
    }
    std::optional<Disk> previous;  // goes without the lock
    SpinlockGuard guard(lock_);
    Drive* drive = drive_at(place);
    if (drive == nullptr || !drive->exists) {
        return fail(Error::not_found);
    }
    previous = std::exchange(drive->medium, std::move(medium));
    drive->format = format;
    drive->changed = true;
    return {};
}

Result<void> Controller::remove(usize place) {
    std::optional<Disk> previous;  // goes without the lock
    SpinlockGuard guard(lock_);
    Drive* drive = drive_at(place);
    if (drive == nullptr || !drive->has_medium()) {
        return fail(Error::not_found);
    }
    previous = std::exchange(drive->medium, std::nullopt);
    drive->format = nullptr;
    drive->changed = true;
    return {};
}

bool Controller::has_medium(usize place) const {
    SpinlockGuard guard(lock_);
    return place < drives_max && drives_[place].has_medium();
}

u8 Controller::cmos_type(usize place) const {
    constexpr u8 type_1440k = 4;
    SpinlockGuard guard(lock_);
    const Drive& drive = drives_[place];
    if (!drive.exists) {
        return 0;
    }
    return drive.format == nullptr ? type_1440k : drive.format->cmos_type;
}

Result<void> Controller::add_to(GuestBus& bus) {
    TRY(bus.add_ports(*this, fdc::ports, first_ports));
    TRY(bus.add_ports(*this, fdc::ports + fdc::register_offset::input_configuration, 1));
    return {};
}

void Controller::set_interrupt(bool on) { interrupt_.set_level(on && (output_ & fdc::output_bit::dma_gate) != 0); }

u8 Controller::main_status() const {
    u8 status = busy_drives_;
    switch (phase_) {
    case Phase::reset:
        return 0;
    case Phase::command:
        return static_cast<u8>(status | fdc::main_status_bit::request |
                               (command_count_ > 0 ? fdc::main_status_bit::command_busy : 0));
    case Phase::working:
        return status | fdc::main_status_bit::command_busy;
    case Phase::data_to_host:
        status |= fdc::main_status_bit::to_host;
        [[fallthrough]];
    case Phase::data_from_host:
        return status | fdc::main_status_bit::command_busy | fdc::main_status_bit::non_dma |
               fdc::main_status_bit::request;
    case Phase::result:
        break;
    }
    return status | fdc::main_status_bit::command_busy | fdc::main_status_bit::to_host | fdc::main_status_bit::request;
}

u8 Controller::digital_input() const {
    usize place = output_ & fdc::output_bit::drive;
    bool is_absent = place >= drives_max || !drives_[place].exists;
    return is_absent || drives_[place].changed ? fdc::input_disk_change : u8{0};
}

u64 Controller::read_port(u16 port, AccessSize) {
    SpinlockGuard guard(lock_);
    switch (port & offset_mask) {
    case fdc::register_offset::digital_output:
        return output_;
    case fdc::register_offset::tape_drive:
        return tape_;
    case fdc::register_offset::status_data_rate:
        return main_status();
    case fdc::register_offset::data:
        return read_fifo();
    case fdc::register_offset::input_configuration:
        return digital_input();
    default:
        return nothing_drives_it;
    }
}

void Controller::write_port(u16 port, AccessSize, u64 value) {
    std::optional<Disk> unneeded;  // goes without the lock
    SpinlockGuard guard(lock_);
    u8 byte = static_cast<u8>(value);
    switch (port & offset_mask) {
    case fdc::register_offset::digital_output:
        write_output(byte);
        break;
    case fdc::register_offset::tape_drive:
        tape_ = byte & 3;
        break;
    case fdc::register_offset::status_data_rate:
        rate_ = byte & fdc::rate_mask;
        if ((byte & fdc::rate_reset_bit) != 0) {  // clears itself
            enter_reset();
            if ((output_ & fdc::output_bit::not_reset) != 0) {
                leave_reset();
            }
        }
        break;
    case fdc::register_offset::data:
        write_fifo(byte);
        break;
    case fdc::register_offset::input_configuration:
        rate_ = byte & fdc::rate_mask;
        break;
    default:
        break;
    }
    unneeded = unneeded_medium();
}

void Controller::write_output(u8 value) {
    bool was_up = (output_ & fdc::output_bit::not_reset) != 0;
    bool is_up = (value & fdc::output_bit::not_reset) != 0;
    output_ = value;
    if (was_up && !is_up) {
        enter_reset();
    } else if (!was_up && is_up) {
        leave_reset();
    }
}

void Controller::enter_reset() {
    phase_ = Phase::reset;
    command_count_ = result_count_ = 0;
    work_wanted_ = false;
    leaves_reset_ = false;
    pending_ = busy_drives_ = 0;
    if (!is_locked_) {
        configure_ = fdc::configure_bit::fifo_off;
        precompensation_ = 0;
    }
    perpendicular_ = 0;
    set_interrupt(false);
    if (task_.is_busy()) {
        task_.cancel();
    }
}

/// With polling on, all four drives have become ready: an interrupt, and four statuses to sense (6.1 of the data sheet).
///
/// The controller stays in reset for as long as a disk still has its buffer.
void Controller::leave_reset() {
    leaves_reset_ = task_.is_busy();
    if (leaves_reset_) {
        return;
    }
    phase_ = Phase::command;
    command_count_ = result_count_ = 0;
    if ((configure_ & fdc::configure_bit::polling_off) != 0) {
        return;
    }
    for (u8 select = 0; select < drive_selects; ++select) {
        pending_status_[select] = fdc::status0_bit::ready_changed | select;
        pending_ |= static_cast<u8>(1u << select);
    }
    set_interrupt(true);
}

u8 Controller::read_fifo() {
    if (phase_ == Phase::data_to_host) {
        set_interrupt(false);
        u8 value = static_cast<u8>(buffer_[buffer_at_++]);
        if (buffer_at_ == usize{operation_.sectors} * sector_bytes) {
            end_data(false);
        }
        return value;
    }
    if (phase_ != Phase::result) {
        return 0;
    }
    set_interrupt(false);
    u8 value = result_[result_at_++];
    if (result_at_ == result_count_) {
        phase_ = Phase::command;
        command_count_ = 0;
    }
    return value;
}

void Controller::write_fifo(u8 value) {
    if (phase_ == Phase::data_from_host) {
        set_interrupt(false);
        buffer_[buffer_at_++] = std::byte{value};
        if (buffer_at_ == usize{operation_.sectors} * sector_bytes) {
            start_work();
        }
        return;
    }
    if (phase_ != Phase::command || task_.is_closed()) {
        return;
    }
    command_[command_count_++] = value;
    run_command();
}

}  // namespace undercroft::floppy
