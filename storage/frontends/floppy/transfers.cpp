// Commands that move data: what the identification fields say, the disk, and the way between buffer and guest.
#include <algorithm>
#include <cstring>

#include "storage/frontends/floppy/controller.hpp"

namespace undercroft::floppy {

namespace {

// Bytes of a data command.
constexpr usize at_flags = 0;
constexpr usize at_unit = 1;
constexpr usize at_cylinder = 2;
constexpr usize at_head = 3;
constexpr usize at_sector = 4;
constexpr usize at_size_code = 5;
constexpr usize at_last_sector = 6;
constexpr usize at_count = 8;  // of VERIFY
// Of FORMAT TRACK.
constexpr usize at_format_size_code = 2;
constexpr usize at_format_sectors = 3;
constexpr usize at_format_fill = 5;
constexpr usize format_id_bytes = 4;

constexpr u8 non_dma_bit = 1;  // of SPECIFY's second byte

}  // namespace

void Controller::start_data(fdc::Command command) {
    using enum fdc::Command;
    u8 unit = command_[at_unit];
    usize place = unit & fdc::command_bit::drive;
    bool is_write = command == write_data || command == write_deleted;
    bool is_verify = command == verify;
    operation_ = {.action = is_write    ? Action::write
                            : is_verify ? Action::verify
                                        : Action::read,
                  .place = place,
                  .cylinder = command_[at_cylinder],
                  .head = command_[at_head],
                  .sector = command_[at_sector],
                  .last_sector = command_[at_last_sector],
                  .is_multitrack = (command_[at_flags] & fdc::command_bit::multitrack) != 0 && command != read_track,
                  .is_dma = (specify_[1] & non_dma_bit) == 0,
                  // What was asked for as deleted is not: the command ends with the first sector.
                  .end_status2 = command == read_deleted ? fdc::status2_bit::control_mark : u8{0}};
    end_of_track_ = command_[at_last_sector];
    Drive* drive = drive_at(place);
    bool seeks = (configure_ & fdc::configure_bit::implied_seek) != 0 && drive != nullptr;
    if (seeks) {
        drive->cylinder = cylinders_[place] = operation_.cylinder;
        drive->changed = drive->changed && !drive->has_medium();
    }
    if (u8 missing = check_medium(place); missing != 0) {
        return end_with(fdc::status0_bit::abnormal, missing, 0);
    }
    u8 head = (unit & fdc::command_bit::head) != 0 ? 1 : 0;
    if (operation_.cylinder != drive->cylinder) {
        return end_with(fdc::status0_bit::abnormal, fdc::status1_bit::no_data, fdc::status2_bit::wrong_cylinder);
    }
    if (command == read_track) {
        operation_.sector = 1;
    }
    if (operation_.head != head || operation_.sector == 0 || operation_.sector > drive->format->sectors_per_track ||
        command_[at_size_code] != fdc::size_code_512) {
        return end_with(fdc::status0_bit::abnormal, fdc::status1_bit::no_data, 0);
    }
    if (is_write && drive->medium->facts().read_only) {
        return end_with(fdc::status0_bit::abnormal, fdc::status1_bit::not_writable, 0);
    }
    operation_.sectors = sectors_to_move();
    operation_.first =
        (u64{operation_.cylinder} * heads + head) * drive->format->sectors_per_track + operation_.sector - 1;
    take_medium(*drive);
    buffer_at_ = 0;
    if (is_write && !operation_.is_dma) {
        phase_ = Phase::data_from_host;
        return set_interrupt(true);
    }
    start_work();
}

/// Up to the end of the track, or with MT of the cylinder; no more than the DMA channel counts.
u32 Controller::sectors_to_move() const {
    const Drive& drive = drives_[operation_.place];
    u32 per_track = drive.format->sectors_per_track;
    u32 last = std::clamp<u32>(operation_.last_sector, operation_.sector, per_track);
    u32 sectors = last - operation_.sector + 1;
    if (operation_.is_multitrack && operation_.head == 0 && last == per_track) {
        sectors += per_track;
    }
    if (operation_.end_status2 != 0) {
        return 1;
    }
    if (operation_.action == Action::verify) {
        bool counts = (command_[at_unit] & fdc::command_bit::enable_count) != 0;
        return counts ? std::clamp<u32>(command_[at_count], 1, sectors) : sectors;
    }
    if (operation_.is_dma) {
        u32 wanted = (dma_.bytes_left(fdc::dma_channel) + sector_bytes - 1) / sector_bytes;
        sectors = std::clamp<u32>(wanted, 1, sectors);
    }
    return sectors;
}

void Controller::start_format() {
    u8 unit = command_[at_unit];
    usize place = unit & fdc::command_bit::drive;
    Drive* drive = drive_at(place);
    u8 head = (unit & fdc::command_bit::head) != 0 ? 1 : 0;
    operation_ = {.action = Action::format,
                  .place = place,
                  .cylinder = cylinders_[place],
                  .head = head,
                  .is_dma = (specify_[1] & non_dma_bit) == 0,
                  .fill = command_[at_format_fill]};
    if (u8 missing = check_medium(place); missing != 0) {
        return end_with(fdc::status0_bit::abnormal, missing, 0);
    }
    if (drive->medium->facts().read_only) {
        return end_with(fdc::status0_bit::abnormal, fdc::status1_bit::not_writable, 0);
    }
    // A medium of ours keeps its format: a track can be made anew in that one only.
    u32 sectors = drive->format->sectors_per_track;
    if (command_[at_format_size_code] != fdc::size_code_512 || command_[at_format_sectors] != sectors ||
        !operation_.is_dma) {
        return end_with(fdc::status0_bit::abnormal, fdc::status1_bit::no_data, 0);
    }
    operation_.sectors = sectors;
    operation_.first = (u64{operation_.cylinder} * heads + head) * sectors;
    take_medium(*drive);
    start_work();
}

void Controller::take_medium(const Drive& drive) {
    operation_.medium = drive.medium;
    operation_.sectors_per_track = drive.format->sectors_per_track;
}

/// What an operation still has though no work will take it: a reset came, or the guest gave no data.
std::optional<Disk> Controller::unneeded_medium() {
    bool is_needed = phase_ == Phase::working || phase_ == Phase::data_from_host;
    return is_needed ? std::nullopt : std::exchange(operation_.medium, std::nullopt);
}

/// Takes what is to be written from the guest, before the disk is asked. False where the guest gave nothing.
bool Controller::fill_for_writing() {
    std::span<std::byte> data = std::span(buffer_).first(usize{operation_.sectors} * sector_bytes);
    if (operation_.action == Action::format) {
        std::array<std::byte, sectors_per_track_max * format_id_bytes> ids = {};
        auto moved = dma_.from_memory(fdc::dma_channel, std::span(ids).first(operation_.sectors * format_id_bytes));
        std::ranges::fill(data, std::byte{operation_.fill});
        return moved.bytes > 0;
    }
    if (operation_.is_dma) {
        // A count that ends within a sector: the rest of it is zeros (data sheet 5.1.3).
        auto moved = dma_.from_memory(fdc::dma_channel, data);
        std::ranges::fill(data.subspan(moved.bytes), std::byte{0});
        operation_.terminal_count = moved.terminal_count;
        return moved.bytes > 0;
    }
    return true;
}

void Controller::start_work() {
    bool writes = operation_.action == Action::write || operation_.action == Action::format;
    if (writes && !fill_for_writing()) {
        return end_with(fdc::status0_bit::abnormal, fdc::status1_bit::overrun, 0);
    }
    phase_ = Phase::working;
    work_wanted_ = true;
    task_.wake();
}

/// The identification fields that the result phase shows: those of the sector behind the last (data sheet table 5-6).
void Controller::advance(u32 sectors) {
    u32 last = std::min(operation_.last_sector, operation_.sectors_per_track);
    for (; sectors > 0; --sectors) {
        if (operation_.sector < last) {
            ++operation_.sector;
            continue;
        }
        operation_.sector = 1;
        if (!operation_.is_multitrack) {
            ++operation_.cylinder;
        } else {
            operation_.cylinder = static_cast<u8>(operation_.cylinder + operation_.head);
            operation_.head ^= 1;
        }
    }
}

/// The last byte was moved, or the guest's DMA channel has enough.
void Controller::end_data(bool terminal_count) {
    advance(operation_.sectors);
    bool is_complete = terminal_count || operation_.end_status2 != 0 || operation_.action == Action::verify;
    end_with(is_complete ? u8{0} : fdc::status0_bit::abnormal, is_complete ? u8{0} : fdc::status1_bit::end_of_cylinder,
             operation_.end_status2);
}

void Controller::rest() {
    task_.settle();
    if (leaves_reset_) {
        leave_reset();
    }
}

Task<void> Controller::do_job() {
    std::optional<DiskResult<void>> outcome;
    {
        LoneTask::Step step(task_, step_deadline_ns_);
        outcome = co_await access_disk(step.token());
    }
    finish_work(*outcome);
}

Task<DiskResult<void>> Controller::access_disk(CancelToken token) {
    std::optional<Disk> disk;  // goes without the lock, at the end
    MemorySegment segment{buffer_.data(), 0};
    u64 first = 0;
    bool writes = false;
    {
        SpinlockGuard guard(lock_);
        disk = std::exchange(operation_.medium, std::nullopt);
        segment.size = usize{operation_.sectors} * sector_bytes;
        first = operation_.first;
        writes = operation_.action == Action::write || operation_.action == Action::format;
    }
    if (!disk) {
        co_return fail(DiskError::cancelled);  // a reset came before
    }
    if (writes) {
        CO_TRY(co_await disk->write(first, {&segment, 1}, ForceUnitAccess::no, token));
        co_return co_await disk->flush(token);  // a floppy disk has no write cache
    }
    co_return co_await disk->read(first, {&segment, 1}, token);
}

void Controller::finish_work(DiskResult<void> outcome) {
    SpinlockGuard guard(lock_);
    bool was_cancelled = task_.is_cancelled();
    task_.settle();
    if (was_cancelled || phase_ != Phase::working) {
        return;  // a reset came between
    }
    if (!outcome) {
        u8 status1 =
            outcome.error() == DiskError::read_only ? fdc::status1_bit::not_writable : fdc::status1_bit::data_error;
        return end_with(fdc::status0_bit::abnormal, status1,
                        outcome.error() == DiskError::read_only ? u8{0} : fdc::status2_bit::data_error);
    }
    bool reads = operation_.action == Action::read;
    if (reads && !operation_.is_dma) {
        phase_ = Phase::data_to_host;
        return set_interrupt(true);
    }
    bool terminal_count = operation_.terminal_count || operation_.action == Action::format;
    if (reads) {
        auto data = std::span<const std::byte>(buffer_).first(usize{operation_.sectors} * sector_bytes);
        terminal_count = dma_.to_memory(fdc::dma_channel, data).terminal_count;
    }
    end_data(terminal_count);
}

}  // namespace undercroft::floppy
