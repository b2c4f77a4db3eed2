// Numbers of SCSI: operation codes, status, sense keys and additional sense codes (SAM-5; SPC-4; SBC-3; MMC-6). The
// names are the standards'. Layouts of data are in scsi_data.hpp. Left out: what nothing here sends or understands.
#pragma once

#include "kernel/base/types.hpp"

namespace undercroft::scsi {

/// SAM-5 table 30.
enum class Status : u8 {
    good = 0x00,
    check_condition = 0x02,
    condition_met = 0x04,
    busy = 0x08,
    reservation_conflict = 0x18,
    task_set_full = 0x28,
    task_aborted = 0x40,
};

/// SPC-4 table 43.
enum class SenseKey : u8 {
    no_sense = 0x0,
    recovered_error = 0x1,
    not_ready = 0x2,
    medium_error = 0x3,
    hardware_error = 0x4,
    illegal_request = 0x5,
    unit_attention = 0x6,
    data_protect = 0x7,
    aborted_command = 0xb,
    miscompare = 0xe,
};

/// Additional sense code and its qualifier: ASC * 100h + ASCQ. SPC-4 table 44.
enum class AdditionalSense : u16 {
    none = 0x0000,
    becoming_ready = 0x0401,
    initializing_command_required = 0x0402,
    sanitize_in_progress = 0x041b,
    write_fault = 0x0c00,
    guard_check_failed = 0x1001,
    application_tag_check_failed = 0x1002,
    reference_tag_check_failed = 0x1003,
    unrecovered_read_error = 0x1100,
    parameter_list_length_error = 0x1a00,
    miscompare_during_verify = 0x1d00,
    invalid_operation_code = 0x2000,
    lba_out_of_range = 0x2100,
    invalid_field_in_cdb = 0x2400,
    logical_unit_not_supported = 0x2500,
    invalid_field_in_parameter_list = 0x2600,
    invalid_release_of_reservation = 0x2604,
    write_protected = 0x2700,
    medium_may_have_changed = 0x2800,
    power_on_or_reset = 0x2900,
    power_on = 0x2901,
    bus_reset = 0x2902,
    device_reset = 0x2903,
    nexus_loss = 0x2907,
    mode_parameters_changed = 0x2a01,
    reservations_preempted = 0x2a03,
    reservations_released = 0x2a04,
    registrations_preempted = 0x2a05,
    capacity_changed = 0x2a09,
    command_sequence_error = 0x2c00,
    cannot_read_incompatible_medium = 0x3002,
    sanitize_failed = 0x3103,
    command_timeout_during_processing = 0x2e02,
    commands_cleared_by_another_initiator = 0x2f00,
    saving_parameters_not_supported = 0x3900,
    medium_not_present = 0x3a00,
    medium_not_present_tray_closed = 0x3a01,
    medium_not_present_tray_open = 0x3a02,
    reported_luns_changed = 0x3f0e,
    internal_target_failure = 0x4400,
    removal_prevented = 0x5302,
    insufficient_registration_resources = 0x5504,
    end_of_user_area = 0x6300,
    illegal_mode_for_this_track = 0x6400,
};

/// SPC-4 table E.2, SBC-3 table 32, MMC-6 table 244.
enum class Opcode : u8 {
    test_unit_ready = 0x00,
    request_sense = 0x03,
    format_unit = 0x04,
    read_6 = 0x08,
    write_6 = 0x0a,
    inquiry = 0x12,
    mode_select_6 = 0x15,
    reserve_6 = 0x16,
    release_6 = 0x17,
    mode_sense_6 = 0x1a,
    start_stop_unit = 0x1b,
    send_diagnostic = 0x1d,
    prevent_allow_medium_removal = 0x1e,
    read_format_capacities = 0x23,
    read_capacity_10 = 0x25,
    read_10 = 0x28,
    write_10 = 0x2a,
    seek_10 = 0x2b,
    write_and_verify_10 = 0x2e,
    verify_10 = 0x2f,
    synchronize_cache_10 = 0x35,
    write_same_10 = 0x41,
    unmap = 0x42,
    read_toc = 0x43,
    get_configuration = 0x46,
    sanitize = 0x48,
    get_event_status_notification = 0x4a,
    log_sense = 0x4d,
    read_disc_information = 0x51,
    read_track_information = 0x52,
    mode_select_10 = 0x55,
    reserve_10 = 0x56,
    release_10 = 0x57,
    mode_sense_10 = 0x5a,
    persistent_reserve_in = 0x5e,
    persistent_reserve_out = 0x5f,
    read_16 = 0x88,
    compare_and_write = 0x89,
    write_16 = 0x8a,
    write_and_verify_16 = 0x8e,
    verify_16 = 0x8f,
    synchronize_cache_16 = 0x91,
    write_same_16 = 0x93,
    write_atomic_16 = 0x9c,
    service_action_in_16 = 0x9e,
    report_luns = 0xa0,
    maintenance_in = 0xa3,
    read_12 = 0xa8,
    write_12 = 0xaa,
    get_performance = 0xac,
    read_disc_structure = 0xad,
    write_and_verify_12 = 0xae,
    verify_12 = 0xaf,
    set_streaming = 0xb6,
    mechanism_status = 0xbd,
};

inline constexpr u8 service_read_capacity_16 = 0x10;
inline constexpr u8 service_get_lba_status = 0x12;
inline constexpr u8 service_read_keys = 0;  ///< PERSISTENT RESERVE IN, SPC-4 table 227
inline constexpr u8 service_read_reservation = 1;
inline constexpr u8 service_report_capabilities = 2;
inline constexpr u8 service_read_full_status = 3;
inline constexpr u8 service_register = 0;  ///< PERSISTENT RESERVE OUT, SPC-4 table 241
inline constexpr u8 service_reserve = 1;
inline constexpr u8 service_release = 2;
inline constexpr u8 service_clear = 3;
inline constexpr u8 service_preempt = 4;
inline constexpr u8 service_preempt_and_abort = 5;
inline constexpr u8 service_register_and_ignore = 6;
inline constexpr u8 service_register_and_move = 7;
inline constexpr u8 service_overwrite = 0x01;  ///< SANITIZE, SBC-3 table 81
inline constexpr u8 service_block_erase = 0x02;
inline constexpr u8 service_exit_failure_mode = 0x1f;
inline constexpr u8 service_report_supported_opcodes = 0x0c;
inline constexpr u8 service_report_supported_task_management = 0x0d;

/// SPC-4 table 142.
enum class DeviceType : u8 { block = 0x00, optical = 0x05, well_known = 0x1e, none = 0x1f };

inline constexpr u32 cdb_bytes_max = 16;  ///< of those this tree knows

/// Bits that several CDBs share; which byte they are in is beside them.
inline constexpr u8 cdb_force_unit_access = 1U << 3;      ///< FUA, byte 1 of READ and WRITE 10, 12, 16
inline constexpr u8 cdb_immediate = 1U << 0;              ///< IMMED, byte 1 of START STOP UNIT
inline constexpr u8 cdb_sanitize_immediate = 1U << 7;     ///< IMMED, byte 1 of SANITIZE
inline constexpr u8 cdb_sanitize_unrestricted = 1U << 5;  ///< AUSE, byte 1 of SANITIZE
inline constexpr u8 cdb_unmap = 1U << 3;                  ///< UNMAP, byte 1 of WRITE SAME
inline constexpr u8 cdb_no_data_out = 1U << 0;            ///< NDOB, byte 1 of WRITE SAME (16)

}  // namespace undercroft::scsi
