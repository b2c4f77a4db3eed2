// MODE SENSE and MODE SELECT, and the other commands of SPC-4 that change a unit: RESERVE and RELEASE (SPC-2 7.21, 7.17),
// PREVENT ALLOW MEDIUM REMOVAL, SEND DIAGNOSTIC, LOG SENSE.
#include <algorithm>
#include <cstring>

#include "storage/scsi/logical_unit.hpp"
#include "storage/scsi/response.hpp"

namespace undercroft::scsi {

namespace {

constexpr u8 disable_block_descriptors = 0x08;  // DBD, byte 1 of MODE SENSE
constexpr u8 long_lba_accepted = 0x10;          // LLBAA, byte 1 of MODE SENSE (10)
constexpr u8 page_format = 0x10;                // PF, byte 1 of MODE SELECT
constexpr u8 save_pages = 0x01;                 // SP, byte 1 of MODE SELECT

constexpr usize parameter_bytes_max = 256;

/// SPC-4 table 446: header of the parameters of the six-byte commands.
struct ModeHeader6 {
    u8 data_bytes = 0;  // of what follows
    u8 medium_type = 0;
    u8 device_specific = 0;
    u8 descriptor_bytes = 0;
};
static_assert(sizeof(ModeHeader6) == 4 && offsetof(ModeHeader6, descriptor_bytes) == 3);

/// SPC-4 table 447.
struct ModeHeader10 {
    Be<u16> data_bytes = 0;  // of what follows
    u8 medium_type = 0;
    u8 device_specific = 0;
    u8 flags = 0;  // bit 0: LONGLBA
    u8 reserved = 0;
    Be<u16> descriptor_bytes = 0;
};
static_assert(sizeof(ModeHeader10) == 8 && offsetof(ModeHeader10, descriptor_bytes) == 6);

/// SBC-3 table 194: number of blocks, length of one.
struct BlockDescriptor {
    Be<u32> blocks = 0;
    Be<u32> block_bytes = 0;  // the upper eight bits are reserved
};
static_assert(sizeof(BlockDescriptor) == 8 && offsetof(BlockDescriptor, block_bytes) == 4);

/// SBC-3 table 195.
struct LongBlockDescriptor {
    Be<u64> blocks = 0;
    Be<u32> reserved = 0;
    Be<u32> block_bytes = 0;
};
static_assert(sizeof(LongBlockDescriptor) == 16 && offsetof(LongBlockDescriptor, block_bytes) == 12);

}  // namespace

Completion LogicalUnit::mode_sense(const Cdb& cdb, const Request& request) const {
    bool is_long = cdb.opcode() == Opcode::mode_sense_10;
    auto control = static_cast<ModeControl>(cdb[2] >> 6);
    if (control == ModeControl::saved) {
        return check(request, SenseKey::illegal_request, AdditionalSense::saving_parameters_not_supported);
    }
    u8 code = cdb[2] & 0x3f;
    bool all_subpages = code == all_mode_pages && cdb[3] == 0xff;
    if (cdb[3] != 0 && !all_subpages) {
        return refuse_field(request, 3);
    }
    u8 pages[ModePages::bytes_max];
    usize page_bytes = modes_.read(code, control, pages);
    if (page_bytes == 0) {
        return refuse_field(request, 2);
    }
    ModeGeometry geometry = mode_geometry();
    std::byte descriptor[sizeof(LongBlockDescriptor)];
    usize descriptor_bytes = 0;
    bool long_blocks = is_long && (cdb[1] & long_lba_accepted) != 0;
    if (geometry.block_bytes != 0 && (cdb[1] & disable_block_descriptors) == 0) {
        if (long_blocks) {
            LongBlockDescriptor data{.blocks = geometry.blocks, .block_bytes = geometry.block_bytes};
            std::memcpy(descriptor, &data, descriptor_bytes = sizeof(data));
        } else {
            BlockDescriptor data{.blocks = static_cast<u32>(std::min<u64>(geometry.blocks, 0xffff'ffff)),
                                 .block_bytes = geometry.block_bytes};
            std::memcpy(descriptor, &data, descriptor_bytes = sizeof(data));
        }
    }
    usize behind = descriptor_bytes + page_bytes;
    ResponseWriter writer(request, is_long ? cdb.be16(7) : cdb[4]);
    if (is_long) {
        writer.put_part(ModeHeader10{.data_bytes = static_cast<u16>(sizeof(ModeHeader10) - 2 + behind),
                                     .device_specific = geometry.device_specific,
                                     .flags = long_blocks && descriptor_bytes > 0 ? u8{1} : u8{0},
                                     .descriptor_bytes = static_cast<u16>(descriptor_bytes)});
    } else {
        writer.put_part(ModeHeader6{.data_bytes = static_cast<u8>(sizeof(ModeHeader6) - 1 + behind),
                                    .device_specific = geometry.device_specific,
                                    .descriptor_bytes = static_cast<u8>(descriptor_bytes)});
    }
    writer.put(std::span(descriptor, descriptor_bytes));
    writer.put(std::as_bytes(std::span(pages, page_bytes)));
    return completion_of(request, writer);
}

Completion LogicalUnit::mode_select(const Cdb& cdb, const Request& request) {
    bool is_long = cdb.opcode() == Opcode::mode_select_10;
    if ((cdb[1] & page_format) == 0 || (cdb[1] & save_pages) != 0) {
        return refuse_field(request, 1);
    }
    usize bytes = is_long ? cdb.be16(7) : cdb[4];
    if (bytes == 0) {
        return succeed(request);
    }
    if (bytes > total_bytes(request.data_out)) {
        return overrun(request);
    }
    usize header_bytes = is_long ? sizeof(ModeHeader10) : sizeof(ModeHeader6);
    u8 list[parameter_bytes_max] = {};
    Sense length_error{.key = SenseKey::illegal_request, .code = AdditionalSense::parameter_list_length_error};
    if (bytes < header_bytes || bytes > sizeof(list)) {
        return check(request, length_error);
    }
    SegmentCursor(request.data_out).copy_out(std::as_writable_bytes(std::span(list, bytes)));
    usize descriptor_bytes = is_long ? usize{list[6]} << 8 | list[7] : list[3];
    if (descriptor_bytes != 0) {
        // A descriptor may only say what is so: the length of a block is the disk's.
        bool long_blocks = is_long && (list[4] & 1) != 0;
        if (descriptor_bytes != (long_blocks ? sizeof(LongBlockDescriptor) : sizeof(BlockDescriptor))) {
            return refuse_parameter(request, static_cast<u16>(header_bytes - 1));
        }
        if (header_bytes + descriptor_bytes > bytes) {
            return check(request, length_error);
        }
        usize length_at = header_bytes + descriptor_bytes - 3;
        u32 length = u32{list[length_at]} << 16 | u32{list[length_at + 1]} << 8 | list[length_at + 2];
        if (length != mode_geometry().block_bytes) {
            return refuse_parameter(request, static_cast<u16>(length_at));
        }
    }
    usize pages_at = header_bytes + descriptor_bytes;
    Result<bool, usize> changed = modes_.write(std::span(list, bytes).subspan(pages_at));
    if (!changed) {
        return changed.error() == bytes - pages_at
                   ? check(request, length_error)
                   : refuse_parameter(request, static_cast<u16>(pages_at + changed.error()));
    }
    if (*changed) {
        modes_changed();
        raise(UnitAttention::mode_parameters_changed, request.nexus);
        tell(UnitEvent::parameters_changed);
    }
    return succeed(request, bytes);
}

void LogicalUnit::modes_changed() {
    constexpr u8 control_page = 0x0a;
    constexpr u8 descriptor_sense = 0x04;  // D_SENSE of byte 2
    descriptor_sense_.store((modes_.get(control_page, 2) & descriptor_sense) != 0, std::memory_order_relaxed);
}

Completion LogicalUnit::reserve(const Request& request) {
    if (has_registrants()) {
        return failed(request, DiskError::reservation_conflict);  // CRH is 0 (SPC-4 5.13.3)
    }
    u32 nobody = 0;
    // Whoever holds it already may ask again; others did not come here.
    reserved_by_.compare_exchange_strong(nobody, request.nexus + 1);
    return nobody == 0 || nobody == request.nexus + 1 ? succeed(request)
                                                      : failed(request, DiskError::reservation_conflict);
}

Completion LogicalUnit::release(const Request& request) {
    u32 holder = request.nexus + 1;
    reserved_by_.compare_exchange_strong(holder, 0);
    return succeed(request);
}

Completion LogicalUnit::prevent_removal(const Cdb& cdb, const Request& request) {
    nexuses_[request.nexus].prevents_removal.store((cdb[4] & 1) != 0, std::memory_order_relaxed);
    prevention_changed();
    return succeed(request);
}

Completion LogicalUnit::send_diagnostic(const Cdb& cdb, const Request& request) {
    constexpr u8 self_test = 0x04;
    u8 code = cdb[1] >> 5;
    if ((cdb[1] & self_test) != 0 && code != 0) {
        return refuse_field(request, 1);
    }
    if (cdb.be16(3) != 0) {
        return refuse_field(request, 3);  // there are no diagnostic pages
    }
    if (code == 0) {
        return succeed(request);
    }
    // Background and foreground tests of either length end at once: there is no mechanism to test (SPC-4 table 212).
    constexpr u8 abort_test = 4;
    bool exists = code == 1 || code == 2 || code == abort_test || code == 5 || code == 6;
    return exists ? succeed(request) : refuse_field(request, 1);
}

namespace {

enum class LogPage : u8 { supported = 0x00, temperature = 0x0d, self_test = 0x10, informational = 0x2f };
constexpr LogPage log_pages[] = {LogPage::supported, LogPage::temperature, LogPage::self_test, LogPage::informational};

/// SPC-4 table 324.
struct LogPageHeader {
    u8 page = 0;  // bit 6: SPF
    u8 subpage = 0;
    Be<u16> page_bytes = 0;  // of what follows
};
static_assert(sizeof(LogPageHeader) == 4 && offsetof(LogPageHeader, page_bytes) == 2);

/// SPC-4 table 330, with the format bits of a parameter that is a list in binary.
struct LogParameterHeader {
    Be<u16> code = 0;
    u8 control = 0x03;
    u8 bytes = 0;
};
static_assert(sizeof(LogParameterHeader) == 4 && offsetof(LogParameterHeader, bytes) == 3);

constexpr u8 temperature_unknown = 0xff;
constexpr u16 self_test_parameters = 20;
constexpr u8 self_test_bytes = 16;

}  // namespace

Completion LogicalUnit::log_sense(const Cdb& cdb, const Request& request) const {
    auto page = static_cast<LogPage>(cdb[2] & 0x3f);
    bool with_subpages = cdb[3] == 0xff;
    if (std::find(std::begin(log_pages), std::end(log_pages), page) == std::end(log_pages)) {
        return refuse_field(request, 2);
    }
    if (cdb[3] != 0 && !(with_subpages && page == LogPage::supported)) {
        return refuse_field(request, 3);
    }
    u16 first = cdb.be16(5);
    ResponseWriter writer(request, cdb.be16(7));
    auto begin = [&](usize bytes) {
        writer.put_part(LogPageHeader{.page = static_cast<u8>((with_subpages ? 0x40 : 0) | static_cast<u8>(page)),
                                      .subpage = cdb[3],
                                      .page_bytes = static_cast<u16>(bytes)});
    };
    if (page == LogPage::supported) {
        begin(std::size(log_pages) * (with_subpages ? 2 : 1));
        for (LogPage listed : log_pages) {
            writer.put_part(listed);
            if (with_subpages) {
                writer.put_part(u8{0});
            }
        }
    } else if (page == LogPage::temperature) {
        // SPC-4 table 402: temperature, then reference temperature; both unknown.
        u16 count = first > 1 ? 0 : static_cast<u16>(2 - first);
        begin(usize{count} * 6);
        for (u16 code = first; code < 2; ++code) {
            writer.put_part(LogParameterHeader{.code = code, .bytes = 2});
            writer.put_part(u8{0});
            writer.put_part(temperature_unknown);
        }
    } else if (page == LogPage::informational) {
        // SPC-4 table 353: no exception, temperature unknown.
        begin(first == 0 ? 8 : 0);
        if (first == 0) {
            writer.put_part(LogParameterHeader{.code = 0, .bytes = 4});
            writer.put_part(Be<u32>(u32{temperature_unknown} << 8));
        }
    } else {
        // SPC-4 table 394: parameters 1 to 20, all of tests that never were.
        first = std::max<u16>(first, 1);
        u16 count = first > self_test_parameters ? 0 : static_cast<u16>(self_test_parameters + 1 - first);
        begin(count * (sizeof(LogParameterHeader) + self_test_bytes));
        for (u16 code = first; code <= self_test_parameters; ++code) {
            constexpr u8 none[self_test_bytes] = {};
            writer.put_part(LogParameterHeader{.code = code, .bytes = self_test_bytes});
            writer.put(std::as_bytes(std::span(none)));
        }
    }
    return completion_of(request, writer);
}

}  // namespace undercroft::scsi
