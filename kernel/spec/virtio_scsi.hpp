// The SCSI host device of virtio 1.2 (OASIS, "Virtual I/O Device"), section 5.6. Left out: protection information.
#pragma once

#include <cstddef>

#include "kernel/base/endian.hpp"

namespace undercroft::virtio {

inline constexpr u64 feature_scsi_both_directions = 1ULL << 0;
inline constexpr u64 feature_scsi_hotplug = 1ULL << 1;
inline constexpr u64 feature_scsi_change = 1ULL << 2;

inline constexpr u16 scsi_control_queue = 0;
inline constexpr u16 scsi_event_queue = 1;
inline constexpr u16 scsi_first_request_queue = 2;

struct ScsiConfig {
    Le<u32> request_queues;
    Le<u32> segments_max;
    Le<u32> sectors_max;
    Le<u32> commands_per_lun;
    Le<u32> event_bytes;
    Le<u32> sense_bytes;  ///< the driver may write it, ...
    Le<u32> cdb_bytes;    ///< ... and this
    Le<u16> channel_max;
    Le<u16> target_max;
    Le<u32> lun_max;
};
static_assert(sizeof(ScsiConfig) == 36 && offsetof(ScsiConfig, lun_max) == 32);
inline constexpr u32 scsi_sense_bytes_default = 96;
inline constexpr u32 scsi_cdb_bytes_default = 32;

/// 1, the target, then the first level of a SCSI LUN.
struct ScsiLun {
    u8 bytes[8]{};
};

/// `cdb_bytes` of CDB follow, then the data to the device.
struct ScsiCommand {
    ScsiLun lun;
    Le<u64> tag;
    u8 attribute = 0;
    u8 priority = 0;
    u8 reference = 0;
};
static_assert(sizeof(ScsiCommand) == 19 && offsetof(ScsiCommand, reference) == 18);

enum class ScsiResponse : u8 {
    ok = 0,
    overrun = 1,
    aborted = 2,
    bad_target = 3,
    reset = 4,
    function_succeeded = 10,
    function_rejected = 11,
    incorrect_lun = 12,
};

/// `sense_bytes` of sense follow, then the data from the device.
struct ScsiCommandResponse {
    Le<u32> sense_length;
    Le<u32> residual;
    Le<u16> status_qualifier;
    u8 status = 0;
    ScsiResponse response = ScsiResponse::ok;
};
static_assert(sizeof(ScsiCommandResponse) == 12 && offsetof(ScsiCommandResponse, response) == 11);

enum class ScsiControlType : u32 { task_management = 0, query_notifications = 1, subscribe_notifications = 2 };

struct ScsiTaskManagement {
    Le<u32> type;
    Le<u32> function;  ///< numbered as `scsi::TaskManagement`
    ScsiLun lun;
    Le<u64> tag;
};
static_assert(sizeof(ScsiTaskManagement) == 24 && offsetof(ScsiTaskManagement, tag) == 16);

struct ScsiNotifications {
    Le<u32> type;
    ScsiLun lun;
    Le<u32> wanted;
};
static_assert(sizeof(ScsiNotifications) == 16 && offsetof(ScsiNotifications, wanted) == 12);

struct ScsiNotificationsResponse {
    Le<u32> got;
    ScsiResponse response = ScsiResponse::ok;
};
static_assert(sizeof(ScsiNotificationsResponse) == 5);

inline constexpr u32 scsi_event_none = 0;
inline constexpr u32 scsi_event_transport_reset = 1;
inline constexpr u32 scsi_event_parameter_change = 3;
inline constexpr u32 scsi_events_missed = 1U << 31;

inline constexpr u32 scsi_reset_rescan = 1;
inline constexpr u32 scsi_reset_removed = 2;

struct ScsiEvent {
    Le<u32> event;
    ScsiLun lun;
    Le<u32> reason;  ///< of a parameter change: additional sense code, and its qualifier in the next byte
};
static_assert(sizeof(ScsiEvent) == 16 && offsetof(ScsiEvent, reason) == 12);

}  // namespace undercroft::virtio
