// The rows, and the parser that follows them.
#include "storage/scsi/command_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace undercroft::scsi {

namespace {

using enum Opcode;
using CommandFlag::asks_disk;
using CommandFlag::before_attention;
using CommandFlag::before_reservation;
using CommandFlag::depends;
using CommandFlag::needs_medium;
using CommandFlag::none;
using CommandFlag::while_sanitizing;

constexpr u8 block = 1;
constexpr u8 optical = 2;
constexpr u8 device = block | optical;
constexpr u8 well_known = 4;
constexpr u8 anywhere = 15;
constexpr u8 no_action = no_service_action;
constexpr CommandFlag medium_data = needs_medium | asks_disk;
constexpr CommandFlag always = before_attention | before_reservation | while_sanitizing;

// {operation code, service action, CDB length, units, flags, {usage of byte 1, 2, ...}}
constexpr Command table[] = {
    {test_unit_ready, no_action, 6, device | well_known, needs_medium | before_reservation, {}},
    {request_sense, no_action, 6, anywhere, always, {0x01, 0, 0, 0xff}},
    {format_unit, no_action, 6, block, asks_disk, {0x3f}},
    {read_6, no_action, 6, block, medium_data, {0x1f, 0xff, 0xff, 0xff}},
    {write_6, no_action, 6, block, medium_data, {0x1f, 0xff, 0xff, 0xff}},
    {inquiry, no_action, 6, anywhere, always, {0x01, 0xff, 0xff, 0xff}},
    {mode_select_6, no_action, 6, block, none, {0x11, 0, 0, 0xff}},
    {reserve_6, no_action, 6, block, none, {}},
    {release_6, no_action, 6, block, before_reservation, {}},
    {mode_sense_6, no_action, 6, block, none, {0x08, 0xff, 0xff, 0xff}},
    {start_stop_unit, no_action, 6, block, none, {0x01, 0, 0, 0x05}},
    {start_stop_unit, no_action, 6, optical, before_reservation, {0x01, 0, 0, 0xf3}},
    {send_diagnostic, no_action, 6, device, none, {0xf7, 0, 0xff, 0xff}},
    {prevent_allow_medium_removal, no_action, 6, device, none, {0, 0, 0, 0x03}},
    {read_capacity_10, no_action, 10, device, needs_medium | before_reservation, {}},
    {read_10, no_action, 10, device, medium_data, {0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
    {write_10, no_action, 10, block, medium_data, {0x18, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
    {seek_10, no_action, 10, optical, needs_medium, {0, 0xff, 0xff, 0xff, 0xff}},
    {write_and_verify_10, no_action, 10, block, medium_data, {0x16, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
    {verify_10, no_action, 10, block, medium_data, {0x16, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
    {synchronize_cache_10, no_action, 10, block, medium_data, {0x06, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
    {write_same_10, no_action, 10, block, medium_data, {0x08, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
    {unmap, no_action, 10, block, medium_data | depends, {0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {read_toc, no_action, 10, optical, needs_medium, {0x02, 0x0f, 0, 0, 0, 0xff, 0xff, 0xff, 0xc0}},
    {get_configuration, no_action, 10, optical, before_attention, {0x03, 0xff, 0xff, 0, 0, 0, 0xff, 0xff}},
    {sanitize, service_overwrite, 10, block, while_sanitizing | depends, {0xa0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {sanitize, service_block_erase, 10, block, while_sanitizing | depends, {0xa0}},
    {sanitize, service_exit_failure_mode, 10, block, while_sanitizing | depends, {0xa0}},
    {get_event_status_notification, no_action, 10, optical, before_attention, {0x01, 0, 0, 0xff, 0, 0, 0xff, 0xff}},
    {log_sense,
     no_action,
     10,
     device,
     before_reservation | while_sanitizing,
     {0, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff}},
    {read_disc_information, no_action, 10, optical, needs_medium, {0x07, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {read_track_information, no_action, 10, optical, needs_medium, {0x07, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
    {mode_select_10, no_action, 10, device, none, {0x11, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {reserve_10, no_action, 10, block, none, {}},
    {release_10, no_action, 10, block, before_reservation, {}},
    {mode_sense_10, no_action, 10, device, none, {0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff}},
    {persistent_reserve_in, 0, 10, block, before_reservation | depends, {0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {persistent_reserve_in, 1, 10, block, before_reservation | depends, {0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {persistent_reserve_in, 2, 10, block, before_reservation | depends, {0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {persistent_reserve_in, 3, 10, block, before_reservation | depends, {0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {persistent_reserve_out, 0, 10, block, before_reservation | depends, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 1, 10, block, before_reservation | depends, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 2, 10, block, before_reservation | depends, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 3, 10, block, before_reservation | depends, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 4, 10, block, before_reservation | depends, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 5, 10, block, before_reservation | depends, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 6, 10, block, before_reservation | depends, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 7, 10, block, before_reservation | depends, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {read_16,
     no_action,
     16,
     block,
     medium_data,
     {0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {compare_and_write,
     no_action,
     16,
     block,
     medium_data,
     {0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0xff}},
    {write_16,
     no_action,
     16,
     block,
     medium_data,
     {0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {write_and_verify_16,
     no_action,
     16,
     block,
     medium_data,
     {0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {verify_16,
     no_action,
     16,
     block,
     medium_data,
     {0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {synchronize_cache_16,
     no_action,
     16,
     block,
     medium_data,
     {0x06, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {write_same_16,
     no_action,
     16,
     block,
     medium_data,
     {0x09, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {write_atomic_16,
     no_action,
     16,
     block,
     medium_data,
     {0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff}},
    {service_action_in_16,
     service_read_capacity_16,
     16,
     block,
     needs_medium | before_reservation,
     {0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {service_action_in_16,
     service_get_lba_status,
     16,
     block,
     medium_data,
     {0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {report_luns, no_action, 12, anywhere, always, {0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {maintenance_in,
     service_report_supported_opcodes,
     12,
     device,
     before_reservation | while_sanitizing,
     {0, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {maintenance_in,
     service_report_supported_task_management,
     12,
     device,
     before_reservation | while_sanitizing,
     {0, 0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {read_12, no_action, 12, device, medium_data, {0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {write_12, no_action, 12, block, medium_data, {0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {get_performance, no_action, 12, optical, needs_medium, {0x1f, 0xff, 0xff, 0xff, 0xff, 0, 0, 0xff, 0xff, 0xff}},
    {read_disc_structure, no_action, 12, optical, none, {0x0f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xc0}},
    {write_and_verify_12, no_action, 12, block, medium_data, {0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {verify_12, no_action, 12, block, medium_data, {0x16, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {set_streaming, no_action, 12, optical, none, {0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff}},
    {mechanism_status, no_action, 12, optical, none, {0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}},
};
constexpr usize rows = std::size(table);

/// For each operation code the first row with it or a later one; one more entry ends the last.
constexpr auto first_rows = [] {
    std::array<u8, 257> first{};
    static_assert(rows < 256);
    usize row = 0;
    for (usize opcode = 0; opcode < first.size(); ++opcode) {
        while (row < rows && static_cast<u8>(table[row].opcode) < opcode) {
            ++row;
        }
        first[opcode] = static_cast<u8>(row);
    }
    return first;
}();

constexpr bool is_sorted_and_sound() {
    for (usize row = 0; row < rows; ++row) {
        if (row > 0 && table[row].opcode < table[row - 1].opcode) {
            return false;
        }
        constexpr u8 lengths[] = {6, 10, 10, 0, 16, 12, 0, 0};
        if (lengths[static_cast<u8>(table[row].opcode) >> 5] != table[row].length) {
            return false;
        }
        for (usize byte = table[row].length - 1U; byte < cdb_bytes_max - 1; ++byte) {
            if (table[row].usage[byte] != 0) {
                return false;
            }
        }
    }
    return true;
}
static_assert(is_sorted_and_sound(),
              "rows go by operation code, are as long as it says, and use no byte behind the end");

/// Eight of a command's bytes at once.
u64 word_at(const u8* bytes) {
    u64 word = 0;
    std::memcpy(&word, bytes, sizeof(word));
    return word;
}

/// The first byte of `cdb` with a bit that `command` has no use for; 0 where there is none. Bytes behind the command's
/// end are zero.
u8 first_strange_byte(const Cdb& cdb, const Command& command, UnitKind kind) {
    // MMC-6 says nothing of byte 1, bits 5 to 7, where SCSI-2 had the LUN: some drivers for ATAPI still fill it.
    u64 ignored = (command.has_service_action() ? 0x1fU : 0U) | (kind == UnitKind::optical ? 0xe0U : 0U);
    const u8* bytes = cdb.bytes.data();
    const u8* usage = command.usage.data();
    static_assert(std::endian::native == std::endian::little, "byte 1 is the lowest of its word");
    // Bytes 1 to 8 and 8 to 15.
    u64 low = word_at(bytes + 1) & ~(word_at(usage) | ignored);
    u64 high = word_at(bytes + 8) & ~word_at(usage + 7);
    if ((low | high) == 0) [[likely]] {
        return 0;
    }
    int bit = low != 0 ? std::countr_zero(low) + 8 : std::countr_zero(high) + 64;
    return static_cast<u8>(bit / 8);
}

}  // namespace

std::span<const Command> command_table() { return table; }

std::span<const Command> commands_with(u8 opcode) {
    return std::span(table).subspan(first_rows[opcode], first_rows[opcode + 1U] - first_rows[opcode]);
}

Cdb read_cdb(std::span<const std::byte> bytes) {
    // The operation code's upper bits say how long a command is (SPC-4 4.2.5.1); what is behind that is padding.
    constexpr u8 lengths[] = {6, 10, 10, 16, 16, 12, 16, 16};
    Cdb cdb;
    if (!bytes.empty()) {
        std::memcpy(cdb.bytes.data(), bytes.data(),
                    std::min<usize>(bytes.size(), lengths[static_cast<u8>(bytes[0]) >> 5]));
    }
    return cdb;
}

Result<const Command*, CdbFault> parse_cdb(const Cdb& cdb, usize length, UnitKind kind) {
    bool is_opcode_known = false;
    for (const Command& command : commands_with(cdb[0])) {
        if (!command.is_for(kind)) {
            continue;
        }
        is_opcode_known = true;
        if (command.has_service_action() && command.service_action != cdb.service_action()) {
            continue;
        }
        u8 strange = first_strange_byte(cdb, command, kind);
        if (length < command.length || strange != 0) [[unlikely]] {
            return fail(CdbFault{.code = AdditionalSense::invalid_field_in_cdb,
                                 .field_byte = length < command.length ? u8{0} : strange});
        }
        return &command;
    }
    return fail(CdbFault{.code = is_opcode_known ? AdditionalSense::invalid_field_in_cdb
                                                 : AdditionalSense::invalid_operation_code,
                         .field_byte = is_opcode_known ? u8{1} : u8{0}});
}

}  // namespace undercroft::scsi
