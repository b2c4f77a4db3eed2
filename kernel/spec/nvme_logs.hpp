// NVMe log pages, and the data of reservation commands. Left out: telemetry, endurance groups, ANA, zoned logs.
// Sources: base 2.0 sections 5.16 and 7.
#pragma once

#include "kernel/spec/nvme_identify.hpp"

namespace undercroft::nvme {

enum class LogPage : u8 {
    supported_pages = 0x00,
    error_information = 0x01,
    smart = 0x02,
    firmware_slots = 0x03,
    changed_namespaces = 0x04,
    command_effects = 0x05,
    device_self_test = 0x06,
    feature_effects = 0x12,
    reservation_notification = 0x80,
};

/// Dword 10 of Get Log Page; the high half of the length is in dword 11.
struct GetLogPage {
    u32 dword10 = 0;
    u32 dword11 = 0;
    constexpr u8 page() const { return static_cast<u8>(get_bits(dword10, 0, 8)); }      ///< LID
    constexpr u8 specific() const { return static_cast<u8>(get_bits(dword10, 8, 7)); }  ///< LSP
    constexpr bool retain_event() const { return get_bits(dword10, 15, 1) != 0; }       ///< RAE
    /// NUMDU and NUMDL, zero's based, as bytes.
    constexpr u64 length_bytes() const {
        return ((u64{get_bits(dword11, 0, 16)} << 16 | get_bits(dword10, 16, 16)) + 1) * 4;
    }
    static constexpr GetLogPage make(LogPage page, u64 length_bytes, bool retain_event) {
        u64 dwords = length_bytes / 4 - 1;
        return {static_cast<u32>(page) | u32{retain_event} << 15 | static_cast<u32>(dwords & 0xffff) << 16,
                static_cast<u32>(dwords >> 16 & 0xffff)};
    }
};

/// Log 00h: one dword a page.
struct SupportedLogPages {
    Le<u32> pages[256];  ///< bit 0: supported
};
static_assert(sizeof(SupportedLogPages) == 1024);

/// Log 01h: newest first.
struct ErrorLogEntry {
    Le<u64> error_count;  ///< 0: no entry
    Le<u16> submission_id;
    Le<u16> command_id;
    Le<u16> status;              ///< `StatusField`
    Le<u16> parameter_location;  ///< byte 7:0, bit 10:8 of the submission entry; FFFFh: none
    Le<u64> lba;
    Le<u32> namespace_id;
    u8 vendor_log = 0;
    u8 transport = 0;
    u8 reserved30[2] = {};
    Le<u64> command_specific;
    Le<u16> transport_specific;
    u8 reserved42[22] = {};
};
static_assert(sizeof(ErrorLogEntry) == 64 && offsetof(ErrorLogEntry, reserved42) == 42);

/// Log 02h.
struct SmartLog {
    u8 critical_warning = 0;  ///< `smart_warning`
    Le<u16> temperature_kelvin;
    u8 available_spare_percent = 0;
    u8 spare_threshold_percent = 0;
    u8 used_percent = 0;
    u8 endurance_groups_warning = 0;
    u8 reserved7[25] = {};
    Le128 data_units_read;  ///< in 1000 * 512 bytes, rounded up
    Le128 data_units_written;
    Le128 host_reads;
    Le128 host_writes;
    Le128 busy_minutes;
    Le128 power_cycles;
    Le128 power_on_hours;
    Le128 unsafe_shutdowns;
    Le128 media_errors;
    Le128 error_log_entries;
    Le<u32> warning_temperature_minutes;
    Le<u32> critical_temperature_minutes;
    Le<u16> temperature_sensors_kelvin[8];
    Le<u32> thermal_transitions[2];
    Le<u32> thermal_seconds[2];
    u8 reserved232[280] = {};
};
static_assert(sizeof(SmartLog) == 512 && offsetof(SmartLog, reserved232) == 232);
namespace smart_warning {
inline constexpr u8 spare = 1u << 0;
inline constexpr u8 temperature = 1u << 1;
inline constexpr u8 reliability = 1u << 2;
inline constexpr u8 read_only = 1u << 3;
}  // namespace smart_warning

/// Log 03h.
struct FirmwareSlotLog {
    u8 active = 0;  ///< AFI: slot 2:0
    u8 reserved1[7] = {};
    char revisions[7][8] = {};
    u8 reserved64[448] = {};
};
static_assert(sizeof(FirmwareSlotLog) == 512 && offsetof(FirmwareSlotLog, reserved64) == 64);

/// Log 05h.
struct CommandEffectsLog {
    Le<u32> admin[256];  ///< `command_effect`
    Le<u32> io[256];
    u8 reserved2048[2048] = {};
};
static_assert(sizeof(CommandEffectsLog) == 4096 && offsetof(CommandEffectsLog, reserved2048) == 2048);
namespace command_effect {
inline constexpr u32 supported = 1u << 0;                     ///< CSUPP
inline constexpr u32 content_change = 1u << 1;                ///< LBCC
inline constexpr u32 namespace_capability_change = 1u << 2;   ///< NCC
inline constexpr u32 namespace_inventory_change = 1u << 3;    ///< NIC
inline constexpr u32 controller_capability_change = 1u << 4;  ///< CCC
}  // namespace command_effect

/// Log 12h: one dword a feature.
struct FeatureEffectsLog {
    Le<u32> features[256];  ///< bit 0: supported; 31:20 scope
};
static_assert(sizeof(FeatureEffectsLog) == 1024);
namespace feature_scope {
inline constexpr u32 name_space = 1u << 20;
inline constexpr u32 controller = 1u << 21;
}  // namespace feature_scope

/// RTYPE of a reservation. Base section 7.
enum class ReservationType : u8 {
    none = 0,
    write_exclusive = 1,
    exclusive_access = 2,
    write_exclusive_registrants_only = 3,
    exclusive_access_registrants_only = 4,
    write_exclusive_all_registrants = 5,
    exclusive_access_all_registrants = 6,
};
/// Bits of RESCAP.
namespace reservation_capability {
inline constexpr u8 persist_through_power_loss = 1u << 0;
inline constexpr u8 all_types = 0x7e;
inline constexpr u8 ignore_key_as_1_3 = 1u << 7;
}  // namespace reservation_capability
enum class ReservationRegisterAction : u8 { register_key = 0, unregister_key = 1, replace_key = 2 };
enum class ReservationAcquireAction : u8 { acquire = 0, preempt = 1, preempt_and_abort = 2 };
enum class ReservationReleaseAction : u8 { release = 0, clear = 1 };

/// Data of Reservation Register (current and new key) and Reservation Acquire (current and preempted key).
struct ReservationKeys {
    Le<u64> current_key;
    Le<u64> other_key;
};
static_assert(sizeof(ReservationKeys) == 16 && offsetof(ReservationKeys, other_key) == 8);

/// Head of the data of Reservation Report; registrants follow.
struct ReservationStatus {
    Le<u32> generation;
    u8 type = 0;  ///< `ReservationType`
    Le<u16> registrants;
    u8 reserved7[2] = {};
    u8 persists = 0;  ///< PTPLS
    u8 reserved10[14] = {};
};
static_assert(sizeof(ReservationStatus) == 24 && offsetof(ReservationStatus, reserved10) == 10);
struct ReservationRegistrant {
    Le<u16> controller_id;
    u8 status = 0;  ///< bit 0: holds the reservation
    u8 reserved3[5] = {};
    Le<u64> host_id;
    Le<u64> key;
};
static_assert(sizeof(ReservationRegistrant) == 24 && offsetof(ReservationRegistrant, key) == 16);

}  // namespace undercroft::nvme
