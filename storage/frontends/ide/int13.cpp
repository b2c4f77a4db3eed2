// The enlightened INT 13h: one port write for a whole access to a disk. The processor that wrote does not run its guest
// until the access is over, so the write has been the access. No interrupt is raised, and nIEN stays as it is.
// Left out: commands other than those that move data by bus master, and optical drives.
#include "storage/frontends/ide/channel.hpp"

namespace undercroft::ide {

namespace {

enum class Kind : u8 { none, read, write };
struct Decoded {
    Kind kind = Kind::none;
    bool is_ext = false;
    bool is_fua = false;
};

Decoded decode(u8 command) {
    switch (static_cast<ata::Command>(command)) {
    case ata::Command::read_dma:
    case ata::Command::read_dma_no_retry:
        return {.kind = Kind::read};
    case ata::Command::read_dma_ext:
        return {.kind = Kind::read, .is_ext = true};
    case ata::Command::write_dma:
    case ata::Command::write_dma_no_retry:
        return {.kind = Kind::write};
    case ata::Command::write_dma_ext:
        return {.kind = Kind::write, .is_ext = true};
    case ata::Command::write_dma_fua_ext:
        return {.kind = Kind::write, .is_ext = true, .is_fua = true};
    default:
        return {};
    }
}

}  // namespace

void Channel::write_int13(u32 guest_address) {
    SpinlockGuard guard(lock_);
    if (!decoding_ || task_.is_closed() || reset_wanted_ || phase_ != Phase::idle) {
        return;  // the packet's status stays as the guest left it
    }
    phase_ = Phase::working;
    operation_ = {};
    int13_wanted_ = guest_address;
    pause_guest();
    task_.wake();
}

Task<void> Channel::run_int13() {
    u32 address = *int13_wanted_;
    if (Result<ata::Int13Packet> packet = memory_.read_value<ata::Int13Packet>(address)) {
        u8 status = co_await carry_out_int13(*packet);
        Result<void> written = memory_.write_value(u64{address} + offsetof(ata::Int13Packet, result_status), status);
        static_cast<void>(written);  // it could be read, so it is RAM
    }
    SpinlockGuard guard(lock_);
    int13_wanted_.reset();
    if (!reset_wanted_ && !task_.is_closed()) {
        task_.settle();
        phase_ = Phase::idle;
    }
    resume_guests();
}

/// Selects the drive, checks the request, and moves the data: the drive's status afterwards.
Task<u8> Channel::carry_out_int13(const ata::Int13Packet& packet) {
    Decoded decoded = decode(packet.command);
    Drive* drive = select_for_int13(packet);
    if (drive == nullptr) {
        co_return ata::status_bit::error;
    }
    u64 lba = u64{packet.lba_low} | (decoded.is_ext ? u64{packet.lba_high} << 32 : 0);
    u64 sectors = drive->requested_sectors(decoded.is_ext);
    DiskResult<void> outcome = fail(DiskError::invalid_input);
    if (decoded.kind != Kind::none) {
        operation_ = {.action = decoded.kind == Kind::write ? Action::write : Action::read,
                      .is_ext = decoded.is_ext,
                      .is_dma = true,
                      .is_durable = decoded.is_fua || !drive->write_cache,
                      .lba = lba,
                      .sectors_left = sectors};
        bool exists = lba <= drive->sector_count() && sectors <= drive->sector_count() - lba;
        walker_.start(packet.data_buffer);
        outcome = exists ? co_await run_bounded(*drive) : DiskResult<void>(fail(DiskError::illegal_block));
        if (outcome && operation_.sectors_left > 0) {
            outcome = fail(DiskError::memory_access);  // the table has too few regions
        }
    }
    SpinlockGuard guard(lock_);
    constexpr u8 done = ata::status_bit::ready | ata::status_bit::seek_complete;
    if (outcome) {
        drive->set_status(done);
    } else if (!reset_wanted_) {
        ErrorReport report = report_of(outcome.error());
        drive->set_status(done | ata::status_bit::error | report.status, report.error);
    }
    co_return outcome ? done : static_cast<u8>(done | ata::status_bit::error);
}

/// Puts the packet's drive and count into the registers, as the INT 13h service would have done port by port.
Drive* Channel::select_for_int13(const ata::Int13Packet& packet) {
    SpinlockGuard guard(lock_);
    selected_ = (packet.device_head & ata::device_bit::second) != 0 ? 1 : 0;
    active_ = selected_;
    update_line();
    Drive* drive = selected();
    if (drive == nullptr || drive->is_packet() || drive->power == PowerMode::sleep) {
        return nullptr;
    }
    drive->power = PowerMode::active;
    drive->file.device = packet.device_head;
    drive->file.count = packet.block_count;
    return drive;
}

}  // namespace undercroft::ide
