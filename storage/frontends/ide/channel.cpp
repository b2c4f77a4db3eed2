// Registers of a channel, and the data that go through them.
#include "storage/frontends/ide/channel.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "storage/frontends/ide/channel_limits.hpp"

namespace undercroft::ide {

namespace {

/// What a bus without a drive reads as: DD7 is pulled down, so that it is not busy (ATA/ATAPI-7 volume 2, 6.2).
constexpr u8 floating_bus = 0x7F;
constexpr u16 port_offset_mask = 7;

u8 byte_of(u16 pair, bool high) { return static_cast<u8>(high ? pair >> 8 : pair); }
void push(u16& pair, u8 value) { pair = static_cast<u16>((pair << 8) | value); }

}  // namespace

Channel::Channel(const ChannelConfig& config)
    : memory_(config.memory), interrupt_(config.interrupt), pause_(config.pause),
      step_deadline_ns_(config.step_deadline_ns), task_(*this, config.executor, lock_) {}

Result<void> Channel::allocate() {
    buffer_.reset(new (std::nothrow) std::byte[buffer_bytes_max]);
    return buffer_ != nullptr && walker_.allocate() ? Result<void>{} : fail(Error::out_of_memory);
}

void Channel::set_decoding(bool on) {
    SpinlockGuard guard(lock_);
    decoding_ = on;
}

void Channel::set_mastering(bool on) {
    SpinlockGuard guard(lock_);
    mastering_ = on;
}

/// INTRQ: what the selected drive has to say, unless nIEN keeps it to itself.
void Channel::update_line() {
    const Drive* drive = selected();
    bool high = drive != nullptr && drive->interrupt_pending && (control_ & ata::control_bit::interrupts_off) == 0;
    if (high == line_high_) {
        return;
    }
    line_high_ = high;
    if (high) {
        bus_master_.note_interrupt();
    }
    interrupt_.set_level(high);
}

void Channel::raise(Drive& drive) {
    drive.interrupt_pending = true;
    update_line();
}

/// A lone device 0 answers for the missing device 1 with a status of 0; a missing device 0 leaves the bus floating.
u8 Channel::visible_status() {
    const Drive* drive = selected();
    if (drive != nullptr) {
        return drive->file.status;
    }
    return selected_ == 1 && has_drives() ? u8{0} : floating_bus;
}

u8 Channel::read_status() {
    if (Drive* drive = selected(); drive != nullptr) {
        drive->interrupt_pending = false;
        update_line();
    }
    return visible_status();
}

u8 Channel::read_register(u16 offset) {
    if (offset == ata::register_offset::status_command) {
        return read_status();
    }
    const Drive* drive = selected();
    if (drive == nullptr && selected_ == 1) {
        drive = drives_[0].get();
    }
    if (drive == nullptr) {
        return floating_bus;
    }
    bool high = (control_ & ata::control_bit::high_order_byte) != 0;
    const TaskFile& file = drive->file;
    switch (offset) {
    case ata::register_offset::error_features:
        return file.error;
    case ata::register_offset::count:
        return byte_of(file.count, high);
    case ata::register_offset::lba_low:
        return byte_of(file.lba_low, high);
    case ata::register_offset::lba_mid:
        return byte_of(file.lba_mid, high);
    case ata::register_offset::lba_high:
        return byte_of(file.lba_high, high);
    default:
        return file.device | ata::device_bit::obsolete | static_cast<u8>(selected_ == 1 ? ata::device_bit::second : 0);
    }
}

/// Both drives see every write; only the command register is the selected one's alone.
void Channel::write_register(u16 offset, u8 value) {
    control_ &= static_cast<u8>(~ata::control_bit::high_order_byte);
    if (offset == ata::register_offset::status_command) {
        return start_command(value);
    }
    if (phase_ != Phase::idle || reset_wanted_) {
        return;  // registers belong to the drive while it is busy or moves data
    }
    for (const std::unique_ptr<Drive>& drive : drives_) {
        if (drive == nullptr) {
            continue;
        }
        switch (offset) {
        case ata::register_offset::error_features:
            push(drive->file.features, value);
            break;
        case ata::register_offset::count:
            push(drive->file.count, value);
            break;
        case ata::register_offset::lba_low:
            push(drive->file.lba_low, value);
            break;
        case ata::register_offset::lba_mid:
            push(drive->file.lba_mid, value);
            break;
        case ata::register_offset::lba_high:
            push(drive->file.lba_high, value);
            break;
        default:
            drive->file.device = value;
            break;
        }
    }
    if (offset == ata::register_offset::device) {
        selected_ = (value & ata::device_bit::second) != 0 ? 1 : 0;
        update_line();
    }
}

/// Moves up to `bytes` between the guest and the buffer, in the direction that the command has; returns how many.
usize Channel::move_data(std::byte* into, const std::byte* from, usize bytes) {
    usize moved = 0;
    Phase direction = into != nullptr ? Phase::data_to_guest : Phase::data_from_guest;
    while (moved < bytes && phase_ == direction && active_ == selected_ && !reset_wanted_) {
        usize piece = std::min(bytes - moved, block_end_ - buffer_at_);
        if (into != nullptr) {
            std::memcpy(into + moved, buffer_.get() + buffer_at_, piece);
        } else {
            std::memcpy(buffer_.get() + buffer_at_, from + moved, piece);
        }
        moved += piece;
        buffer_at_ += piece;
        if (buffer_at_ == block_end_) {
            end_block();
        }
    }
    return moved;
}

void Channel::offer_block(Drive& drive, bool with_interrupt) {
    block_end_ = std::min(buffer_at_ + usize{operation_.block_sectors} * drive.sector_size(), buffer_bytes_);
    drive.set_status(ata::status_bit::ready | ata::status_bit::seek_complete | ata::status_bit::data_request);
    if (with_interrupt) {
        raise(drive);
    }
}

/// The guest has taken or brought the whole block.
void Channel::end_block() {
    Drive& drive = *drives_[active_];
    if (operation_.action == Action::packet) {
        return end_packet_block(drive);
    }
    bool buffer_is_done = buffer_at_ == buffer_bytes_;
    if (!buffer_is_done) {
        return offer_block(drive, true);
    }
    if (phase_ == Phase::data_to_guest && operation_.sectors_left == 0) {
        // The last block of a read ends the command without a further interrupt.
        phase_ = Phase::idle;
        drive.set_status(ata::status_bit::ready | ata::status_bit::seek_complete);
        return;
    }
    drive.set_status(ata::status_bit::busy);
    begin_step();
}

u64 Channel::read_port(u16 port, AccessSize size) {
    u16 offset = port & port_offset_mask;
    if (offset == ata::register_offset::data) {
        u64 value = 0;
        read_port_string(port, size, std::as_writable_bytes(std::span(&value, 1)).first(static_cast<usize>(size)));
        return value;
    }
    SpinlockGuard guard(lock_);
    u64 value = 0;
    for (unsigned index = 0; index < static_cast<unsigned>(size); ++index) {
        u16 at = static_cast<u16>(offset + index);
        u8 byte = !decoding_ || at > port_offset_mask ? u8{0xFF} : read_register(at);
        value |= u64{byte} << (8 * index);
    }
    return value;
}

void Channel::write_port(u16 port, AccessSize size, u64 value) {
    u16 offset = port & port_offset_mask;
    if (offset == ata::register_offset::data) {
        return write_port_string(port, size, std::as_bytes(std::span(&value, 1)).first(static_cast<usize>(size)));
    }
    SpinlockGuard guard(lock_);
    for (unsigned index = 0; decoding_ && index < static_cast<unsigned>(size); ++index) {
        u16 at = static_cast<u16>(offset + index);
        if (at <= port_offset_mask) {
            write_register(at, static_cast<u8>(value >> (8 * index)));
        }
    }
}

void Channel::read_port_string(u16 port, AccessSize size, std::span<std::byte> into) {
    if ((port & port_offset_mask) != ata::register_offset::data) {
        return PortDevice::read_port_string(port, size, into);
    }
    SpinlockGuard guard(lock_);
    usize moved = decoding_ ? move_data(into.data(), nullptr, into.size()) : 0;
    std::memset(into.data() + moved, 0xFF, into.size() - moved);
}

void Channel::write_port_string(u16 port, AccessSize size, std::span<const std::byte> from) {
    if ((port & port_offset_mask) != ata::register_offset::data) {
        return PortDevice::write_port_string(port, size, from);
    }
    SpinlockGuard guard(lock_);
    if (decoding_) {
        move_data(nullptr, from.data(), from.size());
    }
}

u8 Channel::read_alternate_status() {
    SpinlockGuard guard(lock_);
    return decoding_ ? visible_status() : u8{0xFF};
}

void Channel::write_control(u8 value) {
    SpinlockGuard guard(lock_);
    if (!decoding_) {
        return;
    }
    bool was_reset = (control_ & ata::control_bit::software_reset) != 0;
    bool is_reset = (value & ata::control_bit::software_reset) != 0;
    control_ = value;
    if (is_reset && !was_reset) {
        reset_keeps_selection_ = false;  // what a DEVICE RESET before it asked for
        begin_reset();
    } else if (!is_reset && was_reset) {
        task_.wake();
    }
    update_line();
}

/// SRST: both drives are busy at once, and ready again when the bit is clear and nothing is under way any more.
void Channel::begin_reset() {
    for (const std::unique_ptr<Drive>& drive : drives_) {
        if (drive != nullptr) {
            drive->file.status = ata::status_bit::busy;
            drive->interrupt_pending = false;
        }
    }
    reset_wanted_ = true;
    step_wanted_ = false;
    task_.cancel();
}

u32 Channel::read_bus_master(u16 offset, AccessSize size) {
    SpinlockGuard guard(lock_);
    u64 registers = u64{bus_master_.command()} | (u64{bus_master_.status()} << (8 * ata::bus_master_offset::status)) |
                    (u64{bus_master_.table()} << (8 * ata::bus_master_offset::table));
    return static_cast<u32>((registers >> (8 * offset)) & all_ones(size));
}

void Channel::write_bus_master(u16 offset, AccessSize size, u32 value) {
    SpinlockGuard guard(lock_);
    for (unsigned index = 0; index < static_cast<unsigned>(size); ++index) {
        u16 at = static_cast<u16>(offset + index);
        u8 byte = static_cast<u8>(value >> (8 * index));
        if (at == ata::bus_master_offset::status) {
            bus_master_.write_status(byte);
        } else if (at >= ata::bus_master_offset::table && at < ata::bus_master_offset::channel_stride) {
            unsigned shift = 8 * (at - ata::bus_master_offset::table);
            bus_master_.write_table(u32{byte} << shift, u32{0xFF} << shift);
        } else if (at == ata::bus_master_offset::command) {
            start_or_stop(bus_master_.write_command(byte));
        }
    }
}

void Channel::start_or_stop(BusMasterEdge edge) {
    if (edge == BusMasterEdge::start) {
        if (!mastering_) {
            bus_master_.fail_transfer();
        } else if (phase_ == Phase::bus_master) {
            begin_step();
        }
    } else if (edge == BusMasterEdge::stop && phase_ == Phase::working && operation_.is_dma &&
               (task_.is_busy() || !task_.is_closed())) {  // who pauses else is never resumed
        pause_guest();
        task_.cancel();
    }
}

}  // namespace undercroft::ide
