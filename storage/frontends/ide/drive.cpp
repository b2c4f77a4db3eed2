// Registers and settings of a drive.
#include "storage/frontends/ide/drive.hpp"

#include <algorithm>
#include <bit>

namespace undercroft::ide {

namespace {

constexpr u64 sectors_28_max = u64{1} << 28;
constexpr u64 sectors_48_max = u64{1} << 48;
constexpr u32 cylinders_max = 16383;

u8 low(u16 value) { return static_cast<u8>(value); }
u8 high(u16 value) { return static_cast<u8>(value >> 8); }

}  // namespace

Drive::Drive(Disk disk, DriveIdentity identity, bool is_second)
    : disk_(std::move(disk)), identity_(std::move(identity)), is_second_(is_second) {
    u64 per_cylinder = u64{geometry_.heads} * geometry_.sectors_per_track;
    geometry_.cylinders = static_cast<u32>(std::clamp<u64>(disk_->sector_count() / per_cylinder, 1, cylinders_max));
    set_signature();
}

Drive::Drive(std::shared_ptr<scsi::LogicalUnit> unit, DriveIdentity identity, bool is_second)
    : unit_(std::move(unit)), identity_(std::move(identity)), is_second_(is_second) {
    set_signature();
}

u64 Drive::sector_count() const { return std::min(disk_->sector_count(), sectors_48_max); }

void Drive::set_status(u8 status, u8 error) {
    file.status = status;
    file.error = error;
}

void Drive::set_signature() {
    file.count = 1;
    file.lba_low = 1;
    file.lba_mid = is_packet() ? ata::packet_signature_mid : 0;
    file.lba_high = is_packet() ? ata::packet_signature_high : 0;
    file.device = 0;
    u8 ready = ata::status_bit::ready | ata::status_bit::seek_complete;
    set_status(is_packet() ? u8{0} : ready, ata::diagnostic_passed);
}

void Drive::reset() {
    interrupt_pending = false;
    power = PowerMode::active;
    set_signature();
}

u32 Drive::requested_sectors(bool is_ext) const {
    if (is_ext) {
        return file.count == 0 ? u32{1} << 16 : file.count;
    }
    return low(file.count) == 0 ? 256u : low(file.count);
}

std::optional<u64> Drive::requested_lba(bool is_ext) const {
    u64 lba = low(file.lba_low) | (u32{low(file.lba_mid)} << 8) | (u32{low(file.lba_high)} << 16);
    if (is_ext) {
        return lba | (u64{high(file.lba_low)} << 24) | (u64{high(file.lba_mid)} << 32) |
               (u64{high(file.lba_high)} << 40);
    }
    u32 head = file.device & ata::device_bit::head_mask;
    if ((file.device & ata::device_bit::lba) != 0) {
        return lba | (u64{head} << 24);
    }
    u32 sector = low(file.lba_low);
    u64 cylinder = lba >> 8;
    if (sector == 0 || sector > geometry_.sectors_per_track || head >= geometry_.heads) {
        return std::nullopt;
    }
    return (cylinder * geometry_.heads + head) * geometry_.sectors_per_track + sector - 1;
}

void Drive::report_lba(u64 lba, bool is_ext) {
    auto pair = [](u64 upper, u64 lower) { return static_cast<u16>(((upper & 0xFF) << 8) | (lower & 0xFF)); };
    bool is_chs = !is_ext && (file.device & ata::device_bit::lba) == 0;
    u64 head = lba >> 24;
    if (is_chs) {
        u64 track = lba / geometry_.sectors_per_track;
        head = track % geometry_.heads;
        lba = ((track / geometry_.heads) << 8) | (lba % geometry_.sectors_per_track + 1);
    }
    file.lba_low = pair(is_ext ? lba >> 24 : 0, lba);
    file.lba_mid = pair(is_ext ? lba >> 32 : 0, lba >> 8);
    file.lba_high = pair(is_ext ? lba >> 40 : 0, lba >> 16);
    if (!is_ext) {
        file.device =
            static_cast<u8>((file.device & ~ata::device_bit::head_mask) | (head & ata::device_bit::head_mask));
    }
}

bool Drive::set_geometry() {
    u32 sectors = low(file.count);
    u32 heads = (file.device & ata::device_bit::head_mask) + 1u;
    if (sectors == 0) {
        return false;
    }
    u64 cylinders = sector_count() / (u64{heads} * sectors);
    geometry_ = {static_cast<u32>(std::clamp<u64>(cylinders, 1, 65535)), heads, sectors};
    return true;
}

bool Drive::set_multiple() {
    u16 count = low(file.count);
    if (count > multiple_max || (count & (count - 1)) != 0) {
        return false;
    }
    multiple = count;
    return true;
}

bool Drive::set_features() {
    u8 mode = low(file.count);
    switch (static_cast<ata::Feature>(low(file.features))) {
    case ata::Feature::enable_write_cache:
        write_cache = true;
        return true;
    case ata::Feature::disable_write_cache:
        write_cache = false;
        return true;
    case ata::Feature::enable_look_ahead:
        look_ahead_ = true;
        return true;
    case ata::Feature::disable_look_ahead:
        look_ahead_ = false;
        return true;
    case ata::Feature::disable_revert_to_defaults:
    case ata::Feature::enable_revert_to_defaults:
        return true;
    case ata::Feature::set_transfer_mode: {
        u8 kind = mode & ata::transfer_mode::kind_mask;
        u8 number = mode & static_cast<u8>(~ata::transfer_mode::kind_mask);
        bool is_pio = (kind == ata::transfer_mode::pio_default && number <= 1) ||
                      (kind == ata::transfer_mode::pio_flow_control && number <= 4);
        bool is_dma =
            (kind == ata::transfer_mode::multiword_dma || kind == ata::transfer_mode::ultra_dma) && number <= 2;
        if (is_dma) {
            transfer_mode_ = mode;
        }
        return is_pio || is_dma;
    }
    }
    return false;
}

void put_text(std::span<Le<u16>> words, std::string_view text) {
    auto at = [&](usize index) { return index < text.size() ? static_cast<u8>(text[index]) : u8{' '}; };
    for (usize index = 0; index < words.size(); ++index) {
        words[index] = static_cast<u16>((at(2 * index) << 8) | at(2 * index + 1));
    }
}

void seal_identify(std::span<std::byte, ata::identify_bytes> data) {
    constexpr u8 signature = 0xA5;
    data[510] = std::byte{signature};
    u8 sum = 0;
    for (std::byte value : data.first(511)) {
        sum = static_cast<u8>(sum + static_cast<u8>(value));
    }
    data[511] = static_cast<std::byte>(-sum);
}

void Drive::build_identify(std::span<std::byte, ata::identify_bytes> into) const {
    Le<u16> words[ata::identify_bytes / 2] = {};
    words[ata::identify_word::general] = 0x0040;  // a disk that stays where it is
    identify_texts(words);
    identify_geometry(words);
    identify_commands(words);
    identify_sizes(words);
    std::memcpy(into.data(), words, sizeof(words));
    seal_identify(into);
}

void Drive::identify_texts(std::span<Le<u16>> words) const {
    put_text(words.subspan(ata::identify_word::serial, 10), identity_.serial);
    put_text(words.subspan(ata::identify_word::firmware, 4), identity_.firmware);
    put_text(words.subspan(ata::identify_word::model, 20), identity_.model);
}

/// ATA/ATAPI-7 6.17.
void Drive::build_packet_identify(std::span<std::byte, ata::identify_bytes> into) const {
    Le<u16> words[ata::identify_bytes / 2] = {};
    words[ata::identify_word::general] = 0x85C0;  // packets of 12 bytes, CD-ROM, removable, DRQ within 50 us
    identify_texts(words);
    words[ata::identify_word::capabilities] = 0x0F00;  // IORDY, LBA, DMA
    identify_modes(words);
    words[ata::identify_word::major_version] = 0x01F0;  // ATA/ATAPI-4 to -8
    // NOP, DEVICE RESET, power management, PACKET.
    u16 commands = (1u << 14) | (1u << 9) | (1u << 3) | (1u << 4);
    for (usize first : {ata::identify_word::commands_supported, ata::identify_word::commands_enabled}) {
        words[first] = commands;
        words[first + 1] = 0x4000;
        words[first + 2] = 0x4000;
    }
    words[ata::identify_word::reset_result] = is_second_ ? 0x6B00 : 0x600B;
    std::memcpy(into.data(), words, sizeof(words));
    seal_identify(into);
}

void Drive::identify_modes(std::span<Le<u16>> words) const {
    words[ata::identify_word::capabilities_2] = 0x4000;
    words[ata::identify_word::pio_timing] = 0x0200;
    words[ata::identify_word::validity] = 0x0007;
    u8 kind = transfer_mode_ & ata::transfer_mode::kind_mask;
    u16 selected = static_cast<u16>(0x0100u << (transfer_mode_ & 7u));
    words[ata::identify_word::multiword_dma] = 0x0007 | (kind == ata::transfer_mode::multiword_dma ? selected : 0);
    words[ata::identify_word::ultra_dma] = 0x0007 | (kind == ata::transfer_mode::ultra_dma ? selected : 0);
    words[ata::identify_word::pio_modes] = 0x0003;
    for (usize index = 0; index < 4; ++index) {
        words[ata::identify_word::cycle_times + index] = 120;
    }
}

void Drive::identify_geometry(std::span<Le<u16>> words) const {
    u64 per_cylinder = u64{16} * 63;
    words[ata::identify_word::cylinders] =
        static_cast<u16>(std::clamp<u64>(sector_count() / per_cylinder, 1, cylinders_max));
    words[ata::identify_word::heads] = 16;
    words[ata::identify_word::sectors_per_track] = 63;
    u16 cylinders = static_cast<u16>(std::min<u32>(geometry_.cylinders, 65535));
    u32 capacity = cylinders * geometry_.heads * geometry_.sectors_per_track;
    words[ata::identify_word::current_cylinders] = cylinders;
    words[ata::identify_word::current_heads] = static_cast<u16>(geometry_.heads);
    words[ata::identify_word::current_sectors_per_track] = static_cast<u16>(geometry_.sectors_per_track);
    words[ata::identify_word::current_capacity] = static_cast<u16>(capacity);
    words[ata::identify_word::current_capacity + 1] = static_cast<u16>(capacity >> 16);
}

void Drive::identify_commands(std::span<Le<u16>> words) const {
    words[ata::identify_word::multiple_max] = 0x8000 | multiple_max;
    words[ata::identify_word::multiple_now] = multiple == 0 ? 0 : static_cast<u16>(0x0100 | multiple);
    words[ata::identify_word::capabilities] = 0x2F00;  // standard standby timers, IORDY, LBA, DMA
    identify_modes(words);
    words[ata::identify_word::major_version] = 0x03F0;  // ATA/ATAPI-4 to ACS-2
    // 82: NOP, look-ahead, write cache, power management, SMART. 83: FLUSH CACHE (EXT), 48-bit. 84: FUA EXT, name.
    u16 first = (1u << 14) | (1u << 6) | (1u << 5) | (1u << 3) | (1u << 0);
    u16 second = (1u << 14) | (1u << 13) | (1u << 12) | (1u << 10);
    u16 third = (1u << 14) | (1u << 6) | (disk_->facts().id ? 1u << 8 : 0u);
    words[ata::identify_word::commands_supported] = first;
    words[ata::identify_word::commands_supported + 1] = second;
    words[ata::identify_word::commands_supported + 2] = third;
    u16 off = static_cast<u16>((look_ahead_ ? 0u : 1u << 6) | (write_cache ? 0u : 1u << 5) | (smart_enabled ? 0u : 1u));
    words[ata::identify_word::commands_enabled] = first & static_cast<u16>(~off);
    words[ata::identify_word::commands_enabled + 1] = second & 0x3FFF;
    words[ata::identify_word::commands_enabled + 2] = third;
    // Device 0: passed its diagnostics, and no device 1 disturbed it. Device 1: passed, and said so.
    words[ata::identify_word::reset_result] = is_second_ ? 0x6B00 : 0x600B;
    if (disk_->facts().unmap != UnmapBehavior::ignored) {
        words[ata::identify_word::trim_support] = 0x0001;
        words[ata::identify_word::trim_blocks_max] = trim_blocks_max;
        if (disk_->facts().unmap == UnmapBehavior::zeroes) {
            words[ata::identify_word::additional] = 0x4020;  // trimmed sectors read alike, and as zeros
        }
    }
}

void Drive::identify_sizes(std::span<Le<u16>> words) const {
    u64 sectors = sector_count();
    u64 sectors_28 = std::min(sectors, sectors_28_max - 1);
    words[ata::identify_word::sectors_28] = static_cast<u16>(sectors_28);
    words[ata::identify_word::sectors_28 + 1] = static_cast<u16>(sectors_28 >> 16);
    for (usize index = 0; index < 4; ++index) {
        words[ata::identify_word::sectors_48 + index] = static_cast<u16>(sectors >> (16 * index));
    }
    u32 size = sector_size();
    u32 physical = disk_->facts().physical_sector_size;
    u16 sizes = 0x4000;
    if (physical > size) {
        sizes |= static_cast<u16>(0x2000 | std::countr_zero(physical / size));
    }
    if (size > 512) {
        sizes |= 0x1000;
        words[ata::identify_word::logical_sector_size] = static_cast<u16>(size / 2);
        words[ata::identify_word::logical_sector_size + 1] = static_cast<u16>((size / 2) >> 16);
    }
    words[ata::identify_word::sector_sizes] = sizes;
    words[ata::identify_word::rotation_rate] = 1;  // it does not rotate
    if (disk_->facts().id) {
        // NAA 5 with a company id of zeros: the last bits of the disk's own id.
        const auto& id = *disk_->facts().id;
        u64 name = 0;
        for (usize index = 8; index < 16; ++index) {
            name = (name << 8) | static_cast<u8>(id[index]);
        }
        name = (u64{5} << 60) | (name & ((u64{1} << 36) - 1));
        for (usize index = 0; index < 4; ++index) {
            words[ata::identify_word::world_wide_name + index] = static_cast<u16>(name >> (48 - 16 * index));
        }
    }
}

void build_smart_data(std::span<std::byte, 512> into, bool thresholds) {
    std::ranges::fill(into, std::byte{0});
    into[0] = std::byte{1};  // revision of the structure
    if (!thresholds) {
        constexpr usize attribute_first = 2;
        constexpr u8 attribute[] = {9, 0x02, 0x00, 100, 100};  // power-on time: advisory, normal value, worst value
        std::memcpy(&into[attribute_first], attribute, sizeof(attribute));
        into[362] = std::byte{0x00};  // off-line collection never started
        into[368] = std::byte{0x03};  // SMART capability: saves, and does so by itself
    } else {
        into[2] = std::byte{9};
    }
    u8 sum = 0;
    for (std::byte value : into.first(511)) {
        sum = static_cast<u8>(sum + static_cast<u8>(value));
    }
    into[511] = static_cast<std::byte>(-sum);
}

}  // namespace undercroft::ide
