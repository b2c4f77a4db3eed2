// From the command register to an operation: what is answered at once, and what is handed to the executor.
// Source: ACS chapter 7; ATA/ATAPI-7 for INITIALIZE DEVICE PARAMETERS, RECALIBRATE, SEEK and EXECUTE DEVICE DIAGNOSTIC.
#include <algorithm>

#include "storage/frontends/ide/channel.hpp"
#include "storage/frontends/ide/channel_limits.hpp"

namespace undercroft::ide {

namespace {

constexpr u8 done = ata::status_bit::ready | ata::status_bit::seek_complete;
constexpr u8 recalibrate_last = 0x1F;
constexpr u8 power_active_or_idle = 0xFF;
constexpr u8 power_standby = 0x00;

}  // namespace

/// How a data command moves what.
struct Channel::Transfer {
    ata::Command command{};
    Action action{};
    bool is_ext = false;
    bool is_multiple = false;
    bool is_dma = false;
    bool is_fua = false;
};

void Channel::start_command(u8 opcode) {
    Drive* drive = selected();
    if (drive != nullptr) {
        drive->interrupt_pending = false;
        update_line();
    }
    bool resets =
        drive != nullptr && drive->is_packet() && static_cast<ata::Command>(opcode) == ata::Command::device_reset;
    if (resets && !reset_wanted_ && !task_.is_closed() && (phase_ == Phase::idle || active_ == selected_)) {
        reset_keeps_selection_ = true;
        return begin_reset();
    }
    if (phase_ != Phase::idle || reset_wanted_ || task_.is_closed()) {
        return;
    }
    if (static_cast<ata::Command>(opcode) == ata::Command::execute_diagnostic && has_drives()) {
        return run_diagnostic();
    }
    if (drive == nullptr || drive->power == PowerMode::sleep) {
        return;
    }
    active_ = selected_;
    drive->file.error = 0;
    if (drive->is_packet() ? !run_packet_immediate(*drive, opcode) : !start_transfer(*drive, opcode)) {
        run_immediate(*drive, opcode);
    }
}

bool Channel::start_transfer(Drive& drive, u8 opcode) {
    using enum ata::Command;
    static constexpr Transfer transfers[] = {
        {read_sectors, Action::read},
        {read_sectors_no_retry, Action::read},
        {read_sectors_ext, Action::read, true},
        {read_multiple, Action::read, false, true},
        {read_multiple_ext, Action::read, true, true},
        {read_dma, Action::read, false, false, true},
        {read_dma_no_retry, Action::read, false, false, true},
        {read_dma_ext, Action::read, true, false, true},
        {write_sectors, Action::write},
        {write_sectors_no_retry, Action::write},
        {write_sectors_ext, Action::write, true},
        {write_multiple, Action::write, false, true},
        {write_multiple_ext, Action::write, true, true},
        {write_multiple_fua_ext, Action::write, true, true, false, true},
        {write_dma, Action::write, false, false, true},
        {write_dma_no_retry, Action::write, false, false, true},
        {write_dma_ext, Action::write, true, false, true},
        {write_dma_fua_ext, Action::write, true, false, true, true},
        {read_verify, Action::verify},
        {read_verify_no_retry, Action::verify},
        {read_verify_ext, Action::verify, true},
    };
    const auto* found = std::ranges::find(transfers, static_cast<ata::Command>(opcode), &Transfer::command);
    if (found == std::end(transfers)) {
        return false;
    }
    u64 sectors = drive.requested_sectors(found->is_ext);
    std::optional<u64> lba = drive.requested_lba(found->is_ext);
    if (found->is_multiple && drive.multiple == 0) {
        abort_command(drive);
        return true;
    }
    operation_ = {.action = found->action,
                  .is_ext = found->is_ext,
                  .is_dma = found->is_dma,
                  .is_durable = found->is_fua || !drive.write_cache,
                  .block_sectors = found->is_multiple ? drive.multiple : 1u,
                  .lba = lba.value_or(0),
                  .sectors_left = sectors};
    if (!lba || *lba > drive.sector_count() || sectors > drive.sector_count() - *lba) {
        complete_with(drive, report_of(DiskError::illegal_block));
        return true;
    }
    drive.power = PowerMode::active;
    begin_operation(drive);
    return true;
}

/// The first phase of `operation_`.
void Channel::begin_operation(Drive& drive) {
    if (operation_.action == Action::write && !operation_.is_dma) {
        return expect_data(drive, false);
    }
    drive.file.status = ata::status_bit::busy;
    if (operation_.is_dma) {
        return wait_for_bus_master();
    }
    begin_step();
}

/// The guest brings what the next access to the disk writes.
void Channel::expect_data(Drive& drive, bool with_interrupt) {
    buffer_at_ = 0;
    buffer_bytes_ = static_cast<usize>(std::min<u64>(buffer_bytes_max, operation_.sectors_left * drive.sector_size()));
    phase_ = Phase::data_from_guest;
    offer_block(drive, with_interrupt);
}

void Channel::wait_for_bus_master() {
    phase_ = Phase::bus_master;
    if (bus_master_.is_active()) {
        begin_step();
    }
}

void Channel::begin_step() {
    phase_ = Phase::working;
    step_wanted_ = true;
    task_.wake();
}

void Channel::start_flush(Drive& drive, PowerMode power_after) {
    if (drive.is_packet()) {
        drive.power = power_after;
        return complete(drive);
    }
    operation_ = {.action = Action::flush, .power_after = power_after};
    begin_operation(drive);
}

void Channel::start_trim(Drive& drive) {
    bool is_trim = (drive.file.features & 0xFF) == ata::trim_bit;
    if (!is_trim || drive.file.count == 0 || drive.file.count > Drive::trim_blocks_max ||
        drive.disk().facts().unmap == UnmapBehavior::ignored) {
        return abort_command(drive);
    }
    operation_ = {.action = Action::trim, .is_ext = true, .is_dma = true, .sectors_left = drive.file.count};
    begin_operation(drive);
}

void Channel::run_immediate(Drive& drive, u8 opcode) {
    using enum ata::Command;
    switch (static_cast<ata::Command>(opcode)) {
    case identify_device:
        drive.build_identify(std::span<std::byte, ata::identify_bytes>(buffer_.get(), ata::identify_bytes));
        return answer_with_data(drive);
    case set_features:
        return change_features(drive);
    case set_multiple:
        return drive.set_multiple() ? complete(drive) : abort_command(drive);
    case initialize_parameters:
        return drive.set_geometry() ? complete(drive) : abort_command(drive);
    case seek:
        if (std::optional<u64> lba = drive.requested_lba(false); !lba || *lba >= drive.sector_count()) {
            return complete_with(drive, report_of(DiskError::illegal_block));
        }
        return complete(drive);
    case flush_cache:
    case flush_cache_ext:
        return start_flush(drive, drive.power);
    case data_set_management:
        return start_trim(drive);
    case smart:
        return run_smart(drive);
    case ata::Command::read_native_max:
        return run_read_native_max(drive, false);
    case ata::Command::read_native_max_ext:
        return run_read_native_max(drive, true);
    case standby_immediate:
    case standby_immediate_old:
    case standby:
    case standby_old:
        return start_flush(drive, PowerMode::standby);
    case sleep:
    case sleep_old:
        return start_flush(drive, PowerMode::sleep);
    case idle_immediate:
    case idle_immediate_old:
    case idle:
    case idle_old:
        drive.power = PowerMode::active;
        return complete(drive);
    case check_power:
    case check_power_old:
        drive.file.count = drive.power == PowerMode::standby ? power_standby : power_active_or_idle;
        return complete(drive);
    default:
        break;
    }
    bool is_recalibrate = opcode >= static_cast<u8>(recalibrate) && opcode <= recalibrate_last;
    is_recalibrate ? complete(drive) : abort_command(drive);
}

void Channel::change_features(Drive& drive) {
    bool had_cache = drive.write_cache;
    if (!drive.set_features()) {
        return abort_command(drive);
    }
    if (had_cache && !drive.write_cache && !drive.is_packet()) {
        return start_flush(drive, drive.power);
    }
    complete(drive);
}

void Channel::run_smart(Drive& drive) {
    bool has_key =
        (drive.file.lba_mid & 0xFF) == ata::smart_key_mid && (drive.file.lba_high & 0xFF) == ata::smart_key_high;
    auto subcommand = static_cast<ata::Smart>(drive.file.features & 0xFF);
    if (!has_key || (!drive.smart_enabled && subcommand != ata::Smart::enable)) {
        return abort_command(drive);
    }
    switch (subcommand) {
    case ata::Smart::read_data:
    case ata::Smart::read_thresholds:
        build_smart_data(std::span<std::byte, 512>(buffer_.get(), 512), subcommand == ata::Smart::read_thresholds);
        return answer_with_data(drive);
    case ata::Smart::enable:
    case ata::Smart::disable:
        drive.smart_enabled = subcommand == ata::Smart::enable;
        return complete(drive);
    case ata::Smart::autosave:
    case ata::Smart::return_status:  // the key is left as it came: no threshold was exceeded
        return complete(drive);
    }
    abort_command(drive);
}

/// Both drives test themselves; device 0 speaks for both.
void Channel::run_diagnostic() {
    for (const std::unique_ptr<Drive>& drive : drives_) {
        if (drive != nullptr) {
            drive->interrupt_pending = false;
            drive->set_signature();
        }
    }
    selected_ = 0;
    if (drives_[0] != nullptr) {
        drives_[0]->interrupt_pending = true;
    }
    update_line();
}

void Channel::run_read_native_max(Drive& drive, bool is_ext) {
    u64 last = drive.sector_count() == 0 ? 0 : drive.sector_count() - 1;
    constexpr u64 last_28 = (u64{1} << 28) - 1;
    drive.file.device |= ata::device_bit::lba;
    drive.report_lba(is_ext ? last : std::min(last, last_28), is_ext);
    complete(drive);
}

/// What the buffer's first 512 bytes hold goes to the guest.
void Channel::answer_with_data(Drive& drive) {
    operation_ = {};
    buffer_at_ = 0;
    buffer_bytes_ = ata::identify_bytes;
    phase_ = Phase::data_to_guest;
    offer_block(drive, true);
}

void Channel::complete(Drive& drive) {
    phase_ = Phase::idle;
    drive.set_status(done);
    raise(drive);
}

void Channel::complete_with(Drive& drive, const ErrorReport& report) {
    phase_ = Phase::idle;
    drive.set_status(done | ata::status_bit::error | report.status, report.error);
    raise(drive);
}

}  // namespace undercroft::ide
