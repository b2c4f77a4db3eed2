// Packet (ATAPI) devices: the PACKET command by PIO and by bus master, over a logical unit of storage/scsi. The unit's
// sense stays here until REQUEST SENSE asks for it, since ATAPI has none with a command.
// Source: ATA/ATAPI-7 volume 1 6.24 (PACKET), volume 2 9.8 and 9.9 (its protocols). Left out: overlap, 16-byte packets.
#include <algorithm>
#include <cstring>

#include "storage/frontends/ide/channel.hpp"
#include "storage/frontends/ide/channel_limits.hpp"
#include "storage/segments.hpp"

namespace undercroft::ide {

namespace {

constexpr u8 packet_ready = ata::status_bit::ready | ata::status_bit::seek_complete;
constexpr u8 features_dma = 1u << 0;
constexpr usize packet_bytes = 12;
constexpr usize block_limit_max = 0xFFFE;
constexpr u64 bus_master_bytes_max = 32 * mib;
constexpr u32 buffer_blocks = buffer_bytes_max / 2048;

constexpr u8 request_sense = 0x03;
constexpr u8 mode_select_6 = 0x15;
constexpr u8 mode_select_10 = 0x55;
constexpr u8 set_streaming = 0xB6;
constexpr u8 read_10 = 0x28;
constexpr u8 read_12 = 0xA8;

u8 byte_at(std::span<const std::byte> cdb, usize index) { return static_cast<u8>(cdb[index]); }
u32 be16_at(std::span<const std::byte> cdb, usize index) {
    return (u32{byte_at(cdb, index)} << 8) | byte_at(cdb, index + 1);
}
u32 be32_at(std::span<const std::byte> cdb, usize index) {
    return (be16_at(cdb, index) << 16) | be16_at(cdb, index + 2);
}
void put_be32(std::span<std::byte> cdb, usize index, u32 value) {
    Be<u32> field = value;
    std::memcpy(&cdb[index], &field, sizeof(field));
}

/// Bytes of parameters that a command brings.
usize parameter_bytes(std::span<const std::byte> cdb) {
    switch (byte_at(cdb, 0)) {
    case mode_select_6:
        return byte_at(cdb, 4);
    case mode_select_10:
        return be16_at(cdb, 7);
    case set_streaming:
        return be16_at(cdb, 9);
    default:
        return 0;
    }
}

bool is_long_read(std::span<const std::byte> cdb) { return byte_at(cdb, 0) == read_10 || byte_at(cdb, 0) == read_12; }

}  // namespace

bool Channel::run_packet_immediate(Drive& drive, u8 opcode) {
    std::span<std::byte, ata::identify_bytes> data(buffer_.get(), ata::identify_bytes);
    switch (static_cast<ata::Command>(opcode)) {
    case ata::Command::packet:
        start_packet(drive);
        return true;
    case ata::Command::identify_packet_device:
        drive.build_packet_identify(data);
        operation_ = {.action = Action::packet};
        packet_.block_limit = data.size();
        packet_outcome_ = {};
        packet_.has_cdb = true;
        packet_.blocks_left = 0;
        buffer_at_ = 0;
        buffer_bytes_ = data.size();
        offer_packet_block(drive, true);
        return true;
    case ata::Command::set_features:
    case ata::Command::nop:
    case ata::Command::standby_immediate:
    case ata::Command::idle_immediate:
    case ata::Command::standby:
    case ata::Command::idle:
    case ata::Command::sleep:
    case ata::Command::check_power:
        return false;  // as of disks
    case ata::Command::identify_device:
    case ata::Command::read_sectors:
        // Aborted, with the signature that tells what kind of device it is (ACS 7.12.6).
        drive.set_signature();
        [[fallthrough]];
    default:
        abort_command(drive);
        return true;
    }
}

/// The guest brings the packet itself, without an interrupt.
void Channel::start_packet(Drive& drive) {
    usize limit = (drive.file.lba_mid & 0xFFu) | ((drive.file.lba_high & 0xFFu) << 8);
    operation_ = {.action = Action::packet, .is_dma = (drive.file.features & features_dma) != 0};
    packet_.has_cdb = false;
    packet_.out_bytes = 0;
    packet_.blocks_left = 0;
    packet_.block_limit = limit == 0 ? block_limit_max : std::min(limit, block_limit_max);
    drive.power = PowerMode::active;
    buffer_at_ = 0;
    buffer_bytes_ = block_end_ = packet_bytes;
    phase_ = Phase::data_from_guest;
    drive.file.count = ata::reason_bit::command;
    drive.set_status(packet_ready | ata::status_bit::data_request);
}

/// The next block of data; of those that are not the last, an even number of bytes.
void Channel::offer_packet_block(Drive& drive, bool to_guest) {
    usize bytes = std::min(packet_.block_limit, buffer_bytes_ - buffer_at_);
    if (bytes < buffer_bytes_ - buffer_at_ && bytes > 1) {
        bytes &= ~usize{1};
    }
    block_end_ = buffer_at_ + bytes;
    phase_ = to_guest ? Phase::data_to_guest : Phase::data_from_guest;
    drive.file.count = to_guest ? ata::reason_bit::to_host : u8{0};
    drive.file.lba_mid = static_cast<u16>(bytes & 0xFF);
    drive.file.lba_high = static_cast<u16>(bytes >> 8);
    drive.set_status(packet_ready | ata::status_bit::data_request);
    raise(drive);
}

void Channel::end_packet_block(Drive& drive) {
    if (!packet_.has_cdb) {
        take_cdb();
        if (packet_.out_bytes > 0 && !operation_.is_dma) {
            buffer_at_ = 0;
            buffer_bytes_ = packet_.out_bytes;
            return offer_packet_block(drive, false);
        }
    } else if (buffer_at_ < buffer_bytes_) {
        return offer_packet_block(drive, phase_ == Phase::data_to_guest);
    } else if (phase_ == Phase::data_to_guest && packet_.blocks_left == 0) {
        return complete_packet(drive, packet_outcome_);
    }
    drive.set_status(ata::status_bit::busy);
    operation_.is_dma ? wait_for_bus_master() : begin_step();
}

void Channel::take_cdb() {
    std::memcpy(packet_.cdb.data(), buffer_.get(), packet_bytes);
    packet_.has_cdb = true;
    packet_.out_bytes = std::min(parameter_bytes(packet_.cdb), buffer_bytes_max);
    if (is_long_read(packet_.cdb)) {
        packet_.next_block = be32_at(packet_.cdb, 2);
        packet_.blocks_left = byte_at(packet_.cdb, 0) == read_10 ? be16_at(packet_.cdb, 7) : be32_at(packet_.cdb, 6);
    }
}

/// REQUEST SENSE for the command before, where that left sense.
bool Channel::answer_sense(scsi::Completion& completion) {
    if (byte_at(packet_.cdb, 0) != request_sense || !packet_.sense) {
        return false;
    }
    std::array<std::byte, scsi::sense_bytes_max> sense = {};
    usize bytes = std::min<usize>(packet_.sense->encode_sense(sense), byte_at(packet_.cdb, 4));
    std::memcpy(buffer_.get(), sense.data(), bytes);
    completion = {};
    completion.transferred = bytes;
    return true;
}

/// One call of the unit: all of a command, or of a long READ by PIO as much as the buffer holds.
Task<DiskResult<void>> Channel::run_packet(const Drive& drive, CancelToken token) {
    std::array<std::byte, packet_bytes> cdb = packet_.cdb;
    MemorySegment buffer{buffer_.get(), buffer_bytes_max};
    scsi::Completion completion;
    SegmentList data_in(&buffer, 1);
    SegmentList data_out;
    if (operation_.is_dma) {
        Result<SegmentList> regions = walker_.next(memory_, bus_master_bytes_max, 2);
        if (!regions) {
            co_return fail(DiskError::memory_access);
        }
        data_in = *regions;
        if (packet_.out_bytes > 0) {
            packet_.out_bytes = static_cast<usize>(std::min<u64>(packet_.out_bytes, total_bytes(*regions)));
            SegmentCursor(*regions).copy_out({buffer_.get(), packet_.out_bytes});
        }
    } else if (is_long_read(cdb)) {
        u32 blocks = std::min(packet_.blocks_left, buffer_blocks);
        put_be32(cdb, 2, packet_.next_block);
        bool is_10 = byte_at(cdb, 0) == read_10;
        cdb[is_10 ? 8 : 9] = static_cast<std::byte>(blocks);
        cdb[is_10 ? 7 : 8] = std::byte{0};
        if (!is_10) {
            cdb[6] = cdb[7] = std::byte{0};
        }
        packet_.next_block += blocks;
        packet_.blocks_left -= blocks;
    }
    MemorySegment parameters{buffer_.get(), packet_.out_bytes};
    if (packet_.out_bytes > 0) {
        data_out = {&parameters, 1};
        data_in = {};
    }
    if (answer_sense(completion)) {
        if (operation_.is_dma) {
            u64 bytes = std::min(completion.transferred, total_bytes(data_in));
            SegmentCursor(data_in).copy_in({buffer_.get(), static_cast<usize>(bytes)});
        }
    } else {
        completion =
            co_await drive.unit().execute({.cdb = cdb, .data_out = data_out, .data_in = data_in, .cancel = token});
    }
    packet_outcome_ = completion;
    bool was_ended = completion.delivery == scsi::Delivery::aborted || completion.delivery == scsi::Delivery::reset;
    co_return was_ended ? DiskResult<void>(fail(DiskError::cancelled)) : DiskResult<void>{};
}

/// With the lock held.
void Channel::finish_packet(Drive& drive, bool has_failed) {
    if (has_failed) {
        packet_.sense.reset();
        if (operation_.is_dma) {
            bus_master_.fail_transfer();
        }
        return complete_with(drive, {.error = ata::error_bit::aborted});
    }
    bool is_good = packet_outcome_.status == scsi::Status::good;
    u64 bytes = packet_.out_bytes > 0 ? 0 : packet_outcome_.transferred;
    if (operation_.is_dma) {
        bus_master_.finish(walker_.is_used_up());
    } else if (bytes > 0) {
        packet_.blocks_left = is_good ? packet_.blocks_left : 0;
        buffer_at_ = 0;
        buffer_bytes_ = static_cast<usize>(bytes);
        return offer_packet_block(drive, true);
    }
    complete_packet(drive, packet_outcome_);
}

void Channel::complete_packet(Drive& drive, const scsi::Completion& completion) {
    phase_ = Phase::idle;
    drive.file.count = ata::reason_bit::command | ata::reason_bit::to_host;
    packet_.sense.reset();
    if (completion.status == scsi::Status::good) {
        drive.set_status(packet_ready);
    } else {
        packet_.sense = completion;
        u8 key = static_cast<u8>(completion.sense.key);
        drive.set_status(packet_ready | ata::status_bit::error,
                         static_cast<u8>((key << ata::error_bit::sense_key_shift) | ata::error_bit::aborted));
    }
    raise(drive);
}

}  // namespace undercroft::ide
