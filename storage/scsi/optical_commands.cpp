// What an optical drive says of itself and of its medium (MMC-6 clauses 5 and 6).
#include <algorithm>
#include <cstring>

#include "storage/scsi/extent.hpp"
#include "storage/scsi/optical_unit.hpp"
#include "storage/scsi/response.hpp"

namespace undercroft::scsi {

namespace {

constexpr u8 data_track = 0x14;  // ADR 1: position; CONTROL 4: a data track
constexpr u8 lead_out = 0xaa;

/// MSF of a block: two seconds before the first belong to it (MMC-6 4.2.4.5.1).
u32 minutes_seconds_frames(u64 lba) {
    constexpr u64 frames_per_minute = u64{60} * 75;
    u64 frames = lba + 150;
    return static_cast<u32>(frames / frames_per_minute << 16 | frames / 75 % 60 << 8 | frames % 75);
}
u32 address_of(u64 lba, bool as_msf) { return as_msf ? minutes_seconds_frames(lba) : static_cast<u32>(lba); }

/// MMC-6 table 482 (formats 0 and 1).
struct TocDescriptor {
    u8 reserved = 0;
    u8 adr_control = data_track;
    u8 track = 1;
    u8 reserved_too = 0;
    Be<u32> address = 0;
};
static_assert(sizeof(TocDescriptor) == 8 && offsetof(TocDescriptor, address) == 4);

/// MMC-6 table 487 (format 2).
struct RawTocDescriptor {
    u8 session = 1;
    u8 adr_control = data_track;
    u8 track = 0;
    u8 point = 0;
    u8 time[3] = {};
    u8 zero = 0;
    u8 position[3] = {};
};
static_assert(sizeof(RawTocDescriptor) == 11 && offsetof(RawTocDescriptor, position) == 8);

/// MMC-6 table 90.
struct FeatureHeader {
    Be<u16> feature = 0;
    u8 flags = 0;  // version (bits 2 to 5), persistent (1), current (0)
    u8 bytes = 0;
};
static_assert(sizeof(FeatureHeader) == 4 && offsetof(FeatureHeader, bytes) == 3);

enum class WhenCurrent : u8 { always, with_medium, with_cd, with_dvd };
struct Feature {
    u16 code;
    u8 version;
    bool is_persistent;
    WhenCurrent when;
    u8 bytes;
    u8 data[8];
};
constexpr u16 profile_cd = 0x0008;
constexpr u16 profile_dvd = 0x0010;
constexpr u16 core_feature = 0x0001;
// MMC-6 5.3: profile list, core, morphing, removable medium, random readable, multi-read, CD read, DVD read, power
// management, timeout, real-time streaming.
constexpr Feature features[] = {
    {0x0000, 0, true, WhenCurrent::always, 8, {0, 0x10, 0, 0, 0, 0x08, 0, 0}},
    {core_feature, 2, true, WhenCurrent::always, 8, {0, 0, 0, 1, 0x01, 0, 0, 0}},
    {0x0002, 1, true, WhenCurrent::always, 4, {0x02, 0, 0, 0}},
    {0x0003, 0, true, WhenCurrent::always, 4, {0x29, 0, 0, 0}},
    {0x0010, 0, false, WhenCurrent::with_medium, 8, {0, 0, 0x08, 0, 0, 1, 0, 0}},
    {0x001d, 0, false, WhenCurrent::with_cd, 0, {}},
    {0x001e, 2, false, WhenCurrent::with_cd, 4, {0, 0, 0, 0}},
    {0x001f, 0, false, WhenCurrent::with_dvd, 0, {}},
    {0x0100, 0, true, WhenCurrent::always, 0, {}},
    {0x0105, 0, true, WhenCurrent::always, 0, {}},
    {0x0107, 0, false, WhenCurrent::with_medium, 4, {0, 0, 0, 0}},
};

/// MMC-6 table 360, without the table of optimum power calibration.
struct DiscInformation {
    Be<u16> bytes = 32;
    u8 status = 0x0e;  // last session complete, disc finished
    u8 first_track = 1;
    u8 sessions = 1;
    u8 first_track_of_last_session = 1;
    u8 last_track_of_last_session = 1;
    u8 validity = 0x20;  // URU: may be read anywhere
    u8 type = 0;         // CD-DA or CD-ROM
    u8 high_bytes[3] = {};
    Be<u32> identification = 0;
    Be<u32> lead_in = 0xffff'ffff;
    Be<u32> lead_out = 0xffff'ffff;
    u8 bar_code[8] = {};
    u8 application = 0;
    u8 power_calibrations = 0;
};
static_assert(sizeof(DiscInformation) == 34 && offsetof(DiscInformation, power_calibrations) == 33);

/// MMC-6 table 499.
struct TrackInformation {
    Be<u16> bytes = 34;
    u8 track = 1;
    u8 session = 1;
    u8 reserved = 0;
    u8 track_mode = 4;
    u8 data_mode = 1;
    u8 validity = 0;
    Be<u32> start = 0;
    Be<u32> next_writable = 0;
    Be<u32> free_blocks = 0;
    Be<u32> packet_blocks = 0;
    Be<u32> blocks = 0;
    Be<u32> last_recorded = 0;
    u8 track_high = 0;
    u8 session_high = 0;
    u8 reserved_too[2] = {};
};
static_assert(sizeof(TrackInformation) == 36 && offsetof(TrackInformation, session_high) == 33);

/// MMC-6 table 410: what a DVD-ROM's lead-in says.
struct PhysicalFormat {
    u8 book = 0x01;           // DVD-ROM
    u8 size_and_rate = 0x02;  // 120 mm, 10.08 Mbit/s
    u8 layers = 0x01;         // one, embossed
    u8 density = 0;
    Be<u32> start = 0x0003'0000;
    Be<u32> end = 0;
    Be<u32> end_of_first_layer = 0;
    u8 burst_cutting_area = 0;
    u8 media_specific[2031] = {};
};
static_assert(sizeof(PhysicalFormat) == 2048 && offsetof(PhysicalFormat, media_specific) == 17);

constexpr u32 kilobytes_per_second = 11080;  // of a DVD at 8 times its speed

/// MMC-6 table 306.
struct PerformanceDescriptor {
    Be<u32> start = 0;
    Be<u32> start_performance = kilobytes_per_second;
    Be<u32> end = 0;
    Be<u32> end_performance = kilobytes_per_second;
};
static_assert(sizeof(PerformanceDescriptor) == 16 && offsetof(PerformanceDescriptor, end_performance) == 12);

}  // namespace

Completion OpticalUnit::answer(const Cdb& cdb, const Request& request) {
    switch (cdb.opcode()) {
    case Opcode::read_capacity_10:
        return read_capacity(request);
    case Opcode::read_toc:
        return read_toc(cdb, request);
    case Opcode::get_configuration:
        return get_configuration(cdb, request);
    case Opcode::get_event_status_notification:
        return event_status(cdb, request);
    case Opcode::read_disc_information:
        return disc_information(cdb, request);
    case Opcode::read_track_information:
        return track_information(cdb, request);
    case Opcode::read_disc_structure:
        return disc_structure(cdb, request);
    case Opcode::mechanism_status:
        return mechanism_status(cdb, request);
    case Opcode::get_performance:
        return performance(cdb, request);
    case Opcode::set_streaming:
        return streaming(cdb, request);
    default:  // SEEK (10)
        return cdb.be32(2) < blocks() ? succeed(request) : failed(request, DiskError::illegal_block);
    }
}

Completion OpticalUnit::read_capacity(const Request& request) const {
    u64 size = blocks();
    ReadCapacity10 data;
    data.last_lba = static_cast<u32>(std::min<u64>(size == 0 ? 0 : size - 1, 0xffff'ffff));
    data.block_bytes = optical_block_bytes;
    return respond(request, sizeof(data), data);
}

Completion OpticalUnit::read_toc(const Cdb& cdb, const Request& request) const {
    bool as_msf = (cdb[1] & 0x02) != 0;
    u8 track = cdb[6];
    u64 size = blocks();
    ResponseWriter writer(request, cdb.be16(7));
    auto put_header = [&](usize descriptor_bytes) {
        writer.put_part(Be<u16>(static_cast<u16>(2 + descriptor_bytes)));
        writer.put_part(Be<u16>(0x0101));  // first and last track, or session
    };
    // Before MMC, the format was in the control byte.
    u8 format = cdb[2] != 0 ? cdb[2] : cdb[9] >> 6;
    if (format == 0) {
        if (track > 1 && track != lead_out) {
            return refuse_field(request, 6);
        }
        put_header(track == lead_out ? sizeof(TocDescriptor) : 2 * sizeof(TocDescriptor));
        if (track != lead_out) {
            writer.put_part(TocDescriptor{.address = address_of(0, as_msf)});
        }
        writer.put_part(TocDescriptor{.track = lead_out, .address = address_of(size, as_msf)});
    } else if (format == 1) {
        put_header(sizeof(TocDescriptor));
        writer.put_part(TocDescriptor{.address = address_of(0, as_msf)});
    } else if (format == 2) {
        // First track, last track, lead-out, and the track; always in minutes, seconds, frames.
        u32 end = minutes_seconds_frames(size);
        auto part = [](u32 msf, u32 shift) { return static_cast<u8>(msf >> shift); };
        put_header(4 * sizeof(RawTocDescriptor));
        writer.put_part(RawTocDescriptor{.point = 0xa0, .position = {1, 0, 0}});
        writer.put_part(RawTocDescriptor{.point = 0xa1, .position = {1, 0, 0}});
        writer.put_part(RawTocDescriptor{.point = 0xa2, .position = {part(end, 16), part(end, 8), part(end, 0)}});
        writer.put_part(RawTocDescriptor{.point = 1, .position = {0, 2, 0}});
    } else {
        return refuse_field(request, 2);
    }
    return completion_of(request, writer);
}

Completion OpticalUnit::get_configuration(const Cdb& cdb, const Request& request) const {
    constexpr u8 all = 0;
    constexpr u8 current_alone = 1;
    constexpr u8 one = 2;
    u8 which = cdb[1] & 3;
    if (which > one) {
        return refuse_field(request, 1);
    }
    bool here = has_medium();
    bool dvd = here && is_dvd();
    auto is_current = [&](const Feature& feature) {
        return feature.when == WhenCurrent::always || (feature.when == WhenCurrent::with_medium && here) ||
               (feature.when == WhenCurrent::with_cd && here && !dvd) || (feature.when == WhenCurrent::with_dvd && dvd);
    };
    auto is_wanted = [&](const Feature& feature) {
        return which == one   ? feature.code == cdb.be16(2)
               : which == all ? feature.code >= cdb.be16(2)
                              : feature.code >= cdb.be16(2) && is_current(feature);
    };
    static_assert(current_alone == 1);
    u32 behind = 4;
    for (const Feature& feature : features) {
        behind += is_wanted(feature) ? u32{4} + feature.bytes : 0;
    }
    ResponseWriter writer(request, cdb.be16(7));
    writer.put_part(Be<u32>(behind));
    writer.put_part(Be<u16>(0));
    writer.put_part(Be<u16>(!here ? u16{0} : dvd ? profile_dvd : profile_cd));
    for (const Feature& feature : features) {
        if (!is_wanted(feature)) {
            continue;
        }
        writer.put_part(FeatureHeader{.feature = feature.code,
                                      .flags = static_cast<u8>(feature.version << 2 | (feature.is_persistent ? 2 : 0) |
                                                               (is_current(feature) ? 1 : 0)),
                                      .bytes = feature.bytes});
        u8 data[sizeof(feature.data)];
        std::memcpy(data, feature.data, sizeof(data));
        if (feature.code == 0) {
            data[2] = dvd ? 1 : 0;
            data[6] = here && !dvd ? 1 : 0;
        } else if (feature.code == core_feature) {
            data[3] = is_atapi_ ? 2 : 1;
        }
        writer.put(std::as_bytes(std::span(data, feature.bytes)));
    }
    return completion_of(request, writer);
}

Completion OpticalUnit::event_status(const Cdb& cdb, const Request& request) {
    constexpr u8 media_class = 4;
    constexpr u8 media_classes = 1U << media_class;
    constexpr u8 no_events = 0x80;  // NEA
    if ((cdb[1] & 1) == 0) {
        return refuse_field(request, 1);  // events are polled for
    }
    bool wanted = (cdb[4] & media_classes) != 0;
    ResponseWriter writer(request, cdb.be16(7));
    writer.put_part(Be<u16>(wanted ? 6 : 2));
    writer.put_part(static_cast<u8>(wanted ? media_class : no_events));
    writer.put_part(media_classes);
    if (wanted) {
        SpinlockGuard guard(lock_);
        bool is_in = medium_ && !is_tray_open_;
        u8 event = static_cast<u8>(event_);
        if (cdb.be16(7) > 4) {
            event_ = MediaEvent::none;  // told
        }
        const u8 status[] = {event, static_cast<u8>((is_tray_open_ ? 1 : 0) | (is_in ? 2 : 0)), 0, 0};
        writer.put(std::as_bytes(std::span(status)));
    }
    return completion_of(request, writer);
}

Completion OpticalUnit::disc_information(const Cdb& cdb, const Request& request) const {
    if ((cdb[1] & 7) != 0) {
        return refuse_field(request, 1);
    }
    return respond(request, cdb.be16(7), DiscInformation{});
}

Completion OpticalUnit::track_information(const Cdb& cdb, const Request& request) const {
    constexpr u8 by_lba = 0;
    constexpr u8 by_session = 2;
    u8 type = cdb[1] & 3;
    u32 number = cdb.be32(2);
    u64 size = blocks();
    bool is_there = type == by_lba ? number < size : number == 1;
    if (type > by_session || !is_there) {
        return refuse_field(request, type > by_session ? 1 : 2);
    }
    TrackInformation data;
    data.blocks = static_cast<u32>(std::min<u64>(size, 0xffff'ffff));
    return respond(request, cdb.be16(7), data);
}

Completion OpticalUnit::disc_structure(const Cdb& cdb, const Request& request) const {
    enum class Format : u8 { physical = 0x00, copyright = 0x01, manufacturing = 0x04, list = 0xff };
    auto format = static_cast<Format>(cdb[7]);
    if ((cdb[1] & 0x0f) != 0) {
        return refuse_field(request, 1);  // Blu-ray
    }
    if (!has_medium()) {
        return check(request, SenseKey::not_ready, readiness());
    }
    if (!is_dvd()) {
        return check(request, SenseKey::illegal_request, AdditionalSense::cannot_read_incompatible_medium);
    }
    if (cdb[6] != 0 && format != Format::list) {
        return refuse_field(request, 6);  // one layer
    }
    ResponseWriter writer(request, cdb.be16(8));
    auto begin = [&](usize bytes) { writer.put_part(Be<u32>(static_cast<u32>((bytes + 2) << 16))); };
    if (format == Format::physical) {
        PhysicalFormat data;
        data.end = static_cast<u32>(std::min<u64>(data.start + blocks() - 1, 0x00ff'ffff));
        begin(sizeof(data));
        writer.put_part(data);
    } else if (format == Format::copyright) {
        begin(4);
        writer.put_part(Be<u32>(0));  // not protected, any region
    } else if (format == Format::manufacturing) {
        begin(optical_block_bytes);
        for (u32 word = 0; word < optical_block_bytes / 8; ++word) {
            writer.put_part(Be<u64>(0));
        }
    } else if (format == Format::list) {
        constexpr u8 readable = 0x40;  // RDS
        const u8 entries[] = {0x00, readable, 0x08, 0x04, 0x01, readable, 0, 8, 0x04, readable, 0x08, 0x04};
        begin(sizeof(entries));
        writer.put(std::as_bytes(std::span(entries)));
    } else {
        return refuse_field(request, 7);
    }
    return completion_of(request, writer);
}

Completion OpticalUnit::mechanism_status(const Cdb& cdb, const Request& request) const {
    u8 data[8] = {};
    {
        SpinlockGuard guard(lock_);
        data[1] = is_tray_open_ ? 0x10 : 0;
    }
    return respond(request, cdb.be16(8), data);
}

// MMC-6 6.8: the nominal performance, alike everywhere.
Completion OpticalUnit::performance(const Cdb& cdb, const Request& request) const {
    constexpr u8 nominal_reads = 0x10;  // tolerance 10b, no exceptions
    if (cdb[10] != 0) {
        return refuse_field(request, 10);
    }
    if ((cdb[1] & ~nominal_reads) != 0) {
        return refuse_field(request, 1);
    }
    u16 descriptors = std::min<u16>(cdb.be16(8), 1);
    PerformanceDescriptor data;
    u64 size = blocks();
    data.end = static_cast<u32>(std::min<u64>(size == 0 ? 0 : size - 1, 0xffff'ffff));
    ResponseWriter writer(request, 8 + descriptors * sizeof(data));
    writer.put_part(Be<u32>(static_cast<u32>(4 + descriptors * sizeof(data))));
    writer.put_part(Be<u32>(0));
    if (descriptors > 0) {
        writer.put_part(data);
    }
    return completion_of(request, writer);
}

// MMC-6 6.39: a wish for a speed, which a drive that does not turn grants.
Completion OpticalUnit::streaming(const Cdb& cdb, const Request& request) const {
    constexpr u32 descriptor_bytes = 28;
    u32 bytes = cdb.be16(9);
    if (cdb[8] != 0) {
        return refuse_field(request, 8);
    }
    if (bytes != 0 && bytes != descriptor_bytes) {
        return check(request, SenseKey::illegal_request, AdditionalSense::parameter_list_length_error);
    }
    return total_bytes(request.data_out) < bytes ? overrun(request) : succeed(request, bytes);
}

}  // namespace undercroft::scsi
