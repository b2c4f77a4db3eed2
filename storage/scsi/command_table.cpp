// The rows, and the parser that follows them.
#include "storage/scsi/command_table.hpp"

#include <bit>

namespace undercroft::scsi {

namespace {

using enum Opcode;
using CommandFlag::asks_disk;
using CommandFlag::before_attention;
using CommandFlag::before_reservation;
using CommandFlag::needs_medium;
using CommandFlag::none;

constexpr u8 block = 1;
constexpr u8 optical = 2;
constexpr u8 device = block | optical;
constexpr u8 well_known = 4;
constexpr u8 anywhere = 15;
constexpr u8 no_action = no_service_action;
constexpr CommandFlag medium_data = needs_medium | asks_disk;

// {operation code, service action, CDB length, units, flags, {usage of byte 1, 2, ...}}
constexpr Command table[] = {
    {test_unit_ready, no_action, 6, device | well_known, needs_medium | before_reservation, {}},
    {request_sense, no_action, 6, anywhere, before_attention | before_reservation, {0x01, 0, 0, 0xff}},
    {format_unit, no_action, 6, block, asks_disk, {0x3f}},
    {read_6, no_action, 6, block, medium_data, {0x1f, 0xff, 0xff, 0xff}},
    {write_6, no_action, 6, block, medium_data, {0x1f, 0xff, 0xff, 0xff}},
    {inquiry, no_action, 6, anywhere, before_attention | before_reservation, {0x01, 0xff, 0xff, 0xff}},
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
    {unmap, no_action, 10, block, medium_data, {0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {read_toc, no_action, 10, optical, needs_medium, {0x02, 0x0f, 0, 0, 0, 0xff, 0xff, 0xff, 0xc0}},
    {get_configuration, no_action, 10, optical, before_attention, {0x03, 0xff, 0xff, 0, 0, 0, 0xff, 0xff}},
    {get_event_status_notification, no_action, 10, optical, before_attention, {0x01, 0, 0, 0xff, 0, 0, 0xff, 0xff}},
    {log_sense, no_action, 10, device, before_reservation, {0, 0xff, 0xff, 0, 0xff, 0xff, 0xff, 0xff}},
    {read_disc_information, no_action, 10, optical, needs_medium, {0x07, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {read_track_information, no_action, 10, optical, needs_medium, {0x07, 0xff, 0xff, 0xff, 0xff, 0, 0xff, 0xff}},
    {mode_select_10, no_action, 10, device, none, {0x11, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {reserve_10, no_action, 10, block, none, {}},
    {release_10, no_action, 10, block, before_reservation, {}},
    {mode_sense_10, no_action, 10, device, none, {0x18, 0xff, 0xff, 0, 0, 0, 0xff, 0xff}},
    {persistent_reserve_in, 0, 10, block, before_reservation, {0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {persistent_reserve_in, 1, 10, block, before_reservation, {0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {persistent_reserve_in, 2, 10, block, before_reservation, {0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {persistent_reserve_in, 3, 10, block, before_reservation, {0, 0, 0, 0, 0, 0, 0xff, 0xff}},
    {persistent_reserve_out, 0, 10, block, before_reservation, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 1, 10, block, before_reservation, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 2, 10, block, before_reservation, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 3, 10, block, before_reservation, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 4, 10, block, before_reservation, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 5, 10, block, before_reservation, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {persistent_reserve_out, 6, 10, block, before_reservation, {0, 0xff, 0, 0, 0xff, 0xff, 0xff, 0xff}},
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
    {report_luns,
     no_action,
     12,
     anywhere,
     before_attention | before_reservation,
     {0, 0xff, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}},
    {maintenance_in,
     service_report_supported_opcodes,
     12,
     device,
     before_reservation,
     {0, 0x87, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}},
    {maintenance_in,
     service_report_supported_task_management,
     12,
     device,
     before_reservation,
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
        for (usize byte = table[row].length - 1U; byte < cdb_bytes_max - 1; ++byte) {
            if (table[row].usage[byte] != 0) {
                return false;
            }
        }
    }
    return true;
}
static_assert(is_sorted_and_sound(), "rows go by operation code, and use no byte behind the end");

/// The first byte of `cdb` with a bit that `command` has no use for; its length where there is none.
usize first_strange_byte(const Cdb& cdb, const Command& command, UnitKind kind) {
    // MMC-6 says nothing of byte 1, bits 5 to 7, where SCSI-2 had the LUN: some drivers for ATAPI still fill it.
    u8 ignored = static_cast<u8>((command.has_service_action() ? 0x1f : 0) | (kind == UnitKind::optical ? 0xe0 : 0));
    usize byte = 1;
    for (; byte < command.length; ++byte) {
        u8 known = static_cast<u8>(command.usage[byte - 1] | (byte == 1 ? ignored : 0));
        if ((cdb[byte] & ~known) != 0) {
            break;
        }
    }
    return byte;
}

}  // namespace

std::span<const Command> command_table() { return table; }

std::span<const Command> commands_with(u8 opcode) {
    return std::span(table).subspan(first_rows[opcode], first_rows[opcode + 1U] - first_rows[opcode]);
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
        usize strange = length < command.length ? 0 : first_strange_byte(cdb, command, kind);
        if (strange != command.length) [[unlikely]] {
            return fail(
                CdbFault{.code = AdditionalSense::invalid_field_in_cdb, .field_byte = static_cast<u8>(strange)});
        }
        return &command;
    }
    return is_opcode_known ? fail(CdbFault{.code = AdditionalSense::invalid_field_in_cdb, .field_byte = 1})
                           : fail(CdbFault{.code = AdditionalSense::invalid_operation_code, .field_byte = 0});
}

}  // namespace undercroft::scsi
